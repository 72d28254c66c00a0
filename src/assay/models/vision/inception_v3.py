"""Inception v3: large filters taken apart into rows and columns, in modules of three kinds.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, 2015, https://arxiv.org/abs/1512.00567,
figures 5 to 7 and 10; widths from the authors' released network, as torchvision has them.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.models.vision.inception_v2 import EPS, Branches

Kernel = int | tuple[int, int]
ROW, COLUMN = (1, 7), (7, 1)


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: Kernel,
    stride: int = 1,
    *,
    padded: bool = True,
) -> nn.Sequential:
    """Return convolution, normalisation, ReLU. (B, in, H, W) -> (B, out, H', W').

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width, odd, or the side of a square.
        stride: Step between outputs.
        padded: Whether the stride alone sets the size; if not, the edges are lost too.
    """
    height, width = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
    padding = (height // 2, width // 2) if padded else 0
    layer = nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    norm = BatchNorm2d(out_channels, EPS, MOMENTUM, inplace=True)
    return nn.Sequential(layer, norm, nn.ReLU(inplace=True))


def chain(in_channels: int, *convs: tuple[int, Kernel], halve: bool = False) -> nn.Sequential:
    """Return convolutions one after another. (B, in, H, W) -> (B, out, H', W').

    Args:
        in_channels: Channels of the input.
        convs: Channels and kernel of each.
        halve: Whether the last has stride 2 and no padding.
    """
    layers = nn.Sequential()
    for place, (channels, kernel) in enumerate(convs, start=1):
        last = halve and place == len(convs)
        layers.append(conv(in_channels, channels, kernel, 2 if last else 1, padded=not last))
        in_channels = channels
    return layers


def averaged(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return the mean of each 3x3, zeros at the edge, then 1x1. (B, in, H, W) -> (B, out, H, W)."""
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(in_channels, out_channels, 1))


def row_and_column(in_channels: int, out_channels: int) -> Branches:
    """Return 1x3 beside 3x1. (B, in, H, W) -> (B, 2 * out, H, W)."""
    return Branches(
        conv(in_channels, out_channels, (1, 3)), conv(in_channels, out_channels, (3, 1))
    )


def stem(in_channels: int) -> nn.Sequential:
    """Return what shrinks the image eightfold. (B, C, 299, 299) -> (B, 192, 35, 35)."""
    return nn.Sequential(
        conv(in_channels, 32, 3, 2, padded=False),
        conv(32, 32, 3, padded=False),
        conv(32, 64, 3),
        MaxPool2d(3, 2),
        conv(64, 80, 1),
        conv(80, 192, 3, padded=False),
        MaxPool2d(3, 2),
    )


def inception_a(in_channels: int, pooled: int) -> Branches:
    """Return figure 5, with one 5x5 kept. (B, in, H, W) -> (B, 224 + pooled, H, W)."""
    return Branches(
        chain(in_channels, (64, 1)),
        chain(in_channels, (48, 1), (64, 5)),
        chain(in_channels, (64, 1), (96, 3), (96, 3)),
        averaged(in_channels, pooled),
    )


def reduction_a(in_channels: int, reduced: int, middle: int, last: int) -> Branches:
    """Return figure 10, which halves the image. (B, in, H, W) -> (B, 384 + last + in, H/2, W/2)."""
    return Branches(
        chain(in_channels, (384, 3), halve=True),
        chain(in_channels, (reduced, 1), (middle, 3), (last, 3), halve=True),
        MaxPool2d(3, 2),
    )


def inception_b(in_channels: int, width: int) -> Branches:
    """Return figure 6: 7x7 as rows and columns. (B, in, H, W) -> (B, 768, H, W)."""
    return Branches(
        chain(in_channels, (192, 1)),
        chain(in_channels, (width, 1), (width, ROW), (192, COLUMN)),
        chain(in_channels, (width, 1), (width, COLUMN), (width, ROW), (width, COLUMN), (192, ROW)),
        averaged(in_channels, 192),
    )


def reduction_b(in_channels: int) -> Branches:
    """Return what halves the image again. (B, in, H, W) -> (B, 512 + in, H/2, W/2)."""
    return Branches(
        chain(in_channels, (192, 1), (320, 3), halve=True),
        chain(in_channels, (192, 1), (192, ROW), (192, COLUMN), (192, 3), halve=True),
        MaxPool2d(3, 2),
    )


def inception_c(in_channels: int) -> Branches:
    """Return figure 7, wide for the last maps. (B, in, H, W) -> (B, 2048, H, W)."""
    return Branches(
        chain(in_channels, (320, 1)),
        nn.Sequential(chain(in_channels, (384, 1)), row_and_column(384, 384)),
        nn.Sequential(chain(in_channels, (448, 1), (384, 3)), row_and_column(384, 384)),
        averaged(in_channels, 192),
    )


class Windows(nn.Module):
    """Means of 5x5 windows, 3 apart; 5x5 means of a smaller map. (B, C, H, W) -> (B, C, H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, 5x5 of them or more."""
        if min(x.shape[2:]) < 17:
            return F.adaptive_avg_pool2d(x, 5)
        return F.avg_pool2d(x, 5, 3)


def auxiliary_head(in_channels: int, outputs: int) -> nn.Sequential:
    """Return a classifier for the middle of the network. (B, C, H, W) -> (B, outputs)."""
    return nn.Sequential(
        Windows(),
        conv(in_channels, 128, 1),
        conv(128, 768, 5, padded=False),
        ImageHead(768, outputs),
    )


class InceptionV3(nn.Module):
    """A stem, three kinds of modules with a halving of the image between, a linear head.

    Args:
        in_channels: Channels of the image, of 75x75 or more.
        outputs: Scores per image.
        auxiliary: Whether there is a classifier after the last 17x17 map, from whose scores, which
            `forward_all` returns, the network learns too.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    auxiliary_weight = 0.4  # of the auxiliary classifier's loss, as in the authors' code

    def __init__(self, *, in_channels: int, outputs: int, auxiliary: bool = False) -> None:
        super().__init__()
        self.stem = stem(in_channels)
        self.stage_1 = nn.Sequential(
            inception_a(192, 32), inception_a(256, 64), inception_a(288, 64)
        )
        self.stage_2 = nn.Sequential(
            reduction_a(288, 64, 96, 96), *(inception_b(768, c) for c in (128, 160, 160, 192))
        )
        self.auxiliary = nn.ModuleList([auxiliary_head(768, outputs)] if auxiliary else [])
        self.stage_3 = nn.Sequential(reduction_b(768), inception_c(1280), inception_c(2048))
        self.head = ImageHead(2048, outputs, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        return self.head(self.stage_3(self.features(x)))

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the scores of the auxiliary classifier, if any, then those of the head."""
        x = self.features(x)
        return [*(head(x) for head in self.auxiliary), self.head(self.stage_3(x))]

    def features(self, x: Tensor) -> Tensor:
        """Return the map that the auxiliary classifier and the last stage read."""
        x = self.stem(x)  # (B, 192, 35, 35) of an image of 299x299
        x = self.stage_1(x)  # (B, 288, 35, 35)
        return self.stage_2(x)  # (B, 768, 17, 17); stage 3 makes it (B, 2048, 8, 8)


def inception_v3(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> InceptionV3:
    """Return the network without its auxiliary classifier; `small` changes nothing."""
    return InceptionV3(in_channels=inputs[0], outputs=outputs)


def inception_v3_auxiliary(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> InceptionV3:
    """Return the network with the auxiliary classifier that it learned with."""
    return InceptionV3(in_channels=inputs[0], outputs=outputs, auxiliary=True)
