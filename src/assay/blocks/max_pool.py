"""Max pooling of channels-first maps, which torch's kernel for processors does value by value.

Without gradients it is done by pairwise maxima of whole rows: the largest value of a window is the
largest over its columns of the largest over its rows. With them, for windows of three by three and
more, the map is turned channels last for torch's other kernel, which takes many channels at a time,
and its places are turned back. `benchmarks/layers.py` times both beside torch.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.follow import is_followed

How = tuple[Any, ...]  # kernel, stride, padding and dilation, each of both sides, and ceil_mode


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
        if min(sizes[0]) > 2:  # places of smaller windows are so many that turning them costs more
            values, _ = _Turned.apply(x, (*sizes, (1, 1), ceil_mode))
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


class _Turned(torch.autograd.Function):
    """Pools channels last and hands gradients back channels first."""

    @staticmethod
    def forward(x: Tensor, how: How) -> tuple[Tensor, Tensor]:
        """Return the largest values and their places."""
        turned = x.contiguous(memory_format=torch.channels_last)
        values, places = torch.ops.aten.max_pool2d_with_indices(turned, *how)
        return values.contiguous(), places.contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, How], output: tuple[Tensor, Tensor]) -> None:
        """Keep the places."""
        x, ctx.how = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, output[1])
        ctx.save_for_forward(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        """Return each gradient at the place of its value."""
        x, places = ctx.saved_tensors
        back = torch.ops.aten.max_pool2d_with_indices_backward
        return back(gradient.contiguous(), x, *ctx.how, places), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, None]:
        """Return the tangents of the largest values."""
        (places,) = ctx.saved_tensors
        largest = tangent.flatten(2).gather(2, places.flatten(2))
        return largest.view_as(places), None

    @staticmethod
    def vmap(_: Any, in_dims: tuple[int, None], x: Tensor, how: How) -> tuple[Any, tuple[int, int]]:
        """Pool the maps of several networks as one batch."""
        several = x.movedim(in_dims[0], 0)
        both = _Turned.apply(several.flatten(0, 1), how)
        return tuple(one.unflatten(0, several.shape[:2]) for one in both), (0, 0)
