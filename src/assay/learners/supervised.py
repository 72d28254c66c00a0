"""Learning from labelled examples: classification, and regression on one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.auxiliary import Auxiliary
from assay.engine.spec import Plan, Recipe
from assay.learners.fine_tuning import FineTuning
from assay.learners.optimization import Optimization

Answer = TypeVar("Answer")

_MODEL, _OPTIMIZER = "model.", "optimizer."


class Supervised:
    """Trains one model on (x, y) batches by the recipe, computed as the plan says.

    A model that is `Auxiliary` learns from the losses of its auxiliary classifiers too, by the
    weight that it names; evaluations and predictions leave them out.

    Args:
        model: Built, initialised and prepared by the plan already; returns logits (B, K), or
            (B, 1) for regression.
        recipe: Optimizer, schedule, loss and clipping.
        plan: Precision and memory format of the inputs.
        steps: Of the whole run, which the schedule spans.
        target: Mean and standard deviation of the regression target in the training part; None
            for classification.
        fine_tuning: Which layers learn, where not all do alike.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        plan: Plan,
        steps: int,
        target: tuple[float, float] | None = None,
        fine_tuning: FineTuning | None = None,
    ) -> None:
        self.model = model
        self._fine_tuning = fine_tuning
        self._train()
        self._auxiliary: float = getattr(model, "auxiliary_weight", 0.0)
        scores: Callable[[Tensor], Tensor | list[Tensor]] = (
            cast(Auxiliary, model).forward_all if self._auxiliary else model
        )
        self._training = _compiled(scores) if plan.compile else scores
        self.target = target
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
        """Return the loss without smoothing, and accuracy or R²."""
        return self.score(self._outputs(batches), y)

    def score(self, logits: Tensor, y: Tensor) -> tuple[float, float]:
        """Return what `evaluate` returns of a model's outputs, (N, K) or (N, 1)."""
        loss = self._loss(logits, y, smoothing=0.0).item()
        if self.target is None:
            return loss, (logits.argmax(1) == y).double().mean().item()
        return loss, _r2(logits.squeeze(1), self._standard(y))

    def predict(self, batches: Iterable[Tensor]) -> np.ndarray:
        """Return float32 probabilities (N, K), or values (N,) in the target's own unit."""
        outputs = self._outputs(batches)
        if self.target is None:
            return outputs.softmax(1).numpy()
        mean, deviation = self.target
        return (outputs.squeeze(1) * deviation + mean).numpy()

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
        found = self._forward(x, self._training)
        scores = [found] if isinstance(found, Tensor) else found
        losses = (self._loss(s.float(), y, smoothing=self._smoothing) for s in scores)
        *auxiliary, loss = losses
        for other in auxiliary:
            loss = loss + self._auxiliary * other
        return loss

    def _forward(self, x: Tensor, model: Callable[[Tensor], Answer]) -> Answer:
        if self._channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with self._precision():
            return model(x)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16) if self._bf16 else nullcontext()

    def _loss(self, logits: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        if self.target is None:
            return F.cross_entropy(logits, y, label_smoothing=smoothing)
        return F.mse_loss(logits.squeeze(1), self._standard(y))

    def _standard(self, y: Tensor) -> Tensor:
        mean, deviation = self.target or (0.0, 1.0)
        return (y - mean) / deviation

    def _outputs(self, batches: Iterable[Tensor]) -> Tensor:
        self.model.eval()
        try:
            with torch.inference_mode():
                return torch.cat([self._forward(x, self.model).float() for x in batches])
        finally:
            self._train()

    def _train(self) -> None:
        (self._fine_tuning or self.model).train()


def _compiled(scores: Callable[[Tensor], Answer]) -> Callable[[Tensor], Answer]:
    """Return a model's forward pass, compiled; it shares the model's weights."""
    import torch._inductor.config as inductor

    inductor.compile_threads = 1  # a trial's own core
    return torch.compile(scores, dynamic=False)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _r2(predicted: Tensor, truth: Tensor) -> float:
    spread = (truth - truth.mean()).square().sum().item()
    return 1.0 - (predicted - truth).square().sum().item() / spread if spread > 0 else 0.0
