"""GoogLeNet: every module looks at several scales at once, behind cheap 1x1 reductions.

Source: Szegedy et al., 2014, https://arxiv.org/abs/1409.4842, table 1 and figure 3.
"""

import torch
from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d

EPS = 1e-3  # of the normalisations, as in torchvision
Widths = tuple[int, int, int, int, int, int]

# 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; after the pool
STAGE_3: tuple[Widths, ...] = ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64))
STAGE_4: tuple[Widths, ...] = (
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
)
STAGE_5: tuple[Widths, ...] = ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128))


def count_channels(widths: Widths) -> int:
    """Return how many channels a module's four branches have together."""
    one, _, three, _, five, pooled = widths
    return one + three + five + pooled


class Inception(nn.Module):
    """Four branches side by side. (B, in_channels, H, W) -> (B, out, H, W).

    Args:
        in_channels: Channels of the input.
        widths: Of the convolutions, as in table 1.
        largest: Side of the kernel of the third branch.
    """

    def __init__(self, in_channels: int, widths: Widths, largest: int) -> None:
        super().__init__()
        one, reduce_3, three, reduce_5, five, pooled = widths
        self.branches = nn.ModuleList(
            [
                ConvNormAct(in_channels, one, 1),
                nn.Sequential(
                    ConvNormAct(in_channels, reduce_3, 1), ConvNormAct(reduce_3, three, 3)
                ),
                nn.Sequential(
                    ConvNormAct(in_channels, reduce_5, 1), ConvNormAct(reduce_5, five, largest)
                ),
                nn.Sequential(MaxPool2d(3, 1, 1), ConvNormAct(in_channels, pooled, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' channels in order."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def auxiliary_head(in_channels: int, outputs: int) -> nn.Sequential:
    """Return a classifier for the middle of the network. (B, C, H, W) -> (B, outputs)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(4),
        ConvNormAct(in_channels, 128, 1),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 1024), nn.ReLU(), nn.Dropout(0.7),
        nn.Linear(1024, outputs),
    )  # fmt: skip


class GoogLeNet(nn.Module):
    """A stem, nine Inception modules in three stages, a linear head.

    Args:
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: A 3x3 stem that keeps the size, in place of one that shrinks it by eight.
        largest: Side of the largest kernel of a module.
        last_pool: Side of the pool before the last stage.
        dropout: Fraction of the last features dropped while training, in [0, 1).
        auxiliary: Whether there are classifiers after the first and fourth module of stage 4, from
            whose scores, which `forward_all` returns, the network learns too.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    auxiliary_weight = 0.3  # of each auxiliary classifier's loss, section 5

    def __init__(
        self,
        *,
        in_channels: int,
        outputs: int,
        small: bool = False,
        largest: int = 5,
        last_pool: int = 3,
        dropout: float = 0.4,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        width = 192
        self.stem = (
            nn.Sequential(ConvNormAct(in_channels, width, 3))
            if small
            else nn.Sequential(
                ConvNormAct(in_channels, 64, 7, 2),
                MaxPool2d(3, 2, ceil_mode=True),
                ConvNormAct(64, 64, 1),
                ConvNormAct(64, width, 3),
                MaxPool2d(3, 2, ceil_mode=True),
            )
        )
        stages = []
        for stage in (STAGE_3, STAGE_4, STAGE_5):
            modules = nn.ModuleList()
            for widths in stage:
                modules.append(Inception(width, widths, largest))
                width = count_channels(widths)
            stages.append(modules)
        self.stage_3, self.stage_4, self.stage_5 = stages
        self.pool_3 = MaxPool2d(3, 2, ceil_mode=True)
        self.pool_4 = MaxPool2d(last_pool, 2, ceil_mode=True)
        middle = (STAGE_4[0], STAGE_4[3]) if auxiliary else ()
        self.auxiliary = nn.ModuleList(
            auxiliary_head(count_channels(widths), outputs) for widths in middle
        )
        self.head = ImageHead(width, outputs, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = EPS

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        *_, last = self.features(x)
        return self.head(last)

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the scores of the auxiliary classifiers, in order, then those of the head."""
        *middle, last = self.features(x)
        scores = [head(at) for head, at in zip(self.auxiliary, middle, strict=False)]
        return [*scores, self.head(last)]

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps that the two auxiliary classifiers and the head read."""
        x = self.stem(x)  # (B, 192, H/8, W/8), or H, W when small
        for module in self.stage_3:
            x = module(x)
        x = self.pool_3(x)  # (B, 480, H/16, W/16), or H/2, W/2
        maps = []
        for module in self.stage_4:
            x = module(x)
            maps.append(x)
        x = self.pool_4(x)  # (B, 832, H/32, W/32), or H/4, W/4
        for module in self.stage_5:
            x = module(x)
        return maps[0], maps[3], x


def googlenet(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GoogLeNet:
    """Return the paper's network, without its auxiliary classifiers."""
    return GoogLeNet(in_channels=inputs[0], outputs=outputs, small=small)


def googlenet_auxiliary(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GoogLeNet:
    """Return the paper's network, with the auxiliary classifiers that it learned with."""
    return GoogLeNet(in_channels=inputs[0], outputs=outputs, small=small, auxiliary=True)


def googlenet_tv(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GoogLeNet:
    """Return torchvision's network, whose largest kernel is 3x3."""
    return GoogLeNet(
        in_channels=inputs[0], outputs=outputs, small=small, largest=3, last_pool=2, dropout=0.2
    )
