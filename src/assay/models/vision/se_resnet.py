"""SE-ResNet: residual blocks that look at the whole image to weigh their channels.

Source: Hu, Shen and Sun, 2017, https://arxiv.org/abs/1709.01507, figure 3 and table 1.
"""

from assay.blocks.residual import Residual
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.models.vision.resnet import ResNet, bottleneck

REDUCTION = 16  # of the channels between the two layers (section 3.2)


def se_bottleneck(in_channels: int, out_channels: int, stride: int) -> Residual:
    """Return a bottleneck whose branch is weighed before it is added to the shortcut."""
    block = bottleneck(in_channels, out_channels, stride)
    block.branch.append(SqueezeExcitation(out_channels, out_channels // REDUCTION))
    return block


def se_resnet50(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 50 layers."""
    return ResNet(
        (3, 4, 6, 3),
        se_bottleneck,
        expansion=4,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )
