"""RNN: a state that each step rewrites from the input and from itself.

Source: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RNN(nn.Module):
    """One recurrent layer with tanh, then a linear head on its last state.

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
        self.layer = nn.RNN(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)
        _, weight_back, _, _ = self.layer.parameters()
        nn.init.orthogonal_(weight_back)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of sequences."""
        last = self.steps(x) if self.kernel == "steps" else self.layer(x)[0][:, -1]  # (B, hidden)
        return self.head(last)

    def steps(self, x: Tensor) -> Tensor:
        """Return the last state. (B, T, features) -> (B, hidden)."""
        weight_in, weight_back, bias_in, bias_back = self.layer.parameters()
        driven = F.linear(x, weight_in, bias_in)  # (B, T, hidden), at once
        state = x.new_zeros(len(x), self.layer.hidden_size)
        for drive in driven.unbind(1):
            state = torch.tanh(drive + F.linear(state, weight_back, bias_back))
        return state


def rnn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> RNN:
    """Return the network with 128 units; `small` changes nothing."""
    return RNN(inputs[1], outputs, hidden=128)
