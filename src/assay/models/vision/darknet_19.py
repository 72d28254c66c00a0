"""Darknet-19: 3x3 filters with 1x1 bottlenecks between, and no linear layer at the end.

Source: Redmon and Farhadi, 2016, https://arxiv.org/abs/1612.08242, table 6.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.max_pool import MaxPool2d

# widths of the convolutions between two pools: 3x3 and, at every second place, 1x1
TABLE_6 = (
    (32,),
    (64,),
    (128, 64, 128),
    (256, 128, 256),
    (512, 256, 512, 256, 512),
    (1024, 512, 1024, 512, 1024),
)
LEAKY = partial(nn.LeakyReLU, 0.1, inplace=True)


class Darknet19(nn.Module):
    """Stages of alternating 3x3 and 1x1 convolutions, a pool between two stages, a 1x1 head.

    Args:
        stages: Widths of the convolutions of each stage.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(self, stages: Sequence[Sequence[int]], *, in_channels: int, outputs: int) -> None:
        super().__init__()
        width = in_channels
        self.features = nn.Sequential()
        for stage, widths in enumerate(stages):
            if stage > 0:
                self.features.append(MaxPool2d(2))
            for place, out in enumerate(widths):
                side = 3 if place % 2 == 0 else 1
                self.features.append(ConvNormAct(width, out, side, act=LEAKY))
                width = out
        self.classes = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 1024, H/32, W/32)
        return self.classes(x).mean(dim=(2, 3))  # every place votes


def darknet19(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Darknet19:
    """Return the network of 19 convolutions; it has no small form."""
    del small
    return Darknet19(TABLE_6, in_channels=inputs[0], outputs=outputs)
