"""An n×n convolution in two cheaper steps.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, 2015, https://arxiv.org/abs/1512.00567,
section 3.2.
"""

from collections.abc import Callable

from torch import Tensor, nn

from assay.errors import BadArgumentError


class AsymmetricConvolution(nn.Module):
    """A column of n weights, then a row of n: 2n weights see what n² would.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, and between the two.
        kernel_size: n, odd.
        between: The layers after the column; built without arguments.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, H, W)

    Raises:
        BadArgumentError: `kernel_size` is even, so that no padding keeps the size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        between: Callable[[], nn.Module] = nn.Identity,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise BadArgumentError(
                "`kernel_size` must be odd, so that the output keeps the size of the input. "
                f"Received kernel_size={kernel_size}; take {kernel_size + 1}."
            )
        half = kernel_size // 2
        self.column = nn.Conv2d(in_channels, out_channels, (kernel_size, 1), padding=(half, 0))
        self.between = between()
        self.row = nn.Conv2d(out_channels, out_channels, (1, kernel_size), padding=(0, half))

    def forward(self, x: Tensor) -> Tensor:
        """Filter along the height, then along the width."""
        return self.row(self.between(self.column(x)))
