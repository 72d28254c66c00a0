"""SE-ResNet: residual blocks that look at the whole image to weigh their channels.

Source: Hu, Shen and Sun, 2017, https://arxiv.org/abs/1709.01507, figure 3 and table 1.
"""

from torch import Tensor, nn

from assay.blocks.residual import Residual
from assay.models.vision.resnet import ResNet, bottleneck

REDUCTION = 16  # of the channels between the two layers (section 3.2)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a weight in (0, 1) that the averages of all channels decide.

    Args:
        channels: Of the input and the output, `REDUCTION` or more.

    Shape:
        (B, channels, H, W) -> (B, channels, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.expand = nn.Conv2d(channels // REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted channels."""
        averages = x.mean(dim=(2, 3), keepdim=True)  # (B, channels, 1, 1)
        return x * self.expand(self.reduce(averages).relu()).sigmoid()


def se_bottleneck(in_channels: int, out_channels: int, stride: int) -> Residual:
    """Return a bottleneck whose branch is weighed before it is added to the shortcut."""
    block = bottleneck(in_channels, out_channels, stride)
    block.branch.append(SqueezeExcitation(out_channels))
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
