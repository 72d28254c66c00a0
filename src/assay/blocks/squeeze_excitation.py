"""Weigh channels by what the whole image says of them.

Source: Hu, Shen and Sun, 2017, https://arxiv.org/abs/1709.01507, equations 2 to 4.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Scales each channel by a weight in [0, 1] that the averages of all channels decide.

    Args:
        channels: Of the input and the output.
        reduced: Channels between the two layers, fewer than `channels`.
        act: Between the two layers; built without arguments.
        gate: Turns the second layer's answer into weights; built without arguments.
        inplace: Whether nothing else reads the input, so that inference may overwrite it.

    Shape:
        (B, channels, H, W) -> (B, channels, H, W)
    """

    def __init__(
        self,
        channels: int,
        reduced: int,
        *,
        act: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.inplace = inplace
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.act = act()
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Return the weighted channels, added to a shortcut of their shape if there is one."""
        averages = x.mean(dim=(2, 3), keepdim=True)  # (B, channels, 1, 1)
        weights = self.gate(self.expand(self.act(self.reduce(averages))))
        if shortcut is not None:
            return torch.addcmul(shortcut, x, weights)
        if self.inplace and not weights.requires_grad and weights.dtype == x.dtype:
            return x.mul_(weights)
        return x * weights
