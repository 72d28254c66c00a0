"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters.

Source: Iandola et al., 2016, https://arxiv.org/abs/1602.07360, table 1; 1.1 is the authors' update.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.blocks.max_pool import MaxPool2d


class Fire(nn.Module):
    """Squeeze with 1x1, expand with 1x1 and 3x3. (B, C, H, W) -> (B, 8 * squeeze, H, W)."""

    def __init__(self, in_channels: int, squeeze: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, 4 * squeeze, 1)
        self.expand3x3 = nn.Conv2d(squeeze, 4 * squeeze, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return both expansions side by side."""
        x = self.squeeze(x).relu_()  # (B, squeeze, H, W)
        return torch.cat([self.expand1x1(x).relu_(), self.expand3x3(x).relu_()], dim=1)


class SqueezeNet(nn.Module):
    """A stem, groups of Fire blocks with a max pool before each group, a 1x1 classifier.

    Args:
        stem: Channels and kernel size of the first convolution.
        squeezes: Per group, the squeeze width of each Fire block.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        stem: tuple[int, int],
        squeezes: Sequence[Sequence[int]],
        *,
        in_channels: int,
        outputs: int,
    ) -> None:
        super().__init__()
        channels, kernel_size = stem
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size, 2), nn.ReLU(inplace=True)
        )
        for group in squeezes:
            self.features.append(MaxPool2d(3, 2, ceil_mode=True))
            for squeeze in group:
                self.features.append(Fire(channels, squeeze))
                channels = 8 * squeeze
        last = nn.Conv2d(channels, outputs, 1)
        self.classifier = nn.Sequential(nn.Dropout(0.5), last, nn.ReLU(inplace=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 512, H/16, W/16)
        x = self.classifier(x)  # (B, outputs, H/16, W/16)
        return x.mean(dim=(2, 3))


def squeezenet1_0(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> SqueezeNet:
    """Return the published network; `small` changes nothing."""
    squeezes = ((16, 16, 32), (32, 48, 48, 64), (64,))
    return SqueezeNet((96, 7), squeezes, in_channels=inputs[0], outputs=outputs)


def squeezenet1_1(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> SqueezeNet:
    """Return the update, which pools earlier to save work; `small` changes nothing."""
    squeezes = ((16, 16), (32, 32), (48, 48, 64, 64))
    return SqueezeNet((64, 3), squeezes, in_channels=inputs[0], outputs=outputs)
