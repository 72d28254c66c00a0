"""LSTM: a memory cell behind three gates, so that what matters survives many steps.

Source: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735; the forget
gate of Gers et al., 2000, starting open (bias 1).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LSTM(nn.Module):
    """One LSTM layer, then a linear head on its last state.

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
        self.layer = nn.LSTM(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)
        _, weight_back, bias_in, bias_back = self.layer.parameters()
        for block in weight_back.chunk(4):  # write, keep, content, show
            nn.init.orthogonal_(block)
        nn.init.zeros_(bias_back)
        nn.init.zeros_(bias_in)
        nn.init.ones_(bias_in.chunk(4)[1])

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of sequences."""
        last = self.steps(x) if self.kernel == "steps" else self.layer(x)[0][:, -1]  # (B, hidden)
        return self.head(last)

    def steps(self, x: Tensor) -> Tensor:
        """Return the last state. (B, T, features) -> (B, hidden)."""
        weight_in, weight_back, bias_in, bias_back = self.layer.parameters()
        driven = F.linear(x, weight_in, bias_in)  # (B, T, 4 * hidden), at once
        state = cell = x.new_zeros(len(x), self.layer.hidden_size)
        for drive in driven.unbind(1):
            gates = drive + F.linear(state, weight_back, bias_back)
            write, keep, content, show = gates.chunk(4, dim=1)
            cell = keep.sigmoid() * cell + write.sigmoid() * torch.tanh(content)
            state = show.sigmoid() * torch.tanh(cell)
        return state


def lstm(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> LSTM:
    """Return the network with 128 units; `small` changes nothing."""
    return LSTM(inputs[1], outputs, hidden=128)
