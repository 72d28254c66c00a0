"""Light CNN: each convolution makes two maps for every one it passes on; the greater value wins.

Source: Wu, He, Sun and Tan, 2015, https://arxiv.org/abs/1511.02683, section 3, and the authors'
code, https://github.com/AlfredXiangWu/LightCNN.
"""

from torch import Tensor, nn

from assay.blocks.max_feature_map import MaxFeatureMap
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.residual import Residual

WIDTHS = (48, 96, 192, 128, 128)  # channels of the first convolution and of the four groups
DEPTHS_9 = (0, 0, 0, 0)  # residual blocks before each group
DEPTHS_29 = (1, 2, 3, 4)
POOLED = (True, True, False, True)  # whether the image is halved after each group
FEATURES = 256  # of an image: what the paper compares faces by
BRANCH_SCALE = 0.2  # of a residual branch at the start: nothing else holds ten sums in check


def winners(
    in_channels: int, out_channels: int, kernel_size: int, scale: float = 1.0
) -> nn.Sequential:
    """Return a convolution to twice the channels, then their max-feature-map.

    (B, in_channels, H, W) -> (B, out_channels, H, W)
    """
    layer = nn.Conv2d(in_channels, 2 * out_channels, kernel_size, padding=kernel_size // 2)
    start(layer, scale)
    return nn.Sequential(layer, MaxFeatureMap())


def start(layer: nn.Conv2d | nn.Linear, scale: float = 1.0) -> None:
    """Draw weights that keep the mean square: the greater of two like values has that of either."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    layer.weight.data.mul_(scale)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def residual(channels: int) -> Residual:
    """Return two 3x3 convolutions added to their input. (B, C, H, W) -> (B, C, H, W)."""
    return Residual(winners(channels, channels, 3), winners(channels, channels, 3, BRANCH_SCALE))


def group(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 1x1 convolution, then a 3x3. (B, in, H, W) -> (B, out, H, W)."""
    return nn.Sequential(
        winners(in_channels, in_channels, 1), winners(in_channels, out_channels, 3)
    )


class LightCNN(nn.Module):
    """A 5x5 convolution, four groups with pools between them, a layer of features, a linear head.

    Args:
        depths: Residual blocks before each group.
        inputs: Shape of one image, (C, H, W); the layer of features widens with its area.
        outputs: Scores per image.
        small: No pool after the first convolution, and no dropout.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(
        self, depths: tuple[int, ...], *, inputs: tuple[int, ...], outputs: int, small: bool
    ) -> None:
        super().__init__()
        channels, height, width = inputs
        self.features = nn.Sequential(winners(channels, WIDTHS[0], 5))
        if not small:
            self.features.append(_pool())
        for depth, before, after, pooled in zip(depths, WIDTHS, WIDTHS[1:], POOLED, strict=False):
            self.features.extend(residual(before) for _ in range(depth))
            self.features.append(group(before, after))
            if pooled:
                self.features.append(_pool())
        shrunk = 8 if small else 16
        area = -(-height // shrunk) * -(-width // shrunk)  # 8 * 8 of a native image
        hidden = nn.Linear(WIDTHS[-1] * area, 2 * FEATURES)
        start(hidden)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            hidden, MaxFeatureMap(), nn.Dropout(0.0 if small else 0.5),
            nn.Linear(FEATURES, outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 128, H/16, W/16), or H/8, W/8 when small
        return self.classifier(x)


def _pool() -> MaxPool2d:
    """Return what halves the image; a last odd row or column is kept."""
    return MaxPool2d(2, ceil_mode=True)


def light_cnn_9(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> LightCNN:
    """Return the network of 9 convolutions."""
    return LightCNN(DEPTHS_9, inputs=inputs, outputs=outputs, small=small)


def light_cnn_29(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> LightCNN:
    """Return the network of 29 convolutions."""
    return LightCNN(DEPTHS_29, inputs=inputs, outputs=outputs, small=small)
