"""EfficientNet: one searched network, made larger in depth, width and resolution together.

Source: Tan and Le, 2019, https://arxiv.org/abs/1905.11946, table 1 (B0).
"""

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.drop_path import DropPath
from assay.blocks.head import ImageHead
from assay.blocks.residual import Residual
from assay.blocks.squeeze_excitation import SqueezeExcitation

# expansion, kernel size, channels, blocks, stride of the first block
TABLE_1 = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
BLOCKS = sum(row[3] for row in TABLE_1)
DROP = 0.2  # probability that the branch of a last block is left out


def block(
    in_channels: int, out_channels: int, stride: int, expansion: int, kernel_size: int, drop: float
) -> nn.Module:
    """Return widen 1x1, filter each channel, gate, narrow 1x1 without activation.

    (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride); added to its input where
    the shapes agree.
    """
    width = in_channels * expansion
    depthwise = ConvNormAct(width, width, kernel_size, stride, groups=width, act=nn.SiLU)
    nn.init.kaiming_normal_(depthwise.conv.weight)  # by the inputs of one filter
    layers: list[nn.Module] = [
        depthwise,
        SqueezeExcitation(width, in_channels // 4, act=nn.SiLU, inplace=True),
        ConvNormAct(width, out_channels, 1, act=None),
    ]
    if expansion != 1:
        layers.insert(0, ConvNormAct(in_channels, width, 1, act=nn.SiLU))
    if stride == 1 and in_channels == out_channels:
        return Residual(*layers, DropPath(drop))
    return nn.Sequential(*layers)


class EfficientNet(nn.Module):
    """A stem, seven groups of gated inverted residual blocks, a wide 1x1 convolution, a head.

    Args:
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: The stem keeps the image's size; nothing is dropped.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, *, in_channels: int, outputs: int, small: bool) -> None:
        super().__init__()
        width, last, index = 32, 1280, 0
        stem = ConvNormAct(in_channels, width, 3, 1 if small else 2, act=nn.SiLU)
        self.features = nn.Sequential(stem)
        for expansion, kernel_size, out, blocks, stride in TABLE_1:
            for number in range(blocks):
                step = stride if number == 0 else 1
                drop = 0.0 if small else DROP * index / BLOCKS
                self.features.append(block(width, out, step, expansion, kernel_size, drop))
                width, index = out, index + 1
        self.features.append(ConvNormAct(width, last, 1, act=nn.SiLU))
        self.head = ImageHead(last, outputs, dropout=0.0 if small else 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 1280, H/32, W/32), or H/16, W/16 when small
        return self.head(x)


def efficientnet_b0(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> EfficientNet:
    """Return the network that the larger ones are scaled from."""
    return EfficientNet(in_channels=inputs[0], outputs=outputs, small=small)
