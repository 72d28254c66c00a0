"""Any network that reads whole texts, as one that continues them: everything is computed anew."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Uncached:
    """A network without memory in the form of a `Generative` one: the plain loop.

    The time of a token grows with the text before it. What a cache computes is held to this.

    Args:
        model: From tokens (B, T), or from source and tokens, to the logits (B, T, V) of the tokens
            that follow.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def begin(self, source: Tensor, *, most: int) -> tuple[Tensor, Tensor]:
        """Return the source (B, S), and the text so far (B, 0)."""
        return source, source.new_empty((len(source), 0))

    def advance(
        self, tokens: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the logits (B, n, V) after each of `tokens` (B, n), and all that was read."""
        source, before = state
        text = torch.cat([before, tokens], dim=1)
        logits = self.model(source, text) if source.shape[1] else self.model(text)
        return logits[:, -tokens.shape[1] :], (source, text)
