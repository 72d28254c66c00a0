"""GhostNet: half of the channels come from a convolution, the other half from cheap copies of them.

Source: Han et al., 2019, https://arxiv.org/abs/1911.11907, figures 2 and 3, table 1.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.residual import Residual
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.blocks.width import nearest_multiple

STEM = 16  # channels of the first convolution
LAST = 1280  # width of the hidden layer of the classifier
# kernel size, width within, channels, channel gate, stride
TABLE_1 = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)


class Ghost(nn.Module):
    """A 1x1 convolution to half the channels, and a 3x3 filter of each for the other half.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, even.
        act: Built without arguments; None leaves it out.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, H, W)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        act: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary = ConvNormAct(in_channels, half, 1, act=act)
        self.cheap = ConvNormAct(half, half, 3, groups=half, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels and their ghosts."""
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], dim=1)


def bottleneck(
    in_channels: int, width: int, out_channels: int, kernel_size: int, stride: int, *, gated: bool
) -> Residual:
    """Return widen, shrink the image where stride is 2, gate, narrow without activation.

    (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)

    Args:
        in_channels: Channels of the input.
        width: Channels between the two ghost modules.
        out_channels: Channels of the output.
        kernel_size: Side of the filters that shrink the image.
        stride: Of these filters; at 1 there are none.
        gated: Whether the channels between are weighed by squeeze and excitation.
    """
    layers: list[nn.Module] = [Ghost(in_channels, width)]
    if stride > 1:
        layers.append(ConvNormAct(width, width, kernel_size, stride, groups=width, act=None))
    if gated:
        reduced = nearest_multiple(width / 4, 4)
        layers.append(SqueezeExcitation(width, reduced, gate=nn.Hardsigmoid, inplace=True))
    layers.append(Ghost(width, out_channels, act=None))
    return Residual(*layers, shortcut=project(in_channels, out_channels, kernel_size, stride))


def project(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Module | None:
    """Return a filter of each channel and a 1x1 mix where the shapes disagree."""
    if in_channels == out_channels and stride == 1:
        return None
    return nn.Sequential(
        ConvNormAct(in_channels, in_channels, kernel_size, stride, groups=in_channels, act=None),
        ConvNormAct(in_channels, out_channels, 1, act=None),
    )


class GhostNet(nn.Module):
    """A stem, sixteen ghost bottlenecks, a wide 1x1 convolution, a classifier of two layers.

    Args:
        multiplier: Of every width but the classifier's; the nearest multiples of 4 are taken.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: The stem keeps the image's size, and no dropout.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, multiplier: float, *, in_channels: int, outputs: int, small: bool) -> None:
        super().__init__()
        channels = nearest_multiple(STEM * multiplier, 4)
        self.features = nn.Sequential(ConvNormAct(in_channels, channels, 3, 1 if small else 2))
        for kernel_size, *widths, gated, stride in TABLE_1:
            width, out = (nearest_multiple(w * multiplier, 4) for w in widths)
            block = bottleneck(channels, width, out, kernel_size, stride, gated=bool(gated))
            self.features.append(block)
            channels = out
        self.features.append(ConvNormAct(channels, width, 1))
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, LAST, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.0 if small else 0.2),
            nn.Linear(LAST, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 960 * multiplier, H/32, W/32), or H/16, W/16 when small
        return self.classifier(x)


def ghostnet_100(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GhostNet:
    """Return the network at width 1.0."""
    return GhostNet(1.0, in_channels=inputs[0], outputs=outputs, small=small)


def ghostnet_050(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GhostNet:
    """Return the network at half the width."""
    return GhostNet(0.5, in_channels=inputs[0], outputs=outputs, small=small)


def ghostnet_130(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GhostNet:
    """Return the network at width 1.3."""
    return GhostNet(1.3, in_channels=inputs[0], outputs=outputs, small=small)
