"""Torch's fused optimizers with a schedule of the rate, on weights in any memory format."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from assay.engine.spec import Recipe
from assay.learners.fine_tuning import BODY_RATE
from assay.learners.schedule import SCHEDULES


class Optimization:
    """Updates a model's weights from their gradients.

    The kernels are torch's fused ones, called as functions: building a `torch.optim.Optimizer`
    imports the compiler, which costs more than a whole short trial. Norms, biases and what the
    model exempts itself are not decayed. The kernels copy every weight, gradient and moment that is
    not contiguous, twice a step; channels-last weights are therefore handed to them as contiguous
    views of the same memory.

    Args:
        model: Whose trainable parameters are updated; in its final memory format.
        recipe: Optimizer, peak learning rate, decay and clipping.
        steps: Of the whole run, which the schedule spans.
        slow: Names of parameters that learn at `BODY_RATE` of the rate.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        steps: int,
        slow: frozenset[str] = frozenset(),
    ) -> None:
        self.recipe, self.steps = recipe, steps
        self.taken = 0
        exempt = _never_decayed(model)
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self._parameters = [p for _, p in trained]
        self._names = {p: n for n, p in trained}
        kind = _Sgd if recipe.optimizer == "sgd" else _AdamW
        self._groups: list[_Sgd | _AdamW] = []
        self._shares: list[float] = []  # of the rate, of each group
        for share in (1.0, BODY_RATE) if slow else (1.0,):
            mine = [(n, p) for n, p in trained if (n in slow) == (share < 1)]
            decayed = [p for n, p in mine if _decays(n, p, exempt)]
            others = [p for n, p in mine if not _decays(n, p, exempt)]
            self._groups += [kind(decayed, recipe, recipe.weight_decay), kind(others, recipe, 0.0)]
            self._shares += [share, share]

    @torch.no_grad()
    def step(self) -> None:
        """Clip, update and forget the gradients."""
        share_of_peak = SCHEDULES[self.recipe.schedule]
        rate = self.recipe.lr * share_of_peak(
            self.taken, steps=self.steps, warmup=self.recipe.warmup
        )
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip, foreach=True)
        for group, share in zip(self._groups, self._shares, strict=True):
            group.update(rate * share)
        for parameter in self._parameters:
            parameter.grad = None
        self.taken += 1

    def state(self) -> dict[str, Tensor]:
        """Return the moments and the steps taken."""
        tensors = {"taken": torch.tensor(self.taken)}
        for number, group in enumerate(self._groups):
            for name, values in group.moments().items():
                tensors |= {f"{number}.{name}.{i}": value for i, value in enumerate(values)}
        return tensors

    def by_name(self) -> dict[str, Tensor]:
        """Return the moments, live, as "moment.parameter", each in its parameter's own shape."""
        return {
            f"{moment}.{self._names[parameter]}": _as_parameter(value, parameter, view)
            for group in self._groups
            for moment, values in group.moments().items()
            for (parameter, view), value in zip(group.weights, values, strict=True)
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        self.taken = int(tensors["taken"])
        for number, group in enumerate(self._groups):
            for name, values in group.moments().items():
                for i, value in enumerate(values):
                    value.copy_(tensors[f"{number}.{name}.{i}"])


class _Sgd:
    """Nesterov's momentum. Sutskever et al., 2013; torch's form of it."""

    def __init__(self, parameters: list[nn.Parameter], recipe: Recipe, decay: float) -> None:
        self.weights = [(p, _contiguous_view(p)) for p in parameters]
        self._momentum, self._decay = recipe.momentum, decay
        self._buffers = [torch.zeros_like(view) for _, view in self.weights]

    def moments(self) -> dict[str, list[Tensor]]:
        """Return the state, live."""
        return {"momentum": self._buffers}

    def update(self, rate: float) -> None:
        """Take one step; weights without a gradient stay."""
        views, gradients, chosen = _with_gradients(self.weights)
        if views:
            sgd(
                views,
                gradients,
                [self._buffers[i] for i in chosen] if self._momentum > 0 else [None] * len(views),
                fused=not hasattr(views[0], "placements"),  # no such kernel for a rank's share
                weight_decay=self._decay,
                momentum=self._momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self._momentum > 0,
                maximize=False,
            )


class _AdamW:
    """Adam with decoupled weight decay. Loshchilov and Hutter, 2019, algorithm 2."""

    def __init__(self, parameters: list[nn.Parameter], recipe: Recipe, decay: float) -> None:
        self.weights = [(p, _contiguous_view(p)) for p in parameters]
        self._decay, self._beta2, self._epsilon = decay, recipe.beta2, recipe.epsilon
        views = [view for _, view in self.weights]
        self._first, self._second = ([torch.zeros_like(v) for v in views] for _ in range(2))
        self._steps = [torch.zeros((), device=v.device) for v in views]

    def moments(self) -> dict[str, list[Tensor]]:
        """Return the state, live."""
        return {"first": self._first, "second": self._second, "steps": self._steps}

    def update(self, rate: float) -> None:
        """Take one step; weights without a gradient stay."""
        views, gradients, chosen = _with_gradients(self.weights)
        if views:
            adamw(
                views,
                gradients,
                [self._first[i] for i in chosen],
                [self._second[i] for i in chosen],
                [],
                [self._steps[i] for i in chosen],
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=self._beta2,
                lr=rate,
                weight_decay=self._decay,
                eps=self._epsilon,
                maximize=False,
            )


def _with_gradients(
    weights: list[tuple[nn.Parameter, Tensor]],
) -> tuple[list[Tensor], list[Tensor], list[int]]:
    """Return the views and gradients of the weights that have one, and which they are."""
    views, gradients, chosen = [], [], []
    for i, (parameter, view) in enumerate(weights):
        gradient = parameter.grad
        if gradient is not None:
            views.append(view)
            gradients.append(gradient if view is parameter else _channels_outside(gradient))
            chosen.append(i)
    return views, gradients, chosen


def _decays(name: str, parameter: nn.Parameter, exempt: set[str]) -> bool:
    return parameter.ndim > 1 and name not in exempt


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


def _as_parameter(moment: Tensor, parameter: Tensor, view: Tensor) -> Tensor:
    """Undo `_contiguous_view` for what has the shape of a view; step counts stay."""
    return moment if view is parameter or moment.ndim < 4 else moment.permute(0, 3, 1, 2)


def _channels_outside(tensor: Tensor) -> Tensor:
    """(O, I, H, W) -> (O, H, W, I), the same memory."""
    return tensor.permute(0, 2, 3, 1)
