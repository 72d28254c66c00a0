"""Torch's fused optimizers with a one-cycle schedule, on weights in any memory format."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from assay.engine.spec import Recipe


def one_cycle(step: int, *, steps: int, warmup: float) -> float:
    """Return the fraction of the peak learning rate at `step`: up in a line, down in a line.

    Args:
        step: From 0; the last one is `steps - 1`.
        steps: Of the whole run.
        warmup: Fraction of all steps before the peak, in [0, 1).
    """
    rise = warmup * steps
    up = (step + 1) / rise if rise else 1.0
    return min(up, (steps - step) / max(steps - rise, 1.0), 1.0)


class Optimization:
    """Updates a model's weights from their gradients.

    Norms, biases and what the model exempts itself are not decayed. The fused kernels copy every
    weight, gradient and moment that is not contiguous, twice a step; channels-last weights are
    therefore handed to them as contiguous views of the same memory.

    Args:
        model: Whose trainable parameters are updated; in its final memory format.
        recipe: Optimizer, peak learning rate, decay and clipping.
        steps: Of the whole run, which the schedule spans.
    """

    def __init__(self, model: nn.Module, *, recipe: Recipe, steps: int) -> None:
        self.recipe, self.steps = recipe, steps
        self.taken = 0
        exempt = _never_decayed(model)
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        decayed = [p for n, p in trained if p.ndim > 1 and n not in exempt]
        plain = [p for n, p in trained if p.ndim <= 1 or n in exempt]
        self._parameters = decayed + plain
        self._updated = [_contiguous_view(p) for p in self._parameters]
        pairs = zip(self._parameters, self._updated, strict=True)
        self._views = [(p, view) for p, view in pairs if view is not p]
        self._optimizer = _fused(
            self._updated[: len(decayed)], self._updated[len(decayed) :], recipe
        )

    def step(self) -> None:
        """Clip, update and forget the gradients."""
        rate = self.recipe.lr * one_cycle(self.taken, steps=self.steps, warmup=self.recipe.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip, foreach=True)
        for parameter, view in self._views:
            view.grad = None if parameter.grad is None else _channels_outside(parameter.grad)
        self._optimizer.step()
        for parameter in self._parameters:
            parameter.grad = None
        self.taken += 1

    def state(self) -> dict[str, Tensor]:
        """Return the moments and the steps taken."""
        tensors = {"taken": torch.tensor(self.taken)}
        for index, updated in enumerate(self._updated):
            for key, value in self._optimizer.state.get(updated, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{index}.{key}"] = value
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        self.taken = int(tensors["taken"])
        self._optimizer.state.clear()
        for name in (name for name in tensors if name != "taken"):
            index, key = name.split(".", 1)
            self._optimizer.state[self._updated[int(index)]][key] = tensors[name].clone()


def _fused(
    decayed: list[Tensor], plain: list[Tensor], recipe: Recipe
) -> torch.optim.SGD | torch.optim.AdamW:
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


def _contiguous_view(parameter: Tensor) -> Tensor:
    if parameter.is_contiguous():
        return parameter
    if parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        return _channels_outside(parameter.detach())
    return parameter


def _channels_outside(tensor: Tensor) -> Tensor:
    """(O, I, H, W) -> (O, H, W, I), the same memory."""
    return tensor.permute(0, 2, 3, 1)
