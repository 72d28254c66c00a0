"""Augmentation of whole batches: one indexing operation, not one call for each image."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - everybody's name for it


def shift_reach(side: int, share: float = 0.125) -> int:
    """Return how many pixels images of this side are shifted at most.

    Args:
        side: The shorter one, in pixels.
        share: Of the side, in [0, 0.5]; the nearest number of pixels is taken, halves upwards.
    """
    return math.floor(side * share + 0.5)


def draw_offsets(count: int, *, reach: int, generator: torch.Generator) -> Tensor:
    """Return where the windows of `shift` begin, rows and columns (2, B), in [0, 2 · reach]."""
    return torch.randint(2 * reach + 1, (2, count), generator=generator)


def shift(images: Tensor, offsets: Tensor, *, reach: int) -> Tensor:
    """Move every image by its own whole number of pixels; what comes in is zero.

    Args:
        images: Of any dtype.
        offsets: From `draw_offsets`.
        reach: Largest distance in pixels, up, down, left and right.

    Shape:
        (B, C, H, W), (2, B) -> (B, C, H, W)
    """
    *_, height, width = images.shape
    padded = F.pad(images, (reach, reach, reach, reach))
    top, left = offsets.to(images.device, non_blocking=True)
    return crop(padded, top, left, height=height, width=width)


def crop(padded: Tensor, top: Tensor, left: Tensor, *, height: int, width: int) -> Tensor:
    """Return from each image the window that begins at its own row and column.

    Shape:
        (B, C, H', W'), (B,), (B,) -> (B, C, height, width)
    """
    pieces = torch.arange(len(padded), device=padded.device)
    if padded.device.type != "cpu":
        return padded.unfold(2, height, 1).unfold(3, width, 1)[pieces, :, top, left]
    windows = np.lib.stride_tricks.sliding_window_view(padded.numpy(), (height, width), axis=(2, 3))
    chosen = windows[pieces.numpy(), :, top.numpy(), left.numpy()]  # 4 times as fast as torch's
    return torch.from_numpy(np.ascontiguousarray(chosen))
