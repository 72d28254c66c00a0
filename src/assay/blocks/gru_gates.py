"""What decides how much of a state is looked at, and how much of it is replaced.

Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078, equations 5 and 6.
"""

import torch
from torch import Tensor


def gru_gates(driven: Tensor, echo: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gates reset and update in (0, 1), each (B, H).

    With `update` 1 the state stays as it is; with `reset` 0 what is new ignores it.

    Args:
        driven: (B, 2·H), the input of this step times the gates' weights.
        echo: (B, 2·H), the state of the step before times the gates' weights.
    """
    reset, update = torch.sigmoid(driven + echo).chunk(2, dim=1)
    return reset, update
