"""Wide ResNet: residual blocks made wider rather than more numerous.

Source: Zagoruyko and Komodakis, 2016, https://arxiv.org/abs/1605.07146, table 8, and table 1 for
the networks of small images.
"""

from collections.abc import Sequence
from functools import partial

from assay.models.vision.resnet import ResNet, bottleneck, preact_basic, small_preact


def wide_resnet50_2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return ResNet-50 with the 3x3 convolutions twice as wide."""
    return _twice_as_wide((3, 4, 6, 3), inputs, outputs, small=small)


def wide_resnet101_2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return ResNet-101 with the 3x3 convolutions twice as wide."""
    return _twice_as_wide((3, 4, 23, 3), inputs, outputs, small=small)


def _twice_as_wide(
    depths: Sequence[int], inputs: tuple[int, ...], outputs: int, *, small: bool
) -> ResNet:
    return ResNet(
        depths,
        partial(bottleneck, group_width=2 * 64),
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )


def wide_resnet16_8(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 16 layers for small images, 8 times as wide."""
    return _for_small_images(2, 8, inputs, outputs)


def wide_resnet28_10(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 28 layers for small images, 10 times as wide."""
    return _for_small_images(4, 10, inputs, outputs)


def wide_resnet40_2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 40 layers for small images, twice as wide."""
    return _for_small_images(6, 2, inputs, outputs)


def wide_resnet40_4(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 40 layers for small images, 4 times as wide."""
    return _for_small_images(6, 4, inputs, outputs)


def _for_small_images(depth: int, factor: int, inputs: tuple[int, ...], outputs: int) -> ResNet:
    """Return table 1's network of 6 * `depth` + 4 layers in B(3, 3), pre-activated, no dropout."""
    return small_preact(depth, preact_basic, inputs, outputs, factor=factor)
