"""Max pooling of channels-first maps, which torch's kernel for processors does value by value.

Without gradients it is done by pairwise maxima of whole rows: the largest value of a window is the
largest over its columns of the largest over its rows. With them, windows of two by two are compared
in loops in C, and for larger ones the map is turned channels last for torch's other kernel, which
takes many channels at a time, and its places are turned back. Where there is no compiler, or the
loops do not know the map, windows of two by two are torch's. `benchmarks/layers.py` times all of it
beside torch.
"""

import ctypes
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.follow import is_followed, is_transformed
from assay.compiled import compiled

How = tuple[Any, ...]  # kernel, stride, padding and dilation, each of both sides, and ceil_mode
_BY_TWO = ((2, 2), (2, 2), (0, 0))


class MaxPool2d(nn.MaxPool2d):
    """`torch.nn.MaxPool2d`: its arguments, values and gradients, in less time.

    Shape:
        (B, C, H, W) -> (B, C, H', W'), the sides that torch gives
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest value of each window."""
        if self.return_indices or self.dilation != 1:
            return super().forward(x)
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode)


def max_pool2d(
    x: Tensor,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    padding: int | tuple[int, ...] = 0,
    *,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest value of each window: `torch.nn.functional.max_pool2d`.

    Args:
        x: (B, C, H, W).
        kernel_size: Sides of a window.
        stride: Steps between windows.
        padding: How far windows reach beyond each edge, at most half of theirs.
        ceil_mode: Whether a last window may reach beyond the edge.
    """
    sizes = tuple(map(_pair, (kernel_size, stride, padding)))
    if _is_slow(x) and _fits(x, *sizes):
        if not (x.requires_grad and torch.is_grad_enabled()):
            for dim, *how in zip((2, 3), *sizes, strict=True):
                x = _largest(x, dim, *how, ceil=ceil_mode)
            return x
        by_two = sizes == _BY_TWO and not ceil_mode and _is_known(x)
        if by_two or min(sizes[0]) > 2:  # two by two have so many places that to turn them is slow
            values, _ = _Pooled.apply(x, (*sizes, (1, 1), ceil_mode), by_two)
            return values
    return F.max_pool2d(x, kernel_size, stride, padding, ceil_mode=ceil_mode)


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))


def _is_slow(x: Tensor) -> bool:
    """Return whether torch would pool this map value by value, and nobody follows its operations.

    Who compiles, traces or reads receptive fields is to see a pool.
    """
    if not isinstance(x, Tensor) or is_followed():
        return False
    return x.ndim == 4 and x.is_floating_point() and x.device.type == "cpu" and x.is_contiguous()


def _fits(x: Tensor, *sizes: tuple[int, ...]) -> bool:
    """Return whether torch would pool this, and not copy it; what it refuses is left to it."""
    sides = zip(x.shape[2:], *sizes, strict=True)
    return x.shape[1] > 0 and all(
        1 < kernel <= side + 2 * padding and 0 <= 2 * padding <= kernel and min(stride, side) > 0
        for side, kernel, stride, padding in sides
    )


def _largest(x: Tensor, dim: int, kernel: int, stride: int, padding: int, *, ceil: bool) -> Tensor:
    """Return the largest of `kernel` neighbours along one dimension, `stride` apart."""
    side = x.shape[dim]
    steps = (side + 2 * padding - kernel) / stride
    last = stride * (math.ceil(steps) if ceil else math.floor(steps))  # where its window begins
    if last >= side + padding:  # no window may lie in the padding behind
        last -= stride
    behind = max(last + kernel - side - padding, 0)
    if padding or behind:
        x = F.pad(x, (0, 0) * (3 - dim) + (padding, behind), value=-math.inf)
    places = (slice(None),) * dim
    largest = x[(*places, slice(0, last + 1, stride))]
    for first in range(1, kernel):
        largest = torch.maximum(largest, x[(*places, slice(first, first + last + 1, stride))])
    return largest


def _is_known(x: Tensor) -> bool:
    """Return whether the loops may read the values as they lie, and nobody follows them."""
    if x.dtype is not torch.float32 or type(x) is not Tensor or is_transformed():
        return False
    plain = torch._C._has_storage(x) and not (x.is_neg() or x._is_zerotensor())
    return plain and torch.get_num_threads() == 1 and _loops() is not None


class _Pooled(torch.autograd.Function):
    """Pools in another way than torch would, and hands gradients back as torch does."""

    @staticmethod
    def forward(x: Tensor, how: How, by_two: bool) -> tuple[Tensor, Tensor]:  # noqa: FBT001
        """Return the largest values and their places."""
        if by_two:
            return _pooled_by_two(x)
        turned = x.contiguous(memory_format=torch.channels_last)
        values, places = torch.ops.aten.max_pool2d_with_indices(turned, *how)
        return values.contiguous(), places.contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the places."""
        x, ctx.how, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, output[1])
        ctx.save_for_forward(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        """Return each gradient at the place of its value."""
        x, places = ctx.saved_tensors
        back = torch.ops.aten.max_pool2d_with_indices_backward
        return back(gradient.contiguous(), x, *ctx.how, places), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, None]:
        """Return the tangents of the largest values."""
        (places,) = ctx.saved_tensors
        largest = tangent.flatten(2).gather(2, places.flatten(2))
        return largest.view_as(places), None

    @staticmethod
    def vmap(
        _: Any,
        in_dims: tuple[int, None, None],
        x: Tensor,
        how: How,
        by_two: bool,  # noqa: FBT001
    ) -> tuple[Any, tuple[int, int]]:
        """Pool the maps of several networks as one batch."""
        several = x.movedim(in_dims[0], 0)
        both = _Pooled.apply(several.flatten(0, 1), how, by_two)
        return tuple(one.unflatten(0, several.shape[:2]) for one in both), (0, 0)


def _pooled_by_two(x: Tensor) -> tuple[Tensor, Tensor]:
    images, channels, height, width = x.shape
    values = x.new_empty(images, channels, height // 2, width // 2)
    places = torch.empty_like(values, dtype=torch.int64)
    pool = cast("Callable[..., None]", _loops())
    sizes = images * channels, height, width
    pool(x.data_ptr(), *sizes, values.data_ptr(), places.data_ptr())
    return values, places


@cache
def _loops() -> Callable[..., None] | None:
    """Return the compiled loops; None where there are none."""
    library = compiled(Path(__file__).with_name("max_pool.c"))
    if library is None:
        return None
    place, size = ctypes.c_void_p, ctypes.c_int64
    library.pool_by_two.argtypes = [place, size, size, size, place, place]
    library.pool_by_two.restype = None
    return cast("Callable[..., None]", library.pool_by_two)
