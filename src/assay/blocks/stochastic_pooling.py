"""Pooling that draws one value of each window, the larger the likelier.

Source: Zeiler and Fergus, 2013, https://arxiv.org/abs/1301.3557, section 3.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold


class StochasticPool2d(nn.Module):
    """Keeps one value of each window, drawn in proportion to its size while training.

    In eval mode it returns the average under those probabilities. Values below zero count as
    zero, as after a ReLU.

    Args:
        kernel_size: Side of the square window.
        stride: Step between windows; None is `kernel_size`.

    Shape:
        (B, C, H, W) -> (B, C, (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1)
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride or kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """Return one value a window."""
        values = self._windows(x.relu())  # (B, C, H', W', kernel_size²)
        if not self.training:
            total = values.sum(dim=-1)
            return values.square().sum(dim=-1) / total.where(total > 0, 1.0)
        race = values / torch.empty_like(values).exponential_()  # won in proportion to the value
        return values.gather(-1, race.argmax(dim=-1, keepdim=True)).squeeze(-1)

    def _windows(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows, columns = ((side - self.kernel_size) // self.stride + 1 for side in (height, width))
        columns_of = unfold(x, self.kernel_size, stride=self.stride)  # (B, C·kernel_size², L)
        windows = columns_of.view(batch, channels, self.kernel_size**2, rows, columns)
        return windows.movedim(2, -1)
