"""ResNeXt: the middle of a bottleneck split into many narrow paths that run side by side.

Source: Xie et al., 2016, https://arxiv.org/abs/1611.05431, table 1, figure 3c.
"""

from functools import partial

from assay.models.vision.resnet import ResNet, bottleneck


def resnext50_32x4d(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 50 layers with 32 paths, 4 channels wide in the first stage."""
    return ResNet(
        (3, 4, 6, 3),
        partial(bottleneck, groups=32, group_width=4),
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )
