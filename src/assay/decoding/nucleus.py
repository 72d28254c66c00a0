"""Draw among few tokens where the model is sure, and among many where it is not.

Source: Holtzman, Buys, Du, Forbes and Choi, 2019, https://arxiv.org/abs/1904.09751.
"""

import torch
from torch import Tensor


def keep_nucleus(logits: Tensor, p: float | Tensor) -> Tensor:
    """Return logits (B, V) with -inf outside the smallest set of tokens of probability `p`.

    The token that crosses `p` stays, and so does the likeliest.

    Args:
        logits: Of the next token; -inf where one is left out already.
        p: In (0, 1], one for all or one for each row (B, 1).
    """
    ordered, order = logits.sort()
    below = ordered.softmax(1).cumsum(1) <= 1 - p
    below[:, -1] = False
    return logits.masked_fill(below.scatter(1, order, below), -torch.inf)
