"""Darknet-53: Darknet's 1x1 and 3x3 pairs as residual blocks, and strides instead of pools.

Source: Redmon and Farhadi, 2018, https://arxiv.org/abs/1804.02767, table 1.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.residual import Residual

LEAKY = partial(nn.LeakyReLU, 0.1, inplace=True)


def bottleneck(width: int) -> Residual:
    """Return halve 1x1, double again 3x3, add. (B, width, H, W) -> (B, width, H, W)."""
    return Residual(
        ConvNormAct(width, width // 2, 1, act=LEAKY),
        ConvNormAct(width // 2, width, 3, act=LEAKY),
    )


class Darknet53(nn.Module):
    """A stem, stages that each halve the image and double the width, a linear head.

    Args:
        depths: Residual blocks in each stage.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, depths: Sequence[int], *, in_channels: int, outputs: int) -> None:
        super().__init__()
        width = 32
        self.stem = ConvNormAct(in_channels, width, 3, act=LEAKY)
        self.stages = nn.Sequential()
        for depth in depths:
            shrink = ConvNormAct(width, 2 * width, 3, 2, act=LEAKY)
            width *= 2
            self.stages.append(nn.Sequential(shrink, *(bottleneck(width) for _ in range(depth))))
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stages(self.stem(x))  # (B, 1024, H/32, W/32)
        return self.head(x)


def darknet53(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Darknet53:
    """Return the network of 52 convolutions and a linear layer; it has no small form."""
    del small
    return Darknet53((1, 2, 8, 8, 4), in_channels=inputs[0], outputs=outputs)
