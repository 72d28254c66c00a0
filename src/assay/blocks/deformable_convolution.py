"""A convolution that learns where to look.

Sources: Dai et al., 2017, https://arxiv.org/abs/1703.06211, equations 2 and 3 (version 1);
Zhu, Hu, Lin and Dai, 2018, https://arxiv.org/abs/1811.11168, equation 1 (version 2, modulated).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from assay.errors import BadArgumentError


def sample_taps(
    x: Tensor, offsets: Tensor, kernel_size: int, stride: int, padding: int, dilation: int
) -> Tensor:
    """Return what each tap of a moved kernel sees; between pixels it interpolates linearly.

    Args:
        x: Feature maps; outside of them lie zeros.
        offsets: How far each tap is moved, in pixels: down and right, tap by tap.
        kernel_size: K, the side of the square kernel.
        stride: Step between outputs.
        padding: Rows and columns of zeros at each side.
        dilation: Step between taps before they are moved.

    Shape:
        x (B, C, H, W), offsets (B, 2·K², H', W') -> (B, C, K², H', W')
    """
    batch, channels, height, width = x.shape
    rows, columns = offsets.shape[2:]
    moves = offsets.view(batch, kernel_size**2, 2, rows, columns)
    count = torch.arange(max(kernel_size, rows, columns), device=x.device, dtype=x.dtype)
    tap = count[:kernel_size] * dilation - padding
    down, right = count[:rows, None] * stride, count[:columns] * stride
    ys = tap.repeat_interleave(kernel_size)[:, None, None] + down + moves[:, :, 0]
    xs = tap.repeat(kernel_size)[:, None, None] + right + moves[:, :, 1]  # (B, K², H', W')
    places = torch.stack([(2 * xs + 1) / width - 1, (2 * ys + 1) / height - 1], dim=-1)
    seen = grid_sample(x, places.flatten(1, 2), align_corners=False)  # (B, C, K²·H', W')
    return seen.view(batch, channels, kernel_size**2, rows, columns)


class DeformableConvolution(nn.Module):
    """Moves every tap of its kernel by an offset that a second convolution reads from the input.

    The second convolution starts at zero, so that training starts from a standard convolution, at
    half its strength if the taps are modulated.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel.
        stride: Step between outputs.
        padding: Rows and columns of zeros at each side.
        dilation: Step between taps before they are moved.
        modulated: Whether each tap is also weighted between 0 and 1, as in version 2.
        bias: Whether the output gets one.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, H', W'), as `torch.nn.Conv2d`

    Raises:
        BadArgumentError: The padded image is smaller than the kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        modulated: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.taps = kernel_size**2
        self.modulated = modulated
        self.geometry = kernel_size, stride, padding, dilation
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, bias=bias)
        self.look = nn.Conv2d(
            in_channels, (3 if modulated else 2) * self.taps, *self.geometry
        )  # the offsets, then the weights before their sigmoid
        nn.init.zeros_(self.look.weight)
        nn.init.zeros_(self.look.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Look where the offsets point and weigh what is seen."""
        self._refuse_smaller(x)
        looked = self.look(x)  # (B, 2·K² or 3·K², H', W')
        seen = sample_taps(x, looked[:, : 2 * self.taps], *self.geometry)
        if self.modulated:
            seen = seen * looked[:, None, 2 * self.taps :].sigmoid()
        weight = self.conv.weight.flatten(2)  # (out_channels, in_channels, K²)
        out = torch.einsum("bcthw,oct->bohw", seen, weight)
        return out if self.conv.bias is None else out + self.conv.bias[:, None, None]

    def _refuse_smaller(self, x: Tensor) -> None:
        kernel_size, _, padding, dilation = self.geometry
        least = dilation * (kernel_size - 1) + 1 - 2 * padding
        if min(x.shape[2:]) < least:
            raise BadArgumentError(
                f"This deformable convolution reads images of at least {least}×{least}. "
                f"Received {x.shape[2]}×{x.shape[3]}; give larger ones or more padding."
            )
