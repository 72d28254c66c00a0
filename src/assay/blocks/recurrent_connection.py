"""A layer whose units hear what they said one step ago.

Source: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1, figure 2.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def recurrent_connection(
    driven: Tensor, state: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Return the next state: tanh of what drives it from outside plus what it says to itself.

    Args:
        driven: (B, H), the input of this step times its own weights.
        state: (B, H), of the step before.
        weight: (H, H), from every unit to every unit.
        bias: (H,).
    """
    return torch.tanh(driven + F.linear(state, weight, bias))
