"""DenseNet: every layer reads the outputs of all layers before it and adds a few channels.

Source: Huang, Liu, van der Maaten and Weinberger, 2016, https://arxiv.org/abs/1608.06993, table 1
(DenseNet-BC: bottlenecks, and transitions that halve the channels), and section 3 and table 2 for
the networks of small images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM, ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.preactivation import plain

BOTTLENECK = 4  # width of the 1x1 convolution, in growth rates


def norm_act_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return the three in the order of section 3. (B, in, H, W) -> (B, out, H, W)."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(BatchNorm2d(in_channels, momentum=MOMENTUM), nn.ReLU(inplace=True), conv)


class DenseLayer(nn.Module):
    """Appends what its layers return to its input. (B, C, H, W) -> (B, C + growth, H, W).

    Args:
        squeeze: Narrows the input; empty reads all of it.
        grow: Returns the new channels.
    """

    def __init__(self, squeeze: nn.Sequential, grow: nn.Sequential) -> None:
        super().__init__()
        self.squeeze = squeeze
        self.grow = grow

    def forward(self, x: Tensor) -> Tensor:
        """Return old and new channels side by side."""
        return torch.cat([x, self.grow(self.squeeze(x))], dim=1)


def squeezed(in_channels: int, growth: int) -> DenseLayer:
    """Return the layer with a bottleneck, the B of DenseNet-BC."""
    width = BOTTLENECK * growth
    return DenseLayer(norm_act_conv(in_channels, width, 1), norm_act_conv(width, growth, 3))


def unsqueezed(in_channels: int, growth: int) -> DenseLayer:
    """Return the layer whose 3x3 convolution reads all channels."""
    return DenseLayer(nn.Sequential(), norm_act_conv(in_channels, growth, 3))


def transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return what halves the image. (B, in, H, W) -> (B, out, H / 2, W / 2)."""
    return nn.Sequential(norm_act_conv(in_channels, out_channels, 1), nn.AvgPool2d(2))


class DenseNet(nn.Module):
    """A stem, dense blocks with transitions between, a linear head.

    Args:
        depths: Layers in each dense block.
        growth: Channels that each layer adds.
        width: Channels of the stem.
        layer: Builds one layer, given its channels in and its growth.
        kept: Share of the channels that a transition keeps, in (0, 1]; 0.5 is the C of DenseNet-BC.
        first: Builds the stem's convolution, given its channels in and out, kernel and stride.
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
        layer: Callable[[int, int], nn.Module] = squeezed,
        kept: float = 0.5,
        first: Callable[[int, int, int, int], nn.Module] = ConvNormAct,
        in_channels: int,
        outputs: int,
        small: bool,
    ) -> None:
        super().__init__()
        self.stem = (
            nn.Sequential(first(in_channels, width, 3, 1))
            if small
            else nn.Sequential(first(in_channels, width, 7, 2), MaxPool2d(3, 2, 1))
        )
        self.blocks = nn.Sequential()
        for block, depth in enumerate(depths):
            if block > 0:
                self.blocks.append(transition(width, int(kept * width)))
                width = int(kept * width)
            for _ in range(depth):
                self.blocks.append(layer(width, growth))
                width += growth
        self.norm = BatchNorm2d(width, momentum=MOMENTUM)
        self.act = nn.ReLU(inplace=True)
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, width, H/4, W/4), or H, W when small
        x = self.blocks(x)  # (B, C, H/32, W/32) with four blocks, or H/8, W/8 when small
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


def densenet40_12(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return the network of 40 layers for small images that grows by 12 channels."""
    return _for_small_images((12, 12, 12), 12, inputs, outputs)


def densenet100_12(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return the network of 100 layers for small images that grows by 12 channels."""
    return _for_small_images((32, 32, 32), 12, inputs, outputs)


def densenet_bc100_12(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return DenseNet-BC of 100 layers for small images, which grows by 12 channels."""
    return _bc_for_small_images((16, 16, 16), 12, inputs, outputs)


def densenet_bc190_40(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return DenseNet-BC of 190 layers for small images, which grows by 40 channels."""
    return _bc_for_small_images((31, 31, 31), 40, inputs, outputs)


def densenet_bc250_24(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> DenseNet:
    """Return DenseNet-BC of 250 layers for small images, which grows by 24 channels."""
    return _bc_for_small_images((41, 41, 41), 24, inputs, outputs)


def _for_small_images(
    depths: Sequence[int], growth: int, inputs: tuple[int, ...], outputs: int
) -> DenseNet:
    """Return section 3's network without bottlenecks, whose transitions keep all channels."""
    return DenseNet(
        depths,
        growth,
        16,
        layer=unsqueezed,
        kept=1.0,
        first=plain,
        in_channels=inputs[0],
        outputs=outputs,
        small=True,
    )


def _bc_for_small_images(
    depths: Sequence[int], growth: int, inputs: tuple[int, ...], outputs: int
) -> DenseNet:
    """Return section 3's DenseNet-BC of three blocks."""
    return DenseNet(
        depths,
        growth,
        2 * growth,
        first=plain,
        in_channels=inputs[0],
        outputs=outputs,
        small=True,
    )
