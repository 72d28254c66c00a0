"""ResNet: blocks that learn a correction to their input rather than a new output.

Source: He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385, table 1 and figure 5.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.residual import Residual

WIDTHS = (64, 128, 256, 512)  # channels of the four stages


def basic(in_channels: int, out_channels: int, stride: int) -> Residual:
    """Return two 3x3 convolutions. (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    return Residual(
        ConvNormAct(in_channels, out_channels, 3, stride),
        ConvNormAct(out_channels, out_channels, 3, act=None),
        shortcut=project(in_channels, out_channels, stride),
        act=nn.ReLU(),
    )


def project(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity where the shapes agree, else a 1x1 convolution (section 3.3, B)."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return ConvNormAct(in_channels, out_channels, 1, stride, act=None)


class ResNet(nn.Module):
    """A stem, four stages of residual blocks that halve the image each time, a linear head.

    Args:
        depths: Blocks in each stage.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: A 3x3 stem that keeps the size, in place of 7x7, stride 2 and a pool.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self, depths: Sequence[int], *, in_channels: int, outputs: int, small: bool
    ) -> None:
        super().__init__()
        width = WIDTHS[0]
        self.stem = (
            nn.Sequential(ConvNormAct(in_channels, width, 3))
            if small
            else nn.Sequential(ConvNormAct(in_channels, width, 7, 2), nn.MaxPool2d(3, 2, 1))
        )
        self.stages = nn.Sequential()
        for stage, (depth, out) in enumerate(zip(depths, WIDTHS, strict=True)):
            first = basic(width, out, 1 if stage == 0 else 2)  # the stem already shrank stage 0
            rest = (basic(out, out, 1) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(first, *rest))
            width = out
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, 64, H/4, W/4), or H, W when small
        x = self.stages(x)  # (B, 512, H/32, W/32), or H/8, W/8
        return self.head(x)


def resnet18(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 18 layers."""
    return ResNet((2, 2, 2, 2), in_channels=inputs[0], outputs=outputs, small=small)


def resnet34(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 34 layers."""
    return ResNet((3, 4, 6, 3), in_channels=inputs[0], outputs=outputs, small=small)
