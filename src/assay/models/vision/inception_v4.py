"""Inception v4: the modules of version 3 made uniform, and more of them, behind a branching stem.

Source: Szegedy, Ioffe, Vanhoucke and Alemi, 2016, https://arxiv.org/abs/1602.07261, figures 3 to 9.
"""

from torch import Tensor, nn

from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.models.vision.inception_v2 import Branches
from assay.models.vision.inception_v3 import COLUMN, ROW, chain, conv, reduction_a, row_and_column


def averaged(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return the mean of each 3x3, of pixels only, then 1x1. (B, in, H, W) -> (B, out, H, W)."""
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Sequential(pool, conv(in_channels, out_channels, 1))


def stem(in_channels: int) -> nn.Sequential:
    """Return figure 3. (B, C, 299, 299) -> (B, 384, 35, 35)."""
    return nn.Sequential(
        conv(in_channels, 32, 3, 2, padded=False),
        conv(32, 32, 3, padded=False),
        conv(32, 64, 3),
        Branches(MaxPool2d(3, 2), conv(64, 96, 3, 2, padded=False)),
        Branches(
            nn.Sequential(chain(160, (64, 1)), conv(64, 96, 3, padded=False)),
            nn.Sequential(
                chain(160, (64, 1), (64, ROW), (64, COLUMN)), conv(64, 96, 3, padded=False)
            ),
        ),
        Branches(conv(192, 192, 3, 2, padded=False), MaxPool2d(3, 2)),
    )


def inception_a() -> Branches:
    """Return figure 4. (B, 384, H, W) -> the same."""
    return Branches(
        chain(384, (96, 1)),
        chain(384, (64, 1), (96, 3)),
        chain(384, (64, 1), (96, 3), (96, 3)),
        averaged(384, 96),
    )


def inception_b() -> Branches:
    """Return figure 5: 7x7 as rows and columns. (B, 1024, H, W) -> the same."""
    return Branches(
        chain(1024, (384, 1)),
        chain(1024, (192, 1), (224, ROW), (256, COLUMN)),
        chain(1024, (192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
        averaged(1024, 128),
    )


def reduction_b() -> Branches:
    """Return figure 8, which halves the image. (B, 1024, H, W) -> (B, 1536, H/2, W/2)."""
    return Branches(
        chain(1024, (192, 1), (192, 3), halve=True),
        chain(1024, (256, 1), (256, ROW), (320, COLUMN), (320, 3), halve=True),
        MaxPool2d(3, 2),
    )


def inception_c() -> Branches:
    """Return figure 6, wide for the last maps. (B, 1536, H, W) -> the same."""
    return Branches(
        chain(1536, (256, 1)),
        nn.Sequential(chain(1536, (384, 1)), row_and_column(384, 256)),
        nn.Sequential(
            chain(1536, (384, 1), (448, (3, 1)), (512, (1, 3))), row_and_column(512, 256)
        ),
        averaged(1536, 256),
    )


class InceptionV4(nn.Module):
    """A stem, four modules A, seven B and three C with a halving of the image between, a head.

    Args:
        in_channels: Channels of the image, of 75x75 or more.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, *, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.stem = stem(in_channels)
        self.stage_1 = nn.Sequential(*(inception_a() for _ in range(4)))
        self.stage_2 = nn.Sequential(
            reduction_a(384, 192, 224, 256), *(inception_b() for _ in range(7))
        )
        self.stage_3 = nn.Sequential(reduction_b(), *(inception_c() for _ in range(3)))
        self.head = ImageHead(1536, outputs, dropout=0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, 384, 35, 35) of an image of 299x299
        x = self.stage_1(x)
        x = self.stage_2(x)  # (B, 1024, 17, 17)
        x = self.stage_3(x)  # (B, 1536, 8, 8)
        return self.head(x)


def inception_v4(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> InceptionV4:
    """Return the paper's network; `small` changes nothing."""
    return InceptionV4(in_channels=inputs[0], outputs=outputs)
