"""DenseNet: every layer reads the outputs of all layers before it and adds a few channels.

Source: Huang, Liu, van der Maaten and Weinberger, 2016, https://arxiv.org/abs/1608.06993, table 1
(DenseNet-BC: bottlenecks, and transitions that halve the channels).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM, ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d

BOTTLENECK = 4  # width of the 1x1 convolution, in growth rates


def norm_act_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return the three in the order of section 3. (B, in, H, W) -> (B, out, H, W)."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(BatchNorm2d(in_channels, momentum=MOMENTUM), nn.ReLU(inplace=True), conv)


class DenseLayer(nn.Module):
    """Appends `growth` new channels to its input. (B, C, H, W) -> (B, C + growth, H, W)."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.squeeze = norm_act_conv(in_channels, BOTTLENECK * growth, 1)
        self.grow = norm_act_conv(BOTTLENECK * growth, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return old and new channels side by side."""
        return torch.cat([x, self.grow(self.squeeze(x))], dim=1)


def transition(in_channels: int) -> nn.Sequential:
    """Return what halves channels and image. (B, C, H, W) -> (B, C / 2, H / 2, W / 2)."""
    return nn.Sequential(norm_act_conv(in_channels, in_channels // 2, 1), nn.AvgPool2d(2))


class DenseNet(nn.Module):
    """A stem, four dense blocks with transitions between, a linear head.

    Args:
        depths: Layers in each dense block.
        growth: Channels that each layer adds.
        width: Channels of the stem.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: A 3x3 stem that keeps the size, in place of 7x7, stride 2 and a pool.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        depths: Sequence[int],
        growth: int,
        width: int,
        *,
        in_channels: int,
        outputs: int,
        small: bool,
    ) -> None:
        super().__init__()
        self.stem = (
            nn.Sequential(ConvNormAct(in_channels, width, 3))
            if small
            else nn.Sequential(ConvNormAct(in_channels, width, 7, 2), MaxPool2d(3, 2, 1))
        )
        self.blocks = nn.Sequential()
        for block, depth in enumerate(depths):
            if block > 0:
                self.blocks.append(transition(width))
                width //= 2
            for _ in range(depth):
                self.blocks.append(DenseLayer(width, growth))
                width += growth
        self.norm = BatchNorm2d(width, momentum=MOMENTUM)
        self.act = nn.ReLU(inplace=True)
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, width, H/4, W/4), or H, W when small
        x = self.blocks(x)  # (B, C, H/32, W/32), or H/8, W/8
        return self.head(self.act(self.norm(x)))


def densenet121(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return the network of 121 layers."""
    depths = (6, 12, 24, 16)
    return DenseNet(depths, 32, 64, in_channels=inputs[0], outputs=outputs, small=small)


def densenet161(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return the network of 161 layers, which grows by 48 channels."""
    depths = (6, 12, 36, 24)
    return DenseNet(depths, 48, 96, in_channels=inputs[0], outputs=outputs, small=small)


def densenet169(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return the network of 169 layers."""
    depths = (6, 12, 32, 32)
    return DenseNet(depths, 32, 64, in_channels=inputs[0], outputs=outputs, small=small)


def densenet201(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return the network of 201 layers."""
    depths = (6, 12, 48, 32)
    return DenseNet(depths, 32, 64, in_channels=inputs[0], outputs=outputs, small=small)
