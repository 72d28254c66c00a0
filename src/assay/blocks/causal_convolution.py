"""A convolution over time that never looks ahead, and keeps what it needs of the past.

Sources: Bai, Kolter and Koltun, 2018, https://arxiv.org/abs/1803.01271, section 3;
weights split into length and direction of Salimans and Kingma, 2016,
https://arxiv.org/abs/1602.07868, equation 2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CausalConvolution(nn.Module):
    """y[t] = bias + the sum over k of weight[k] · x[t - k · dilation], weight = g · v / |v|.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        kernel_size: Steps that are seen at once, the present one included.
        dilation: Steps between two of them.

    Attributes:
        reach: How many steps back the oldest of them lies.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1
    ) -> None:
        super().__init__()
        plain = nn.Conv1d(in_channels, out_channels, kernel_size)  # for its starting values
        self.dilation = dilation
        self.reach = (kernel_size - 1) * dilation
        self.weight_v = nn.Parameter(plain.weight.detach())
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(1, 2), keepdim=True))
        self.bias = plain.bias

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output at each step, (B, T, out_channels), and the past of the next one.

        Args:
            x: (B, T, in_channels).
            past: The `reach` steps before, (B, reach, in_channels); zeros if not given.
        """
        if past is None:
            past = self.no_past(len(x)).to(x.dtype)
        x = torch.cat([past, x], dim=1)
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(1, 2), keepdim=True))
        row = x.transpose(1, 2)[:, :, None]  # an image of one row, channels innermost in memory
        y = F.conv2d(row, weight[:, :, None], self.bias, dilation=(1, self.dilation))
        return y[:, :, 0].transpose(1, 2), x[:, x.shape[1] - self.reach :]

    def no_past(self, batch: int) -> Tensor:
        """Return what lies before the first step: zeros (batch, reach, in_channels)."""
        return self.weight_v.new_zeros(batch, self.reach, self.weight_v.shape[1])
