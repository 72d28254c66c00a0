"""Let nothing but the likeliest tokens be drawn.

Source: Fan, Lewis and Dauphin, 2018, https://arxiv.org/abs/1805.04833.
"""

import torch
from torch import Tensor


def keep_most_likely(logits: Tensor, k: int) -> Tensor:
    """Return logits (B, V) with -inf for all but the `k` likeliest tokens and those that tie."""
    least = logits.topk(min(k, logits.shape[1])).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)
