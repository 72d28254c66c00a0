"""Xception: Inception taken to its end, one branch per channel, in residual blocks.

Source: Chollet, 2016, https://arxiv.org/abs/1610.02357, figure 5.
"""

from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM, ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.residual import Residual


def separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return depthwise 3x3, 1x1, normalisation. (B, in, H, W) -> (B, out, H, W)."""
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    nn.init.kaiming_normal_(depthwise.weight)  # by its 9 inputs
    nn.init.kaiming_normal_(pointwise.weight, mode="fan_out")
    norm = BatchNorm2d(out_channels, momentum=MOMENTUM, inplace=True)
    return nn.Sequential(depthwise, pointwise, norm)


def shrink(in_channels: int, middle: int, out_channels: int, *, act: bool = True) -> Residual:
    """Return two separable convolutions and a pool. (B, in, H, W) -> (B, out, H/2, W/2).

    Args:
        in_channels: Channels of the input.
        middle: Channels between the two.
        out_channels: Channels of the output.
        act: Whether the input is rectified first.
    """
    return Residual(
        nn.ReLU() if act else nn.Identity(),
        separable(in_channels, middle),
        nn.ReLU(inplace=True),
        separable(middle, out_channels),
        MaxPool2d(3, 2, 1),
        shortcut=ConvNormAct(in_channels, out_channels, 1, 2, act=None),
    )


def keep(channels: int) -> Residual:
    """Return three separable convolutions, each after a ReLU. (B, channels, H, W) -> the same."""
    layers = (layer for _ in range(3) for layer in (nn.ReLU(), separable(channels, channels)))
    return Residual(*layers)


class Xception(nn.Module):
    """Entry flow, eight times the middle flow, exit flow, a linear head.

    Args:
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: The two first convolutions keep the image's size.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, *, in_channels: int, outputs: int, small: bool) -> None:
        super().__init__()
        first, second = ConvNormAct(in_channels, 32, 3, 1 if small else 2), ConvNormAct(32, 64, 3)
        if not small:  # as published, the edges are lost
            first.conv.padding = second.conv.padding = (0, 0)
        self.entry = nn.Sequential(
            first, second, shrink(64, 128, 128, act=False), shrink(128, 256, 256),
            shrink(256, 728, 728),
        )  # fmt: skip
        self.middle = nn.Sequential(*(keep(728) for _ in range(8)))
        self.exit = nn.Sequential(
            shrink(728, 728, 1024),
            separable(1024, 1536), nn.ReLU(),
            separable(1536, 2048), nn.ReLU(),
        )  # fmt: skip
        self.head = ImageHead(2048, outputs, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.entry(x)  # (B, 728, H/16, W/16), or H/8, W/8 when small
        x = self.middle(x)
        x = self.exit(x)  # (B, 2048, H/32, W/32), or H/16, W/16
        return self.head(x)


def xception(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Xception:
    """Return the paper's network."""
    return Xception(in_channels=inputs[0], outputs=outputs, small=small)
