"""Normalise and activate before each convolution, so that the shortcut carries sums untouched.

Source: He, Zhang, Ren and Sun, 2016, https://arxiv.org/abs/1603.05027, figure 4(e).
"""

from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM
from assay.blocks.in_place import residual_sum


class NormAct(nn.Sequential):
    """Batch normalisation, then a rectifier. (B, channels, H, W) -> (B, channels, H, W).

    Args:
        channels: Of the input and the output.
        inplace: Whether nothing else reads the input. Inference overwrites it, and so does the
            rectifier, should somebody take the normalisation out.
    """

    def __init__(self, channels: int, *, inplace: bool = False) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels, momentum=MOMENTUM, inplace=inplace)
        self.act = nn.ReLU(inplace)


class PreActivated(nn.Module):
    """branch(first(x)) + x, or + shortcut(first(x)) where the shape changes.

    Args:
        channels: Of the input; they are normalised and activated first.
        branch: The layers that follow, in order.
        shortcut: What makes the shapes equal; None where they are.
    """

    def __init__(
        self, channels: int, *branch: nn.Module, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.first = NormAct(channels)
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        active = self.first(x)
        kept = x if self.shortcut is None else self.shortcut(active)
        return residual_sum(self.branch(active), kept, x)


def plain(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias whose stride alone sets the size, started by He's rule."""
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
