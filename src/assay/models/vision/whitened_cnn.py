"""Whitened CNN: a small network whose first layer is computed, not learned.

Source: Jordan, 2024, https://arxiv.org/abs/2404.00498, sections 3.1 and 3.2, cut down to two
learned convolutions.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.max_pool import MaxPool2d

MOST_PATCHES = 250_000  # enough for a matrix of at most 48 x 48, in 50 MB


class Whitening(nn.Module):
    """A fixed convolution whose responses to the training patches are uncorrelated.

    Strong directions come out with variance 1, those of under a hundredth of the strongest weaker.

    Each principal direction of the patches is used twice, with both signs, so that the ReLU after
    it loses nothing.

    Args:
        in_channels: Channels of the image.
        kernel_size: Side of a patch, pixels.
        stride: Step between patches; the image gets one pixel of zeros around it.
        directions: Principal directions to keep; at most the pixels of a patch.

    Attributes:
        weight: The filters; random until `initialize` has seen images. A buffer, never trained.

    Shape:
        (B, in_channels, H, W) -> (B, 2 * directions, H', W')
    """

    def __init__(self, in_channels: int, kernel_size: int, stride: int, directions: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        pixels = in_channels * kernel_size**2
        half = torch.randn(min(directions, pixels), in_channels, kernel_size, kernel_size)
        half = half / pixels**0.5
        self.register_buffer("weight", torch.cat([half, -half]))

    @property
    def filters(self) -> Tensor:
        """The filters, (2 * directions, in_channels, kernel_size, kernel_size)."""
        return cast("Tensor", self.weight)

    @torch.no_grad()
    def initialize(self, images: Tensor) -> None:
        """Compute the filters from normalised training images, (N, in_channels, H, W)."""
        area = images.shape[2] * images.shape[3]
        few = images[: max(1, MOST_PATCHES * self.stride**2 // area)].float()
        patches = F.unfold(few, self.kernel_size, stride=self.stride)
        rows = patches.transpose(1, 2).flatten(0, 1)  # (patches, pixels)
        values, vectors = torch.linalg.eigh((rows.T @ rows).double() / len(rows))  # ascending
        kept = len(self.filters) // 2
        scale = (values[-kept:] + 1e-2 * values[-1]).rsqrt()  # damped: the least are noise
        half = (vectors[:, -kept:] * scale).T.flip(0)
        self.filters.copy_(torch.cat([half, -half]).view_as(self.filters))

    def forward(self, x: Tensor) -> Tensor:
        """Filter a batch of images."""
        return F.conv2d(x, self.filters, stride=self.stride, padding=1)


class ShiftNorm(BatchNorm2d):
    """Batch normalisation that learns a shift and no scale."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.register_parameter("weight", None)


class WhitenedCNN(nn.Module):
    """Fixed whitening, two rounds of convolution, pool and normalisation, a linear head.

    Args:
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        channels, *sides = inputs
        if min(sides) < 16:
            self.whitening = Whitening(channels, 3, 1, 12)
        else:
            self.whitening = Whitening(channels, 4, 2, 12)
            sides = [side // 2 for side in sides]
        self.features = nn.Sequential(
            nn.ReLU(),
            *_round(len(self.whitening.filters), 32),
            *_round(32, 64),
        )
        area = (sides[0] // 4) * (sides[1] // 4)
        self.head = nn.Linear(64 * area, outputs)

    def initialize(self, images: Tensor) -> None:
        """Compute the first layer from normalised training images, (N, C, H, W)."""
        self.whitening.initialize(images)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(self.whitening(x))  # (B, 64, H/8, W/8)
        return self.head(x.flatten(1))


def _round(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Return one learned convolution with what follows it; halves the image."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        MaxPool2d(2),
        ShiftNorm(out_channels),
        nn.ReLU(),
    ]


def whitened_cnn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> WhitenedCNN:
    """Return the network; it fits itself to small images, so `small` changes nothing."""
    return WhitenedCNN(inputs, outputs)
