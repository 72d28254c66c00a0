"""ResNeXt: the middle of a bottleneck split into many narrow paths that run side by side.

Source: Xie et al., 2016, https://arxiv.org/abs/1611.05431, table 1, figure 3c, and
section 5.3 for the networks of small images.
"""

from collections.abc import Sequence
from functools import partial

from assay.models.vision.resnet import ResNet, bottleneck

SMALL_WIDTHS = (64, 128, 256)  # of the three stages of the networks for small images, a quarter


def resnext50_32x4d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 50 layers with 32 paths, 4 channels wide in the first stage."""
    return _resnext((3, 4, 6, 3), 32, 4, inputs, outputs, small=small)


def resnext101_32x4d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 101 layers with 32 paths, 4 channels wide in the first stage."""
    return _resnext((3, 4, 23, 3), 32, 4, inputs, outputs, small=small)


def resnext101_32x8d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 101 layers with 32 paths, 8 channels wide in the first stage."""
    return _resnext((3, 4, 23, 3), 32, 8, inputs, outputs, small=small)


def resnext101_64x4d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 101 layers with 64 paths, 4 channels wide in the first stage."""
    return _resnext((3, 4, 23, 3), 64, 4, inputs, outputs, small=small)


def _resnext(
    depths: Sequence[int],
    groups: int,
    group_width: int,
    inputs: tuple[int, ...],
    outputs: int,
    *,
    small: bool,
) -> ResNet:
    return ResNet(
        depths,
        partial(bottleneck, groups=groups, group_width=group_width),
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )


def resnext29_8x64d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 29 layers for small images, with 8 paths of 64 channels."""
    return _for_small_images(8, inputs, outputs)


def resnext29_16x64d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 29 layers for small images, with 16 paths of 64 channels."""
    return _for_small_images(16, inputs, outputs)


def _for_small_images(groups: int, inputs: tuple[int, ...], outputs: int) -> ResNet:
    """Return section 5.3's network of three stages of three blocks."""
    return ResNet(
        (3, 3, 3),
        partial(bottleneck, groups=groups),
        widths=SMALL_WIDTHS,
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=True,
    )
