"""Learning from examples whose answers are known; an `Objective` says what the answers are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from assay.blocks.auxiliary import Auxiliary
from assay.engine.spec import Plan, Recipe
from assay.learners.fine_tuning import FineTuning
from assay.learners.objective import Labels, Objective
from assay.learners.optimization import Optimization

Answer = TypeVar("Answer")

_MODEL, _OPTIMIZER = "model.", "optimizer."


class Supervised:
    """Trains one model on (x, y) batches by the recipe, computed as the plan says.

    A model that is `Auxiliary` learns from the losses of its auxiliary classifiers too, by the
    weight that it names; evaluations and predictions leave them out.

    Args:
        model: Built, initialised and prepared by the plan already; returns what the objective
            scores.
        recipe: Optimizer, schedule, loss and clipping.
        plan: Precision and memory format of the inputs.
        steps: Of the whole run, which the schedule spans.
        objective: What the model is asked, and how its answers are scored.
        fine_tuning: Which layers learn, where not all do alike.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        plan: Plan,
        steps: int,
        objective: Objective | None = None,
        fine_tuning: FineTuning | None = None,
    ) -> None:
        self.model = model
        self._fine_tuning = fine_tuning
        self._train()
        self._auxiliary: float = getattr(model, "auxiliary_weight", 0.0)
        self.objective = objective or Labels()
        scores: Callable[..., Any] = model
        if self._auxiliary:
            scores = cast(Auxiliary, model).forward_all
        elif self.objective.training_method != "forward":
            scores = getattr(model, self.objective.training_method, model)
        self._training = _compiled(scores) if plan.compile else scores
        slow = fine_tuning.body if fine_tuning else frozenset[str]()
        self.optimization = Optimization(model, recipe=recipe, steps=steps, slow=slow)
        self._smoothing = recipe.label_smoothing
        self._bf16 = plan.precision == "bf16"
        self._channels_last = plan.memory_format == "channels_last"

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Learn from one batch and return its loss, detached."""
        if self._fine_tuning:
            self._fine_tuning.advance(self.optimization.taken)
        loss = self._training_loss(x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimization.step()
        return loss.detach()

    def evaluate(self, batches: Iterable[Tensor], y: Tensor) -> tuple[float, float]:
        """Return the loss without smoothing, and the objective's score."""
        return self.objective.score(self._kept(batches, y), y)

    def predict(self, batches: Iterable[Tensor], y: Tensor) -> np.ndarray:
        """Return the objective's answers to examples whose truth is `y`."""
        return self.objective.answers(self._kept(batches, y, last=True))

    def state(self) -> dict[str, Tensor]:
        """Return model and optimizer tensors and the step count."""
        model = {_MODEL + name: tensor for name, tensor in self.weights().items()}
        optimizer = {_OPTIMIZER + k: tensor for k, tensor in self.optimization.state().items()}
        return {**model, **optimizer}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        self.load_weights(_under(_MODEL, tensors))
        self.optimization.load_state(_under(_OPTIMIZER, tensors))

    def weights(self) -> dict[str, Tensor]:
        """Return the model's state dict, live."""
        state = self.model.state_dict()
        return {name: value for name, value in state.items() if isinstance(value, Tensor)}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the model's state dict."""
        self.model.load_state_dict(dict(tensors), strict=True)

    def _training_loss(self, x: Tensor, y: Tensor) -> Tensor:
        given, truth = self.objective.ask(x, y, training=True)
        found = self._forward(given, self._training)
        scores = found if isinstance(found, list) else [found]
        losses = (
            self.objective.loss(_widened(s), truth, smoothing=self._smoothing) for s in scores
        )
        *auxiliary, loss = losses
        for other in auxiliary:
            loss = loss + self._auxiliary * other
        return loss

    def _forward(self, given: tuple[Tensor, ...], model: Callable[..., Answer]) -> Answer:
        if self._channels_last and given[0].ndim == 4:
            given = (given[0].contiguous(memory_format=torch.channels_last), *given[1:])
        with self._precision(given[0].device.type):
            return model(*given)

    def _precision(self, kind: str) -> AbstractContextManager[object]:
        return torch.autocast(kind, torch.bfloat16) if self._bf16 else nullcontext()

    def _kept(self, batches: Iterable[Tensor], y: Tensor, *, last: bool = False) -> Tensor:
        """Return what the objective keeps of the outputs to each example."""
        self.model.eval()
        try:
            with torch.inference_mode():
                kept: list[Tensor] = []
                seen = 0
                for x in batches:
                    meant = y[seen : seen + len(x)].to(x.device)
                    given, truth = self.objective.ask(x, meant, training=False)
                    outputs = self._forward(given, self.model).float()
                    found = self.objective.keep(outputs, truth)
                    if last:
                        found = self.objective.finish(self.model, given, truth, found)
                    kept.append(found.cpu())
                    seen += len(x)
                return torch.cat(kept)
        finally:
            self._train()

    def _train(self) -> None:
        (self._fine_tuning or self.model).train()


def _compiled(scores: Callable[..., Answer]) -> Callable[..., Answer]:
    """Return a model's forward pass, compiled; it shares the model's weights."""
    import torch._inductor.config as inductor

    inductor.compile_threads = 1  # a trial's own core
    return torch.compile(scores, dynamic=False)


def _widened(scores: Any) -> Any:
    return scores.float() if isinstance(scores, Tensor) else scores


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
