"""Building and running networks for their shapes alone: no starting values, no matrix products.

Torch's own meta device does the same, but imports nine hundred modules at its first activation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tag, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Arguments = dict[str, Any]

_LARGE = 10_000  # values; starting fewer costs no time
_FILLS = frozenset({"aten::fill_", "aten::zero_", "aten::copy_"})


@contextmanager
def unstarted() -> Iterator[None]:
    """Have networks that are built in here keep whatever is in their large parameters' memory."""
    with warnings.catch_warnings(action="ignore"), _no_rejections(), _Shapes():  # type: ignore[no-untyped-call]
        yield


@contextmanager
def _no_rejections() -> Iterator[None]:
    """Leave out truncated normals: torch draws them until all are in range, here for ever."""
    real = nn.init._no_grad_trunc_normal_
    nn.init._no_grad_trunc_normal_ = lambda tensor, *_, **__: tensor
    try:
        yield
    finally:
        nn.init._no_grad_trunc_normal_ = real


def compute_shape(func: Any, args: tuple[Any, ...], kwargs: Arguments) -> Any:
    """Return the result of an operation, zeros in the right shape if it costs multiplications."""
    shape = _SHAPES.get(func._overloadpacket)
    if shape is None:
        return func(*args, **kwargs)
    call = arguments_of(func, args, kwargs)
    first = next(value for value in call.values() if isinstance(value, Tensor))
    return first.new_zeros(shape(call))


def arguments_of(func: Any, args: tuple[Any, ...], kwargs: Arguments) -> Arguments:
    """Return the arguments of an operation by name, also those left out."""
    known = func._schema.arguments
    given = {a.name: value for a, value in zip(known, args, strict=False)}
    defaults = {a.name: a.default_value for a in known if a.has_default_value()}
    return {**defaults, **given, **kwargs}


class _Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return args[0] if _only_fills(func, args) else compute_shape(func, args, kwargs or {})


def _only_fills(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation changes nothing but the values of a large tensor of floats."""
    name = func._schema.name
    fills = name in _FILLS or Tag.pointwise in func.tags or Tag.nondeterministic_seeded in func.tags
    if not (fills and name.endswith("_") and isinstance(args[0], Tensor)):
        return False
    return args[0].is_floating_point() and args[0].numel() > _LARGE


def _convolution(call: Arguments) -> tuple[int, ...]:
    x, weight = call["input"], call["weight"]
    channels = weight.shape[1] * call["groups"] if call["transposed"] else weight.shape[0]
    sides = (_side(call, number) for number in range(x.dim() - 2))
    return (x.shape[0], channels, *sides)


def _side(call: Arguments, number: int) -> int:
    """Return what a convolution makes of one side of its input."""
    side, kernel = call["input"].shape[number + 2], call["weight"].shape[number + 2]
    stride, padding, dilation, more = (
        call[name][number % len(call[name])]
        for name in ("stride", "padding", "dilation", "output_padding")
    )
    reach = dilation * (kernel - 1)
    if call["transposed"]:
        return (side - 1) * stride - 2 * padding + reach + more + 1
    return (side + 2 * padding - reach - 1) // stride + 1


def _product(left: str, right: str) -> Callable[[Arguments], tuple[int, ...]]:
    def shape(call: Arguments) -> tuple[int, ...]:
        return (*call[left].shape[:-1], call[right].shape[-1])

    return shape


_SHAPES: dict[Any, Callable[[Arguments], tuple[int, ...]]] = {
    torch.ops.aten.convolution: _convolution,
    torch.ops.aten.mm: _product("self", "mat2"),
    torch.ops.aten.bmm: _product("self", "mat2"),
    torch.ops.aten.addmm: _product("mat1", "mat2"),
    torch.ops.aten.baddbmm: _product("batch1", "batch2"),
}
