"""GRU: two gates and no separate memory cell; most of the LSTM for three quarters of its weights.

Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078, equations 5 to 8.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GRU(nn.Module):
    """One GRU layer, then a linear head on its last state.

    Args:
        features: Width of one time step.
        outputs: Scores per sequence.
        hidden: Width of the state.

    Attributes:
        kernel: Which of two equal computations runs: torch's "fused" one, or the "steps" below.

    Shape:
        (B, T, features) -> (B, outputs) logits
    """

    def __init__(self, features: int, outputs: int, *, hidden: int) -> None:
        super().__init__()
        self.kernel: Literal["fused", "steps"] = "fused"
        self.layer = nn.GRU(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)
        _, weight_back, _, _ = self.layer.parameters()
        for block in weight_back.chunk(3):  # reset, update, new
            nn.init.orthogonal_(block)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of sequences."""
        last = self.steps(x) if self.kernel == "steps" else self.layer(x)[0][:, -1]  # (B, hidden)
        return self.head(last)

    def steps(self, x: Tensor) -> Tensor:
        """Return the last state. (B, T, features) -> (B, hidden)."""
        weight_in, weight_back, bias_in, bias_back = self.layer.parameters()
        driven = F.linear(x, weight_in, bias_in)  # (B, T, 3 * hidden), at once
        state = x.new_zeros(len(x), self.layer.hidden_size)
        for drive in driven.unbind(1):
            echo = F.linear(state, weight_back, bias_back)
            reset_in, update_in, new_in = drive.chunk(3, dim=1)
            reset_back, update_back, new_back = echo.chunk(3, dim=1)
            reset = torch.sigmoid(reset_in + reset_back)
            update = torch.sigmoid(update_in + update_back)
            new = torch.tanh(new_in + reset * new_back)
            state = update * state + (1 - update) * new
        return state


def gru(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> GRU:
    """Return the network with 128 units; `small` changes nothing."""
    return GRU(inputs[1], outputs, hidden=128)
