"""Inception v2, or BN-Inception: GoogLeNet normalised, two 3x3 filters where it had one of 5x5.

Source: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167, section 4.2 and the table of the
appendix. That table prints 128 channels after the pool of modules 4c and 4d, which makes 608, and
576 as what they return: the authors' released code has 96, the Caffe network in wide use 128.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d, max_pool2d
from assay.models.vision.googlenet import Widths, count_channels

EPS = 1e-3  # of the normalisations, as in the authors' code

# 1x1; 3x3 reduced, 3x3; double 3x3 reduced, double 3x3; after the pool
STAGE_3: tuple[Widths, ...] = ((64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64))
STAGE_4: tuple[Widths, ...] = (
    (224, 64, 96, 96, 128, 128),
    (192, 96, 128, 96, 128, 128),
    (160, 128, 160, 128, 160, 96),
    (96, 128, 192, 160, 192, 96),
)
STAGE_4_AS_PRINTED = (
    *STAGE_4[:2],
    (160, 128, 160, 128, 160, 128),
    (96, 128, 192, 160, 192, 128),
)
STAGE_5: tuple[Widths, ...] = ((352, 192, 320, 160, 224, 128), (352, 192, 320, 192, 224, 128))

# 3x3 reduced, 3x3; double 3x3 reduced, double 3x3; what is pooled passes through
HALVED_3 = (128, 160, 64, 96)
HALVED_4 = (128, 192, 192, 256)


class Branches(nn.Module):
    """Several ways of looking at one map, side by side. (B, C, H, W) -> (B, all of theirs, H', W').

    Args:
        branches: What reads the map; all must return the same height and width.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' channels in order."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class HalvingPool(nn.Module):
    """Greatest of each 3x3, every second one; an even side is padded at its end alone.

    The published weights need this, and the sides agree with those of padded convolutions.

    Shape:
        (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2))
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller map."""
        height, width = x.shape[2:]
        return max_pool2d(x, 3, 2, padding=(height % 2, width % 2), ceil_mode=True)


def inception(in_channels: int, widths: Widths, pool: nn.Module) -> Branches:
    """Return 1x1, 3x3, two of 3x3 and a pool. (B, in, H, W) -> (B, out, H, W)."""
    one, reduce_3, three, reduce_double, double, pooled = widths
    return Branches(
        ConvNormAct(in_channels, one, 1),
        nn.Sequential(ConvNormAct(in_channels, reduce_3, 1), ConvNormAct(reduce_3, three, 3)),
        nn.Sequential(
            ConvNormAct(in_channels, reduce_double, 1),
            ConvNormAct(reduce_double, double, 3),
            ConvNormAct(double, double, 3),
        ),
        nn.Sequential(pool, ConvNormAct(in_channels, pooled, 1)),
    )


def halving(in_channels: int, widths: tuple[int, int, int, int]) -> Branches:
    """Return 3x3, two of 3x3 and a pool, all of stride 2. (B, in, H, W) -> (B, out, H/2, W/2)."""
    reduce_3, three, reduce_double, double = widths
    return Branches(
        nn.Sequential(ConvNormAct(in_channels, reduce_3, 1), ConvNormAct(reduce_3, three, 3, 2)),
        nn.Sequential(
            ConvNormAct(in_channels, reduce_double, 1),
            ConvNormAct(reduce_double, double, 3),
            ConvNormAct(double, double, 3, 2),
        ),
        HalvingPool(),
    )


def full_filters(in_channels: int, out_channels: int) -> nn.Module:
    """Return a convolution of 7x7. (B, in, H, W) -> (B, out, H/2, W/2)."""
    return ConvNormAct(in_channels, out_channels, 7, 2)


def separable_filters(in_channels: int, out_channels: int) -> nn.Module:
    """Return eight 7x7 filters per channel, then 1x1. (B, in, H, W) -> (B, out, H/2, W/2)."""
    depthwise = nn.Conv2d(
        in_channels, 8 * in_channels, 7, 2, padding=3, groups=in_channels, bias=False
    )
    return nn.Sequential(depthwise, ConvNormAct(8 * in_channels, out_channels, 1))


class InceptionV2(nn.Module):
    """A stem, modules that halve the image twice between others that do not, a linear head.

    Args:
        filters: Builds the 7x7 convolution that starts the stem, given its channels in and out.
        stage_4: Widths of the four modules at a sixteenth of the image's side.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: A 3x3 stem that keeps the size, in place of one that shrinks it by eight.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        filters: Callable[[int, int], nn.Module],
        stage_4: tuple[Widths, ...],
        *,
        in_channels: int,
        outputs: int,
        small: bool,
    ) -> None:
        super().__init__()
        width = 192
        self.stem = (
            nn.Sequential(ConvNormAct(in_channels, width, 3))
            if small
            else nn.Sequential(
                filters(in_channels, 64),
                HalvingPool(),
                ConvNormAct(64, 64, 1),
                ConvNormAct(64, width, 3),
                HalvingPool(),
            )
        )
        self.stages = nn.Sequential()
        for stage, halved in ((STAGE_3, HALVED_3), (stage_4, HALVED_4)):
            for widths in stage:
                self.stages.append(inception(width, widths, nn.AvgPool2d(3, 1, 1)))
                width = count_channels(widths)
            self.stages.append(halving(width, halved))
            width += halved[1] + halved[3]
        for widths, pool in zip(STAGE_5, (nn.AvgPool2d(3, 1, 1), MaxPool2d(3, 1, 1)), strict=True):
            self.stages.append(inception(width, widths, pool))
            width = count_channels(widths)
        self.head = ImageHead(width, outputs)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = EPS

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, 192, H/8, W/8), or H, W when small
        x = self.stages(x)  # (B, 1024, H/32, W/32), or H/4, W/4
        return self.head(x)


def inception_v2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> InceptionV2:
    """Return the authors' network."""
    return InceptionV2(
        separable_filters, STAGE_4, in_channels=inputs[0], outputs=outputs, small=small
    )


def bn_inception(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> InceptionV2:
    """Return the network of the widths as printed, with a plain first convolution."""
    return InceptionV2(
        full_filters, STAGE_4_AS_PRINTED, in_channels=inputs[0], outputs=outputs, small=small
    )
