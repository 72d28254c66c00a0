"""Wide ResNet: residual blocks made wider rather than more numerous.

Source: Zagoruyko and Komodakis, 2016, https://arxiv.org/abs/1605.07146, table 8.
"""

from functools import partial

from assay.models.vision.resnet import ResNet, bottleneck


def wide_resnet50_2(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return ResNet-50 with the 3x3 convolutions twice as wide."""
    return ResNet(
        (3, 4, 6, 3),
        partial(bottleneck, group_width=2 * 64),
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )
