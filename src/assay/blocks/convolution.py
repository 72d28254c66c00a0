"""Convolution with the layers that nearly always follow it."""

from collections.abc import Callable

from torch import nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.depthwise import SIDES, DepthwiseConv2d
from assay.blocks.in_place import in_place

MOMENTUM = 0.3  # of running statistics: torch's 0.1 still lags when a training has tens of steps


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalisation, activation; padded so that stride alone sets the size.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel, odd.
        stride: Step between outputs.
        groups: Convolutions that run side by side; `in_channels` of them is a depthwise one.
        bias: Whether the convolution adds one; the normalisation takes it away again.
        act: Built without arguments; None leaves it out.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        act: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        super().__init__()
        depthwise = groups == in_channels == out_channels and kernel_size in SIDES
        kind = DepthwiseConv2d if depthwise else nn.Conv2d
        padding = kernel_size // 2
        self.conv = kind(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias
        )
        self.norm = BatchNorm2d(out_channels, momentum=MOMENTUM, inplace=True)
        if act:
            self.act = in_place(act())
        # by the outputs of all groups together, as torchvision does
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    @property
    def activates(self) -> bool:
        """Whether an activation comes last."""
        return len(self) > 2
