"""SE-ResNet: residual blocks that look at the whole image to weigh their channels.

Source: Hu, Shen and Sun, 2017, https://arxiv.org/abs/1709.01507, figure 3 and table 1, and
section 6.2 for the network of small images.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from assay.blocks.preactivation import PreActivated
from assay.blocks.residual import Residual
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.models.vision.resnet import ResNet, bottleneck, preact_bottleneck, small_preact

REDUCTION = 16  # of the channels between the two layers (section 3.2)


class SEResidual(Residual):
    """A residual block whose branch ends in squeeze-and-excitation; weighs and adds in one pass."""

    def total(self, x: Tensor, kept: Tensor) -> Tensor:
        """Return the weighed branch + kept."""
        *layers, last = self.branch
        if not isinstance(last, SqueezeExcitation):  # it was taken out
            return super().total(x, kept)
        change = x
        for layer in layers:
            change = layer(change)
        return cast(Tensor, last(change, kept))


def se_bottleneck(in_channels: int, out_channels: int, stride: int) -> SEResidual:
    """Return a bottleneck whose branch is weighed before it is added to the shortcut."""
    plain = bottleneck(in_channels, out_channels, stride)
    excitation = SqueezeExcitation(out_channels, out_channels // REDUCTION)
    return SEResidual(*plain.branch, excitation, shortcut=plain.shortcut, act=plain.act)


def se_preact_bottleneck(in_channels: int, out_channels: int, stride: int) -> PreActivated:
    """Return a pre-activated bottleneck whose branch is weighed before it is added."""
    block = preact_bottleneck(in_channels, out_channels, stride)
    block.branch.append(SqueezeExcitation(out_channels, out_channels // REDUCTION))
    return block


def se_resnet50(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 50 layers."""
    return _in_bottlenecks((3, 4, 6, 3), inputs, outputs, small=small)


def se_resnet101(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 101 layers."""
    return _in_bottlenecks((3, 4, 23, 3), inputs, outputs, small=small)


def se_resnet152(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 152 layers."""
    return _in_bottlenecks((3, 8, 36, 3), inputs, outputs, small=small)


def _in_bottlenecks(
    depths: Sequence[int], inputs: tuple[int, ...], outputs: int, *, small: bool
) -> ResNet:
    return ResNet(
        depths,
        se_bottleneck,
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )


def se_resnet164(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 164 layers for small images, in pre-activated bottlenecks."""
    return small_preact(18, se_preact_bottleneck, inputs, outputs, expansion=4)
