"""MobileNet: each convolution split into one filter per channel and a 1x1 mix of the channels.

Source: Howard et al., 2017, https://arxiv.org/abs/1704.04861, table 1; width multiplier, section
3.3. The resolution multiplier (section 3.4) is the size of the images: 224, 192, 160 or 128.
"""

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.errors import BadArgumentError

STEM = 32  # channels of the first convolution
# channels, stride of each separable convolution after the stem
TABLE_1 = (
    (64, 1),
    (128, 2), (128, 1),
    (256, 2), (256, 1),
    (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip


def separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return depthwise 3x3, then 1x1. (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    depthwise = ConvNormAct(in_channels, in_channels, 3, stride, groups=in_channels, act=nn.ReLU6)
    nn.init.kaiming_normal_(depthwise.conv.weight)  # by its 9 inputs: no shortcut keeps signals up
    return nn.Sequential(depthwise, ConvNormAct(in_channels, out_channels, 1, act=nn.ReLU6))


class MobileNetV1(nn.Module):
    """A stem, thirteen depthwise separable convolutions, a linear head.

    Args:
        multiplier: Of every width, 1/32 or more.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: The stem keeps the image's size.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits

    Raises:
        BadArgumentError: `multiplier` leaves the first convolution no channel.
    """

    def __init__(self, multiplier: float, *, in_channels: int, outputs: int, small: bool) -> None:
        super().__init__()
        width = int(STEM * multiplier)
        if width < 1:
            raise BadArgumentError(
                f"`multiplier` must leave one of the first {STEM} channels: 1/{STEM} or more. "
                f"Received multiplier={multiplier}; the paper has 1, 0.75, 0.5 and 0.25."
            )
        stem = ConvNormAct(in_channels, width, 3, 1 if small else 2, act=nn.ReLU6)
        self.features = nn.Sequential(stem)
        for channels, stride in TABLE_1:
            out = int(channels * multiplier)
            self.features.append(separable(width, out, stride))
            width = out
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 1024 * multiplier, H/32, W/32), or H/16, W/16 when small
        return self.head(x)


def mobilenet_v1(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> MobileNetV1:
    """Return the network at width 1.0."""
    return MobileNetV1(1.0, in_channels=inputs[0], outputs=outputs, small=small)


def mobilenet_v1_075(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> MobileNetV1:
    """Return the network at three quarters of the width."""
    return MobileNetV1(0.75, in_channels=inputs[0], outputs=outputs, small=small)


def mobilenet_v1_050(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> MobileNetV1:
    """Return the network at half the width."""
    return MobileNetV1(0.5, in_channels=inputs[0], outputs=outputs, small=small)


def mobilenet_v1_025(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> MobileNetV1:
    """Return the network at a quarter of the width."""
    return MobileNetV1(0.25, in_channels=inputs[0], outputs=outputs, small=small)
