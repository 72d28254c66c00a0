"""LeNet-5: convolution and pooling twice, then three fully connected layers.

Source: LeCun, Bottou, Bengio and Haffner, 1998, https://doi.org/10.1109/5.726791, figure 2.
"""

from torch import Tensor, nn


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
            nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
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


def _after(side: int) -> int:
    """Return what two rounds of convolution and pooling leave of a side."""
    return ((side - 4) // 2 - 4) // 2


def lenet5(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> LeNet5:
    """Return LeNet-5; it was made for small images, so `small` changes nothing."""
    return LeNet5(inputs, outputs)
