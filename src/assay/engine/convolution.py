"""Convolutions on few pixels as matrix products: faster than torch's own there.

oneDNN's kernels, above all the gradient of the weights, are made for many pixels and few channels.
On 4x4 pixels and fewer a network's last stages spend 3 to 17 times as long in them as in the plain
matrix products that they amount to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_PIXELS = 16  # of the output; above it gathering the patches costs more than it gains
_LEAST_CHANNELS = 64


def can_multiply(module: nn.Module) -> bool:
    """Return whether `module` is a convolution that `multiply_few_pixels` speeds up."""
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.kernel_size != (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.in_channels >= _LEAST_CHANNELS
    )


def multiply_few_pixels(module: nn.Conv2d) -> None:
    """Have `module` compute outputs of at most 16 pixels as matrix products."""
    inner = module.forward

    def forward(x: Tensor) -> Tensor:
        if pixels_out(module, x) > MOST_PIXELS:
            return inner(x)
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        weight = module.weight.to(kind)
        y: Tensor = _Multiplied.apply(x.to(kind), weight, module.stride, module.padding)
        return y if module.bias is None else y + module.bias.to(kind).view(-1, 1, 1)

    module.forward = forward  # type: ignore[method-assign, assignment]


def pixels_out(module: nn.Conv2d, x: Tensor) -> int:
    """Return the pixels of one output map for an input (B, C, H, W)."""
    padding = module.padding
    high, wide = (
        (x.shape[2 + i] + 2 * int(padding[i]) - module.kernel_size[i]) // module.stride[i] + 1
        for i in (0, 1)
    )
    return high * wide


class _Multiplied(torch.autograd.Function):
    """Cross-correlation by gathering patches; everything has its channels innermost."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        patches, grid = _patches(x, weight, stride, padding)
        matrix = _matrix(weight)
        ctx.save_for_backward(patches, matrix)
        ctx.shapes = x.shape, weight.shape, grid, stride, padding
        return (patches @ matrix.t()).view(len(x), *grid, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        patches, matrix = ctx.saved_tensors
        shape, (outs, ins, *kernel), grid, stride, padding = ctx.shapes
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, outs)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            spread = (rows @ matrix).view(shape[0], *grid, *kernel, ins)
            of_x = _gathered_back(spread, shape, stride, padding)
        if ctx.needs_input_grad[1]:
            of_weight = (rows.t() @ patches).view(outs, *kernel, ins).permute(0, 3, 1, 2)
        return of_x, of_weight, None, None


def _patches(
    x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[Tensor, tuple[int, int]]:
    """(B, C, H, W) -> (B·H'·W', KH·KW·C), and (H', W')."""
    high, wide = padding
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, wide, wide, high, high)).contiguous()
    windows = padded.unfold(1, weight.shape[2], stride[0]).unfold(2, weight.shape[3], stride[1])
    windows = windows.permute(0, 1, 2, 4, 5, 3)  # (B, H', W', KH, KW, C)
    return windows.reshape(-1, weight[0].numel()), (windows.shape[1], windows.shape[2])


def _matrix(weight: Tensor) -> Tensor:
    """(O, C, KH, KW) -> (O, KH·KW·C); a view of channels-last weights."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _gathered_back(
    spread: Tensor, shape: torch.Size, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """(B, H', W', KH, KW, C) -> (B, C, H, W): every pixel's shares, added in float32."""
    batch, channels, high, wide = shape
    down, right = padding
    total = torch.zeros(batch, high + 2 * down, wide + 2 * right, channels)
    (rows, columns), (tall, broad) = spread.shape[1:3], spread.shape[3:5]
    for i in range(tall):
        for j in range(broad):
            window = total[:, i : i + stride[0] * rows : stride[0]]
            window[:, :, j : j + stride[1] * columns : stride[1]] += spread[:, :, :, i, j]
    inside = total[:, down : down + high, right : right + wide]
    return inside.to(spread.dtype).permute(0, 3, 1, 2)
