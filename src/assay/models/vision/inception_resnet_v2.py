"""Inception-ResNet v2: Inception modules whose output is a small correction to their input.

Source: Szegedy, Ioffe, Vanhoucke and Alemi, 2016, https://arxiv.org/abs/1602.07261, section 3.3 and
figures 15 to 20; depths, widths and stem from the authors' released network, as timm has them.
"""

from torch import Tensor, nn

from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.residual import Residual
from assay.models.vision.inception_v2 import Branches
from assay.models.vision.inception_v3 import COLUMN, ROW, chain, conv, reduction_a, stem
from assay.models.vision.inception_v4 import averaged


class Scale(nn.Module):
    """Multiplies by a constant, without which deep stacks of wide modules die in training.

    Args:
        factor: The paper advises 0.1 to 0.3.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return self.factor * x


def correction(
    channels: int, branches: Branches, width: int, factor: float, act: nn.Module | None
) -> Residual:
    """Return act(x + factor * mix(branches(x))). (B, channels, H, W) -> the same.

    Args:
        channels: Of the input.
        branches: What looks at the input.
        width: Channels that the branches return together.
        factor: Of the correction.
        act: Applied to the sum; None leaves it out.
    """
    return Residual(branches, nn.Conv2d(width, channels, 1), Scale(factor), act=act)


def inception_a() -> Branches:
    """Return the module that has no shortcut yet. (B, 192, H, W) -> (B, 320, H, W)."""
    return Branches(
        chain(192, (96, 1)),
        chain(192, (48, 1), (64, 5)),
        chain(192, (64, 1), (96, 3), (96, 3)),
        averaged(192, 64),
    )


def residual_a() -> Residual:
    """Return figure 16. (B, 320, H, W) -> the same."""
    branches = Branches(
        chain(320, (32, 1)),
        chain(320, (32, 1), (32, 3)),
        chain(320, (32, 1), (48, 3), (64, 3)),
    )
    return correction(320, branches, 128, 0.17, nn.ReLU())


def residual_b() -> Residual:
    """Return figure 17: 7x7 as a row and a column. (B, 1088, H, W) -> the same."""
    branches = Branches(chain(1088, (192, 1)), chain(1088, (128, 1), (160, ROW), (192, COLUMN)))
    return correction(1088, branches, 384, 0.1, nn.ReLU())


def residual_c(factor: float, act: nn.Module | None) -> Residual:
    """Return figure 19: 3x3 as a row and a column. (B, 2080, H, W) -> the same."""
    branches = Branches(chain(2080, (192, 1)), chain(2080, (192, 1), (224, (1, 3)), (256, (3, 1))))
    return correction(2080, branches, 448, factor, act)


def reduction_b() -> Branches:
    """Return figure 18, which halves the image. (B, 1088, H, W) -> (B, 2080, H/2, W/2)."""
    return Branches(
        chain(1088, (256, 1), (384, 3), halve=True),
        chain(1088, (256, 1), (288, 3), halve=True),
        chain(1088, (256, 1), (288, 3), (320, 3), halve=True),
        MaxPool2d(3, 2),
    )


class InceptionResNetV2(nn.Module):
    """A stem, three stages of residual Inception modules, a last 1x1 convolution, a linear head.

    Args:
        in_channels: Channels of the image, of 75x75 or more.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, *, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.stem = stem(in_channels)
        self.stage_1 = nn.Sequential(inception_a(), *(residual_a() for _ in range(10)))
        self.stage_2 = nn.Sequential(
            reduction_a(320, 256, 256, 384), *(residual_b() for _ in range(20))
        )
        self.stage_3 = nn.Sequential(
            reduction_b(), *(residual_c(0.2, nn.ReLU()) for _ in range(9)), residual_c(1.0, None)
        )
        self.last = conv(2080, 1536, 1)
        self.head = ImageHead(1536, outputs, dropout=0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, 192, 35, 35) of an image of 299x299
        x = self.stage_1(x)  # (B, 320, 35, 35)
        x = self.stage_2(x)  # (B, 1088, 17, 17)
        x = self.stage_3(x)  # (B, 2080, 8, 8)
        return self.head(self.last(x))


def inception_resnet_v2(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> InceptionResNetV2:
    """Return the authors' network; `small` changes nothing."""
    return InceptionResNetV2(in_channels=inputs[0], outputs=outputs)
