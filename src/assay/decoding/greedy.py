"""Take the likeliest token each time."""

from torch import Tensor


def greedy(logits: Tensor, made: Tensor) -> Tensor:
    """Return the likeliest token (B,) of logits (B, V), the first of those that tie.

    Args:
        logits: Of the next token.
        made: Tokens that each text has already (B,); of no influence.
    """
    return logits.argmax(1)
