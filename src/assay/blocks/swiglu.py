"""A Transformer's small network whose inner values are let through by a second map."""

from torch import Tensor, nn
from torch.nn import functional as F


class SwiGLU(nn.Module):
    """Two maps widen, one opens the gates of the other, a third narrows. (..., width) -> the same.

    Args:
        width: Of the input and the output.
        hidden: Width between; two thirds of an ungated network's cost as many weights.

    Source:
        Shazeer, 2020, https://arxiv.org/abs/2002.05202, equation 6.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.wide = nn.Linear(width, 2 * hidden, bias=False)  # the gates, then what they let pass
        self.narrow = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Widen, gate, narrow."""
        gate, passed = self.wide(x).chunk(2, dim=-1)
        return self.narrow(F.silu(gate) * passed)
