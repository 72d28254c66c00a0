"""Functions and tensor methods on batches of several networks at once: (S, B, ...)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.engine.stacked_layers import aligned, behind, convolution, folded, linear

Function = Callable[..., Tensor]

_EACH_VALUE_ALONE: tuple[Any, ...] = (
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.pow,
    torch.add, torch.sub, torch.mul, torch.div, torch.neg, torch.pow, torch.square, torch.sqrt,
    torch.exp, torch.abs, torch.maximum, torch.minimum, torch.clamp,
    torch.relu, torch.tanh, torch.sigmoid, F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu,
    F.silu, F.mish, F.tanh, F.sigmoid, F.hardswish, F.hardsigmoid, F.softplus,
)  # fmt: skip
_EACH_CHANNEL_ALONE: tuple[Any, ...] = (
    F.max_pool1d, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.interpolate,
)  # fmt: skip
_METHODS_EACH_VALUE_ALONE = (
    "add", "sub", "mul", "div", "neg", "pow", "square", "sqrt", "exp", "abs", "clamp",
    "relu", "tanh", "sigmoid", "float", "contiguous",
)  # fmt: skip


def each_value(function: Function) -> Function:
    """Return an elementwise function whose arguments broadcast seed by seed."""

    def apply(*args: Any, **options: Any) -> Tensor:
        dimensions = max(a.dim() for a in args if isinstance(a, Tensor))
        given = (aligned(a, dimensions) if isinstance(a, Tensor) else a for a in args)
        return function(*given, **options)

    return apply


def _flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    return x.flatten(behind(start_dim), behind(end_dim))


def _transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    return x.transpose(behind(dim0), behind(dim1))


def _permute(x: Tensor, *dims: Any) -> Tensor:
    order = dims[0] if isinstance(dims[0], tuple | list) else dims
    return x.permute(0, *(1 + dim % (x.dim() - 1) for dim in order))


def _unsqueeze(x: Tensor, dim: int) -> Tensor:
    return x.unsqueeze(behind(dim))


def _item(x: Tensor, index: Any) -> Tensor:
    return x[(slice(None), *(index if isinstance(index, tuple) else (index,)))]


def _over(function: Function) -> Function:
    """Return what combines the values along `dim`."""

    def apply(x: Tensor, dim: int | tuple[int, ...] | list[int], **options: Any) -> Tensor:
        dims = dim if isinstance(dim, tuple | list) else (dim,)
        return function(x, tuple(behind(d) for d in dims), **options)

    return apply


_SHAPES: dict[str, Function] = {
    "flatten": _flatten,
    "transpose": _transpose,
    "permute": _permute,
    "unsqueeze": _unsqueeze,
    "mean": _over(torch.mean),
    "sum": _over(torch.sum),
    "amax": _over(torch.amax),
}

FUNCTIONS: dict[Any, Function] = {
    **{function: each_value(function) for function in _EACH_VALUE_ALONE},
    **{getattr(torch, name): function for name, function in _SHAPES.items()},
    operator.getitem: _item,
    F.linear: linear,
    F.conv1d: convolution(F.conv1d),
    F.conv2d: convolution(F.conv2d),
    **{function: folded(function) for function in _EACH_CHANNEL_ALONE},
}

METHODS: dict[str, Function] = {
    **{name: each_value(getattr(Tensor, name)) for name in _METHODS_EACH_VALUE_ALONE},
    **_SHAPES,
}
