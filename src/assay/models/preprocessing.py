"""What images went through before a network learned from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from assay.errors import BadArgumentError

if TYPE_CHECKING:
    from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize, crop the middle, put on 0..1, standardise each channel.

    Attributes:
        mean: Of each channel, on 0..1.
        std: Of each channel, on 0..1.
        size: Height and width of the crop, pixels.
        resize: Length of the shorter side before the crop, pixels.
        interpolation: Of the resize, antialiased.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    resize: int
    interpolation: Interpolation = "bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """Return what the network reads.

        Shape:
            (..., C, H, W) uint8 -> (..., C, *size) float32

        Raises:
            BadArgumentError: They are no uint8 images of as many channels as `mean` has.
        """
        import torch

        if images.dtype != torch.uint8 or images.ndim < 3 or images.shape[-3] != len(self.mean):
            raise BadArgumentError(
                f"Preprocessing reads uint8 images (..., {len(self.mean)}, H, W). Received "
                f"{images.dtype} of shape {tuple(images.shape)}; give pixels as stored."
            )
        pixels = self._cropped(self._resized(images)).float() / 255
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std

    def of_shape(self, inputs: tuple[int, ...]) -> Preprocessing:
        """Return the same for images of another shape (C, H, W), cropped by the same share.

        The statistics of other than the own number of channels are the mean of them all.
        """
        channels, height, width = inputs
        resize = round(self.resize * min(height, width) / min(self.size))
        fitting = replace(self, size=(height, width), resize=resize)
        if channels == len(self.mean):
            return fitting
        mean, std = (sum(v) / len(v) for v in (self.mean, self.std))
        return replace(fitting, mean=(mean,) * channels, std=(std,) * channels)

    def _resized(self, images: Tensor) -> Tensor:
        from torch.nn import functional as F

        height, width = images.shape[-2:]
        enlarged = [round(side * self.resize / min(self.size)) for side in self.size]
        if enlarged[0] * width >= enlarged[1] * height:
            sides = (enlarged[0], int(enlarged[0] * width / height))
        else:
            sides = (int(enlarged[1] * height / width), enlarged[1])
        if sides == (height, width):
            return images
        batch = images.flatten(0, -4) if images.ndim > 3 else images[None]
        scaled = F.interpolate(batch.float(), sides, mode=self.interpolation, antialias=True)
        rounded = scaled.clamp(0, 255).round().to(images.dtype)  # as stored images are
        return rounded.view(*images.shape[:-2], *sides)

    def _cropped(self, images: Tensor) -> Tensor:
        height, width = self.size
        top, left = (round((images.shape[-2] - height) / 2), round((images.shape[-1] - width) / 2))
        return images[..., top : top + height, left : left + width]
