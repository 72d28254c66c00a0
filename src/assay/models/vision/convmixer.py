"""ConvMixer: patches, then only depthwise convolutions across places and 1x1 across channels.

Source: Trockman and Kolter, 2022, https://arxiv.org/abs/2201.09792, figure 2 and table 1.
"""

from collections.abc import Callable

from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM
from assay.blocks.depthwise import DepthwiseConv2d
from assay.blocks.head import ImageHead
from assay.blocks.in_place import in_place
from assay.blocks.residual import Residual

Activation = Callable[[], nn.Module]


def activated(conv: nn.Conv2d, act: Activation) -> nn.Sequential:
    """Return convolution, activation, normalisation: the paper normalises last."""
    return nn.Sequential(
        conv,
        in_place(act()),
        BatchNorm2d(conv.out_channels, momentum=MOMENTUM, inplace=True),
    )


def mix(width: int, kernel_size: int, act: Activation) -> nn.Sequential:
    """Return one layer: mix the places of each channel, then the channels of each place.

    (B, width, H, W) -> (B, width, H, W)
    """
    places = DepthwiseConv2d(width, width, kernel_size, padding="same", groups=width)
    channels = nn.Conv2d(width, width, 1)
    return nn.Sequential(Residual(activated(places, act)), activated(channels, act))


class ConvMixer(nn.Module):
    """Patches, layers of one width and one size, the average over places, a linear head.

    Args:
        in_channels: Channels of the image.
        outputs: Scores per image.
        width: Channels of every layer.
        depth: Layers.
        kernel_size: Side of the depthwise filters.
        patch: Side of a patch, pixels.
        act: Built without arguments.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        *,
        in_channels: int,
        outputs: int,
        width: int,
        depth: int,
        kernel_size: int,
        patch: int,
        act: Activation,
    ) -> None:
        super().__init__()
        self.stem = activated(nn.Conv2d(in_channels, width, patch, patch), act)
        self.blocks = nn.Sequential(*(mix(width, kernel_size, act) for _ in range(depth)))
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.blocks(self.stem(x))  # (B, width, H/patch, W/patch)
        return self.head(x)


def convmixer_768_32(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ConvMixer:
    """Return 32 layers of 768 channels; small: 8 of 256, as the authors use for CIFAR-10."""
    return ConvMixer(
        in_channels=inputs[0],
        outputs=outputs,
        width=256 if small else 768,
        depth=8 if small else 32,
        kernel_size=5 if small else 7,
        patch=2 if small else 7,
        act=nn.GELU if small else nn.ReLU,
    )
