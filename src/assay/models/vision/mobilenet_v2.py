"""MobileNetV2: residual blocks turned inside out, wide within and narrow between.

Source: Sandler et al., 2018, https://arxiv.org/abs/1801.04381, table 2 and figure 3.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.residual import Residual

BRANCH_SCALE = 0.2  # of a residual branch at the start: seventeen blocks learn as few would
# expansion, channels, blocks, stride of the first block
TABLE_2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def inverted(in_channels: int, out_channels: int, stride: int, expansion: int) -> nn.Module:
    """Return widen 1x1, filter each channel 3x3, narrow 1x1 without activation.

    (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride); added to its input where
    the shapes agree.
    """
    width = in_channels * expansion
    layers = [
        ConvNormAct(width, width, 3, stride, groups=width, act=nn.ReLU6),
        ConvNormAct(width, out_channels, 1, act=None),
    ]
    if expansion != 1:
        layers.insert(0, ConvNormAct(in_channels, width, 1, act=nn.ReLU6))
    if stride == 1 and in_channels == out_channels:
        nn.init.constant_(layers[-1].norm.weight, BRANCH_SCALE)
        return Residual(*layers)
    return nn.Sequential(*layers)


class MobileNetV2(nn.Module):
    """A stem, seven groups of inverted residual blocks, a wide 1x1 convolution, a linear head.

    Args:
        table: Per group: expansion, channels, blocks, stride of the first block.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: Neither the stem nor the second group shrinks the image, and no dropout.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        table: Sequence[tuple[int, int, int, int]],
        *,
        in_channels: int,
        outputs: int,
        small: bool,
    ) -> None:
        super().__init__()
        width, last = 32, 1280
        stem = ConvNormAct(in_channels, width, 3, 1 if small else 2, act=nn.ReLU6)
        self.features = nn.Sequential(stem)
        for group, (expansion, out, blocks, stride) in enumerate(table):
            for block in range(blocks):
                shrinks = block == 0 and not (small and group == 1)
                step = stride if shrinks else 1
                self.features.append(inverted(width, out, step, expansion))
                width = out
        self.features.append(ConvNormAct(width, last, 1, act=nn.ReLU6))
        self.head = ImageHead(last, outputs, dropout=0.0 if small else 0.2)
        nn.init.normal_(self.head.linear.weight, std=0.01)
        nn.init.zeros_(self.head.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 1280, H/32, W/32), or H/8, W/8 when small
        return self.head(x)


def mobilenet_v2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> MobileNetV2:
    """Return the network at width 1.0."""
    return MobileNetV2(TABLE_2, in_channels=inputs[0], outputs=outputs, small=small)
