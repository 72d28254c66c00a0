"""What decides when a memory cell is written, kept and shown.

Sources: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735 (input and
output gate); Gers, Schmidhuber and Cummins, 2000, https://doi.org/10.1162/089976600300015015 (the
forget gate).
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def lstm_gates(
    driven: Tensor, state: Tensor, weight: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gates write, keep and show in (0, 1), and the content in (-1, 1), each (B, H).

    They come as write, keep, content, show: in the order in which torch stores their weights.

    Args:
        driven: (B, 4·H), the input of this step times its own weights.
        state: (B, H), what was shown at the step before.
        weight: (4·H, H).
        bias: (4·H,).
    """
    write, keep, content, show = (driven + F.linear(state, weight, bias)).chunk(4, dim=1)
    return write.sigmoid(), keep.sigmoid(), torch.tanh(content), show.sigmoid()
