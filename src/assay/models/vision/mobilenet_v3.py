"""MobileNetV3: MobileNetV2's blocks, arranged by search, with channel gates and hard-swish.

Source: Howard et al., 2019, https://arxiv.org/abs/1905.02244, tables 1 and 2.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.residual import Residual
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.blocks.width import nearest_multiple

EPS = 1e-3  # of the normalisations, as in the authors' code
Row = tuple[int, int, int, bool, Callable[[], nn.Module], int]

# kernel size, width within, channels, channel gate, activation, stride
TABLE_1: tuple[Row, ...] = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 160, True, nn.Hardswish, 2),
    (5, 960, 160, True, nn.Hardswish, 1),
    (5, 960, 160, True, nn.Hardswish, 1),
)
TABLE_2: tuple[Row, ...] = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)


def block(in_channels: int, row: Row) -> nn.Module:
    """Return widen 1x1, filter each channel, gate, narrow 1x1 without activation.

    (B, in_channels, H, W) -> (B, channels, H / stride, W / stride); added to its input where the
    shapes agree.
    """
    kernel_size, width, out, gated, act, stride = row
    layers: list[nn.Module] = []
    if width != in_channels:
        layers.append(ConvNormAct(in_channels, width, 1, act=act))
    layers.append(ConvNormAct(width, width, kernel_size, stride, groups=width, act=act))
    if gated:
        reduced = nearest_multiple(width // 4, 8)
        layers.append(SqueezeExcitation(width, reduced, gate=nn.Hardsigmoid, inplace=True))
    layers.append(ConvNormAct(width, out, 1, act=None))
    same = stride == 1 and in_channels == out
    return Residual(*layers) if same else nn.Sequential(*layers)


class MobileNetV3(nn.Module):
    """A stem, gated inverted residual blocks, a wide 1x1 convolution, two linear layers.

    Args:
        table: One row per block.
        last: Width between the two linear layers.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, table: Sequence[Row], last: int, *, in_channels: int, outputs: int) -> None:
        super().__init__()
        width = 16
        self.features = nn.Sequential(ConvNormAct(in_channels, width, 3, 2, act=nn.Hardswish))
        for row in table:
            self.features.append(block(width, row))
            width = row[2]
        self.features.append(ConvNormAct(width, 6 * width, 1, act=nn.Hardswish))
        self.classifier = nn.Sequential(
            nn.Linear(6 * width, last), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(last, outputs)
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = EPS

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 6 * width, H/32, W/32)
        return self.classifier(x.mean(dim=(2, 3)))


def mobilenet_v3_small(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> MobileNetV3:
    """Return the small network."""
    return MobileNetV3(TABLE_2, 1024, in_channels=inputs[0], outputs=outputs)


def mobilenet_v3_large(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> MobileNetV3:
    """Return the large network."""
    return MobileNetV3(TABLE_1, 1280, in_channels=inputs[0], outputs=outputs)
