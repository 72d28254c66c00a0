"""ShuffleNet V2: half the channels pass by untouched, and a shuffle lets the halves meet.

Source: Ma, Zhang, Zheng and Sun, 2018, https://arxiv.org/abs/1807.11164, figure 3 and table 5.
"""

import torch
from torch import Tensor, nn

from assay.blocks.channel_shuffle import ChannelShuffle
from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.errors import BadArgumentError

DEPTHS = (4, 8, 4)  # units of the three stages


def branch(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return 1x1, depthwise 3x3, 1x1. (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    return nn.Sequential(
        ConvNormAct(in_channels, out_channels, 1),
        ConvNormAct(out_channels, out_channels, 3, stride, groups=out_channels, act=None),
        ConvNormAct(out_channels, out_channels, 1),
    )


class Keep(nn.Module):
    """Changes one half of the channels and shuffles. (B, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = branch(channels // 2, channels // 2, 1)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return both halves, mixed."""
        same, changed = x.chunk(2, dim=1)
        return self.shuffle(torch.cat([same, self.branch(changed)], dim=1))


class Shrink(nn.Module):
    """Halves the image in two branches. (B, in, H, W) -> (B, out, H / 2, W / 2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.short = nn.Sequential(
            ConvNormAct(in_channels, in_channels, 3, 2, groups=in_channels, act=None),
            ConvNormAct(in_channels, half, 1),
        )
        self.branch = branch(in_channels, half, 2)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return both branches, mixed."""
        return self.shuffle(torch.cat([self.short(x), self.branch(x)], dim=1))


class ShuffleNetV2(nn.Module):
    """A stem, three stages that each halve the image, a wide 1x1 convolution, a linear head.

    Args:
        widths: Channels of the stem, the three stages and the last convolution.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: The stem keeps the image's size.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits

    Raises:
        BadArgumentError: A stage has an odd number of channels, which no half divides.
    """

    def __init__(
        self, widths: tuple[int, ...], *, in_channels: int, outputs: int, small: bool
    ) -> None:
        super().__init__()
        width, *stages, last = widths
        if any(stage % 2 for stage in stages):
            raise BadArgumentError(
                "The stages of `widths` must be even, because half of their channels pass by. "
                f"Received widths={widths}; add or take one channel where a stage is odd."
            )
        self.features = nn.Sequential(ConvNormAct(in_channels, width, 3, 1 if small else 2))
        if not small:
            self.features.append(MaxPool2d(3, 2, 1))
        for depth, out in zip(DEPTHS, stages, strict=True):
            self.features.append(Shrink(width, out))
            self.features.extend(Keep(out) for _ in range(depth - 1))
            width = out
        self.features.append(ConvNormAct(width, last, 1))
        self.head = ImageHead(last, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 1024, H/32, W/32), or H/8, W/8 when small
        return self.head(x)


def shufflenet_v2_x0_5(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> ShuffleNetV2:
    """Return the network at about half the width."""
    widths = (24, 48, 96, 192, 1024)
    return ShuffleNetV2(widths, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v2_x1_0(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> ShuffleNetV2:
    """Return the network at width 1.0."""
    widths = (24, 116, 232, 464, 1024)
    return ShuffleNetV2(widths, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v2_x1_5(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> ShuffleNetV2:
    """Return the network at width 1.5."""
    widths = (24, 176, 352, 704, 1024)
    return ShuffleNetV2(widths, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v2_x2_0(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> ShuffleNetV2:
    """Return the network at width 2.0."""
    widths = (24, 244, 488, 976, 2048)
    return ShuffleNetV2(widths, in_channels=inputs[0], outputs=outputs, small=small)
