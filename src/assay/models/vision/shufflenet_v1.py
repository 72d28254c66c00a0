"""ShuffleNet: 1x1 convolutions in groups, and a shuffle so that the groups hear of each other.

Source: Zhang, Zhou, Lin and Sun, 2017, https://arxiv.org/abs/1707.01083, figure 2 and table 1.
"""

import torch
from torch import Tensor, nn

from assay.blocks.channel_shuffle import ChannelShuffle
from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.residual import Residual
from assay.errors import BadArgumentError

DEPTHS = (4, 8, 4)  # units of the three stages
STEM = 24  # channels of the first convolution
# channels of the three stages, by groups: more groups afford more channels at the same cost
TABLE_1 = {
    1: (144, 288, 576),
    2: (200, 400, 800),
    3: (240, 480, 960),
    4: (272, 544, 1088),
    8: (384, 768, 1536),
}


def branch(
    in_channels: int, width: int, out_channels: int, stride: int, *, groups: int, first_groups: int
) -> list[nn.Module]:
    """Return narrow 1x1, shuffle, filter each channel 3x3, widen 1x1 without activation.

    (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)
    """
    return [
        ConvNormAct(in_channels, width, 1, groups=first_groups),
        ChannelShuffle(groups) if groups > 1 else nn.Identity(),
        ConvNormAct(width, width, 3, stride, groups=width, act=None),
        ConvNormAct(width, out_channels, 1, groups=groups, act=None),
    ]


def keep(channels: int, groups: int) -> Residual:
    """Return a unit that adds to its input. (B, C, H, W) -> (B, C, H, W)."""
    layers = branch(channels, channels // 4, channels, 1, groups=groups, first_groups=groups)
    return Residual(*layers, act=nn.ReLU())


class Shrink(nn.Module):
    """Sets new channels beside the old ones, on half the side. (B, in, H, W) -> (B, out, H/2, W/2).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, more than `in_channels`.
        groups: Of the second 1x1 convolution.
        first_groups: Of the first 1x1 convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, groups: int, first_groups: int
    ) -> None:
        super().__init__()
        new, width = out_channels - in_channels, out_channels // 4
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.branch = nn.Sequential(
            *branch(in_channels, width, new, 2, groups=groups, first_groups=first_groups)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled input and the new channels."""
        return torch.cat([self.pool(x), self.branch(x)], dim=1).relu()


class ShuffleNetV1(nn.Module):
    """A stem, three stages that each halve the image, a linear head.

    Args:
        groups: Of the 1x1 convolutions, one of those in `TABLE_1`.
        multiplier: Of every width; the paper's 0.5× network has 0.5.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: The stem keeps the image's size.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits

    Raises:
        BadArgumentError: The table has no such groups, or they do not divide a multiplied width.
    """

    def __init__(
        self,
        groups: int,
        multiplier: float = 1.0,
        *,
        in_channels: int,
        outputs: int,
        small: bool,
    ) -> None:
        super().__init__()
        width, *stages = scaled(groups, multiplier)
        self.features = nn.Sequential(ConvNormAct(in_channels, width, 3, 1 if small else 2))
        if not small:
            self.features.append(MaxPool2d(3, 2, 1))
        for stage, (depth, out) in enumerate(zip(DEPTHS, stages, strict=True)):
            first_groups = 1 if stage == 0 else groups  # the stem has too few channels to divide
            self.features.append(Shrink(width, out, groups=groups, first_groups=first_groups))
            self.features.extend(keep(out, groups) for _ in range(depth - 1))
            width = out
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 960, H/32, W/32) of three groups, or H/8, W/8 when small
        return self.head(x)


def scaled(groups: int, multiplier: float) -> tuple[int, ...]:
    """Return the channels of the stem and the three stages.

    Raises:
        BadArgumentError: The table has no such groups, or they do not divide a multiplied width.
    """
    if groups not in TABLE_1:
        raise BadArgumentError(
            "`groups` must be one of those in the paper's table 1: "
            f"{', '.join(map(str, TABLE_1))}. Received groups={groups}; choose one of them."
        )
    widths = _multiplied(groups, multiplier)
    if not _divisible(widths, groups):
        usual = (0.25, 0.5, 0.75, 1, 1.5, 2)
        good = [str(m) for m in usual if _divisible(_multiplied(groups, m), groups)]
        raise BadArgumentError(
            "`multiplier` must leave stages that 4 * groups divides and a stem that groups "
            f"divides. Received multiplier={multiplier}, groups={groups}, which leave a stem of "
            f"{widths[0]} and stages of {', '.join(map(str, widths[1:]))}; these would do: "
            f"{', '.join(good)}."
        )
    return widths


def _multiplied(groups: int, multiplier: float) -> tuple[int, ...]:
    return tuple(int(width * multiplier) for width in (STEM, *TABLE_1[groups]))


def _divisible(widths: tuple[int, ...], groups: int) -> bool:
    """Whether the groups divide what each 1x1 convolution in groups reads and returns."""
    stem, *stages = widths
    return stem > 0 and stem % groups == 0 and all(width % (4 * groups) == 0 for width in stages)


def shufflenet_v1_g1(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ShuffleNetV1:
    """Return the network without groups, which has nothing to shuffle."""
    return ShuffleNetV1(1, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v1_g2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ShuffleNetV1:
    """Return the network of 2 groups."""
    return ShuffleNetV1(2, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v1_g3(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ShuffleNetV1:
    """Return the network of 3 groups."""
    return ShuffleNetV1(3, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v1_g4(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ShuffleNetV1:
    """Return the network of 4 groups."""
    return ShuffleNetV1(4, in_channels=inputs[0], outputs=outputs, small=small)


def shufflenet_v1_g8(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ShuffleNetV1:
    """Return the network of 8 groups."""
    return ShuffleNetV1(8, in_channels=inputs[0], outputs=outputs, small=small)
