"""LeNet-5: convolution and pooling twice, then three fully connected layers.

Source: LeCun, Bottou, Bengio and Haffner, 1998, https://doi.org/10.1109/5.726791, figure 2, table I
and section II.
"""

from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.blocks.max_pool import MaxPool2d

# which of the six maps of S2 each of the sixteen maps of C3 reads
TABLE_I = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
SPREAD = 2.4  # a unit of n inputs starts with weights in ±2.4 / n (appendix A)
CODE = 84  # length of a class's code, a picture of 7 by 12 in the paper


class LeNet5(nn.Module):
    """Two rounds of a 5x5 convolution and a pool, then a classifier of three linear layers.

    Args:
        inputs: Shape of one image, (C, H, W); sides of 16 pixels or more.
        outputs: Scores per image.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        channels, height, width = inputs
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5), nn.ReLU(), MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), MaxPool2d(2),
        )  # fmt: skip
        area = _after(height) * _after(width)  # 5 * 5 of a native image
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * area, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 16, 5, 5)
        return self.classifier(x)


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 x), which is ±1 at ±1 (appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return values in (-1.7159, 1.7159)."""
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsample(nn.Module):
    """Adds the four pixels of a square, times one weight of the map plus one bias.

    Args:
        channels: Maps of the input and the output.

    Shape:
        (B, channels, H, W) -> (B, channels, H // 2, W // 2)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.average = nn.AvgPool2d(2)
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps on half the side."""
        return 4 * self.average(x) * self.weight + self.bias


class ChosenMaps(nn.Module):
    """C3: a 5x5 convolution whose maps read those of the six before that table I names.

    The other kernels are zeros put in for one dense convolution, far faster than several in groups.

    Shape:
        (B, 6, H, W) -> (B, 16, H - 4, W - 4)
    """

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        pairs = [6 * target + source for target, row in enumerate(TABLE_I) for source in row]
        self.register_buffer("places", torch.tensor(pairs), persistent=False)
        reads = torch.tensor([[[25 * len(row)]] for row in TABLE_I for _ in row])
        self.kernels = nn.Parameter(SPREAD / reads * (2 * torch.rand(len(pairs), 5, 5) - 1))
        self.bias = nn.Parameter(torch.zeros(len(TABLE_I)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sixteen maps."""
        zeros = self.kernels.new_zeros(16 * 6, 5, 5)
        filters = zeros.index_copy(0, self.places, self.kernels).view(16, 6, 5, 5)
        return functional.conv2d(x, filters, self.bias)


class Distances(nn.Module):
    """Radial basis functions: minus the squared distance to the code of each class.

    Args:
        outputs: Classes; each has a fixed code of ±1, drawn by chance but always the same.

    Shape:
        (B, CODE) -> (B, outputs) logits; 0 is the best
    """

    codes: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        signs = Random(1998).choices((-1.0, 1.0), k=outputs * CODE)
        self.register_buffer("codes", torch.tensor(signs).reshape(outputs, CODE))

    def forward(self, x: Tensor) -> Tensor:
        """Score by nearness."""
        return -(x[:, None] - self.codes).square().sum(dim=2)


class LeNet5Of1998(nn.Module):
    """The published form: trained subsampling, chosen maps, scaled tanh, distances to codes.

    Args:
        inputs: Shape of one image, (C, H, W); sides of 16 pixels or more.
        outputs: Scores per image.

    Shape:
        (B, C, H, W) -> (B, outputs) logits, minus squared distances
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        channels, height, width = inputs
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5), ScaledTanh(),  # C1
            Subsample(6), ScaledTanh(),  # S2
            ChosenMaps(), ScaledTanh(),  # C3
            Subsample(16), ScaledTanh(),  # S4
            nn.Conv2d(16, 120, (_after(height), _after(width))), ScaledTanh(),  # C5
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(120, CODE), ScaledTanh(),  # F6
            Distances(outputs),
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                bound = SPREAD / layer.weight[0].numel()
                nn.init.uniform_(layer.weight, -bound, bound)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 120, 1, 1)
        return self.classifier(x)


def _after(side: int) -> int:
    """Return what two rounds of convolution and pooling leave of a side."""
    return ((side - 4) // 2 - 4) // 2


def lenet5(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> LeNet5:
    """Return LeNet-5; it was made for small images, so `small` changes nothing."""
    return LeNet5(inputs, outputs)


def lenet5_1998(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> LeNet5Of1998:
    """Return the form of 1998; it was made for small images, so `small` changes nothing."""
    return LeNet5Of1998(inputs, outputs)
