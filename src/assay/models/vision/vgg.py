"""VGG: nothing but 3x3 convolutions, with a pool wherever the width grows.

Source: Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556, table 1, columns A, B, D and
E; batch normalisation after each convolution as in torchvision's vgg11_bn. Small form: one
linear layer after the convolutions, Liu and Deng, 2015, https://doi.org/10.1109/ACPR.2015.7486599.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d

Activation = Callable[[], nn.Module]
RELU = partial(nn.ReLU, inplace=True)
# widths between two pools
STAGES_11 = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
STAGES_13 = ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2)
STAGES_16 = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
STAGES_19 = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)


def normalized(in_channels: int, out_channels: int, act: Activation | None) -> nn.Module:
    """Return convolution, batch normalisation, activation. (B, in, H, W) -> (B, out, H, W)."""
    return ConvNormAct(in_channels, out_channels, 3, bias=True, act=act)


def plain(in_channels: int, out_channels: int, act: Activation | None) -> nn.Module:
    """Return convolution and activation, as published. (B, in, H, W) -> (B, out, H, W)."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, act()) if act else nn.Sequential(conv)


def pool() -> nn.Sequential:
    """Return a pool, then the ReLU of the convolution before it: of a quarter of the values.

    (B, C, H, W) -> (B, C, H / 2, W / 2); what is largest stays largest, so that the order does not
    matter.
    """
    return nn.Sequential(MaxPool2d(2), RELU())


def classifier(in_channels: int, outputs: int) -> nn.Sequential:
    """Return the three wide linear layers. (B, in_channels, H, W) -> (B, outputs)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        nn.Linear(in_channels * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(4096, outputs),
    )  # fmt: skip


class VGG(nn.Module):
    """Stages of 3x3 convolutions with a pool after each, then a classifier.

    Args:
        stages: Widths of the convolutions of each stage.
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.
        convolution: Builds one, given its channels in and out and its activation: `normalized` or
            `plain`.
        small: One linear layer after averaging as classifier, and no pool of a single pixel.

    Attributes:
        least_side: Pixels that the pools need of an image's sides.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]],
        inputs: tuple[int, ...],
        outputs: int,
        *,
        convolution: Callable[[int, int, Activation | None], nn.Module] = normalized,
        small: bool,
    ) -> None:
        super().__init__()
        width, side = inputs[0], min(inputs[1:])
        self.least_side = 1
        self.features = nn.Sequential()
        for stage in stages:
            pooled = side > 1 or not small
            for place, out in enumerate(stage, 1):
                last = pooled and place == len(stage)
                self.features.append(convolution(width, out, None if last else RELU))
                width = out
            if pooled:
                self.features.append(pool())
                side //= 2
                self.least_side *= 2
        self.classifier = ImageHead(width, outputs) if small else classifier(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 512, H/32, W/32)
        return self.classifier(x)


def vgg11_bn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 11 layers, batch-normalised."""
    return VGG(STAGES_11, inputs, outputs, small=small)


def vgg13_bn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 13 layers, batch-normalised."""
    return VGG(STAGES_13, inputs, outputs, small=small)


def vgg16_bn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 16 layers, batch-normalised."""
    return VGG(STAGES_16, inputs, outputs, small=small)


def vgg19_bn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 19 layers, batch-normalised."""
    return VGG(STAGES_19, inputs, outputs, small=small)


def vgg11(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 11 layers, as published."""
    return VGG(STAGES_11, inputs, outputs, convolution=plain, small=small)


def vgg13(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 13 layers, as published."""
    return VGG(STAGES_13, inputs, outputs, convolution=plain, small=small)


def vgg16(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 16 layers, as published."""
    return VGG(STAGES_16, inputs, outputs, convolution=plain, small=small)


def vgg19(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 19 layers, as published."""
    return VGG(STAGES_19, inputs, outputs, convolution=plain, small=small)
