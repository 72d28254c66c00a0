"""Learning from labelled examples: classification, and regression on one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.engine.spec import Plan, Recipe

_WARMUP_FLOOR = 1e-8  # keeps a schedule without warm-up from dividing by zero


def one_cycle(step: int, *, steps: int, warmup: float) -> float:
    """Return the fraction of the peak learning rate at `step`: up in a line, down in a line.

    Args:
        step: From 0; the last one is `steps - 1`.
        steps: Of the whole run.
        warmup: Fraction of all steps before the peak, in [0, 1).
    """
    rise = max(warmup * steps, _WARMUP_FLOOR)
    return min((step + 1) / rise, (steps - step) / max(steps - rise, 1.0), 1.0)


class Supervised:
    """Trains one model on (x, y) batches by the recipe, computed as the plan says.

    Args:
        model: Built, initialised and prepared by the plan already; returns logits (B, K), or
            (B, 1) for regression.
        recipe: Optimizer, schedule, loss and clipping.
        plan: Precision and memory format of the inputs.
        steps: Of the whole run, which the schedule spans.
        target: Mean and standard deviation of the regression target in the training part; None
            for classification.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        plan: Plan,
        steps: int,
        target: tuple[float, float] | None = None,
    ) -> None:
        self.model = model.train()
        self.recipe = recipe
        self.steps = steps
        self.target = target
        self.taken = 0
        self._bf16 = plan.precision == "bf16"
        self._channels_last = plan.memory_format == "channels_last"
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = _optimizer(model, recipe)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Learn from one batch and return its loss, detached."""
        rate = self.recipe.lr * one_cycle(self.taken, steps=self.steps, warmup=self.recipe.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(self._forward(x), y, smoothing=self.recipe.label_smoothing)
        loss.backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.taken += 1
        return loss.detach()

    def evaluate(self, batches: Iterable[Tensor], y: Tensor) -> tuple[float, float]:
        """Return the loss without smoothing, and accuracy or R²."""
        logits = self._outputs(batches)
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
        tensors = {f"model.{name}": tensor for name, tensor in self.weights().items()}
        for index, parameter in enumerate(self._parameters):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{index}.{key}"] = value
        return {**tensors, "taken": torch.tensor(self.taken)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        model, optimizer = "model.", "optimizer."
        self.load_weights(
            {k.removeprefix(model): v for k, v in tensors.items() if k.startswith(model)}
        )
        self.optimizer.state.clear()
        for name in (k for k in tensors if k.startswith(optimizer)):
            index, key = name.removeprefix(optimizer).split(".", 1)
            parameter = self._parameters[int(index)]
            self.optimizer.state[parameter][key] = _laid_out_like(parameter, tensors[name])
        self.taken = int(tensors["taken"])

    def weights(self) -> dict[str, Tensor]:
        """Return the model's state dict, live."""
        state = self.model.state_dict()
        return {name: value for name, value in state.items() if isinstance(value, Tensor)}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the model's state dict."""
        self.model.load_state_dict(dict(tensors), strict=True)

    def _forward(self, x: Tensor) -> Tensor:
        if self._channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with self._precision():
            return self.model(x).float()

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
                return torch.cat([self._forward(x) for x in batches])
        finally:
            self.model.train()


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    exempt = _never_decayed(model)
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    decayed = [p for n, p in trained if p.ndim > 1 and n not in exempt]
    plain = [p for n, p in trained if p.ndim <= 1 or n in exempt]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True
        )
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def _never_decayed(model: nn.Module) -> set[str]:
    """Names that the model itself exempts, as timm's networks do for embeddings."""
    ask = getattr(model, "no_weight_decay", None)
    return set(ask()) if callable(ask) else set()


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy of `value` with the strides of `parameter`, which the fused optimizers rely on."""
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _r2(predicted: Tensor, truth: Tensor) -> float:
    spread = (truth - truth.mean()).square().sum().item()
    return 1.0 - (predicted - truth).square().sum().item() / spread if spread > 0 else 0.0
