"""Network in Network: a small network of 1x1 convolutions after each filter, and no linear layer.

Source: Lin, Chen and Yan, 2013, https://arxiv.org/abs/1312.4400, figure 2; widths from the authors'
CIFAR-10 model.
"""

from torch import Tensor, nn

from assay.blocks.max_pool import MaxPool2d


def mlpconv(in_channels: int, kernel_size: int, widths: tuple[int, int, int]) -> nn.Sequential:
    """Return a convolution and two of 1x1 on its result. (B, in, H, W) -> (B, widths[2], H, W)."""
    first, second, third = widths
    return nn.Sequential(
        nn.Conv2d(in_channels, first, kernel_size, padding=kernel_size // 2), nn.ReLU(),
        nn.Conv2d(first, second, 1), nn.ReLU(),
        nn.Conv2d(second, third, 1), nn.ReLU(),
    )  # fmt: skip


class NetworkInNetwork(nn.Module):
    """Three small networks slid over the image; the last leaves one map per class to average.

    Args:
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            mlpconv(in_channels, 5, (192, 160, 96)),
            MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(0.5),
            mlpconv(96, 5, (192, 192, 192)),
            nn.AvgPool2d(3, 2, ceil_mode=True), nn.Dropout(0.5),
            mlpconv(192, 3, (192, 192, outputs))[:-1],  # scores may be negative
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, outputs, H/4, W/4)
        return x.mean(dim=(2, 3))


def nin(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> NetworkInNetwork:
    """Return the CIFAR-10 network; it was made for small images, so `small` changes nothing."""
    return NetworkInNetwork(inputs[0], outputs)
