"""Synthesizer's attention: weights that no query and key agree upon."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.blocks.linformer import refuse_causal
from assay.errors import BadArgumentError


class Synthesizer(nn.Module):
    """Values averaged with weights that are made without comparing two tokens.

    "dense": a small network makes each token's row of weights from that token alone, W₂ relu(W₁ x).
    "random": one trained table of weights for all inputs.

    Args:
        embed_dim: Width of a token.
        num_heads: Must divide `embed_dim`.
        length: The most positions that a sequence can have.
        scores: Makes the scores, given width, heads and length: `DenseScores` or `RandomScores`.

    Shape:
        (B, T, embed_dim), mask (B, T) with True for what may be seen -> (B, T, embed_dim)

    Raises:
        BadArgumentError: A sequence is longer than `length`, or the attention must be causal.

    Source:
        Tay et al., 2021, https://arxiv.org/abs/2005.00743, equations 2 to 5.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        length: int,
        scores: Callable[[int, int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.length = length
        self.scores = scores(embed_dim, num_heads, length)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Mix the tokens."""
        refuse_causal("Synthesizer", causal=causal)
        if x.shape[1] > self.length:
            raise BadArgumentError(
                f"This Synthesizer reads at most {self.length} positions. Received {x.shape[1]}; "
                "cut the sequences, or build it with a larger length."
            )
        scores = self.scores(x)  # (B or 1, heads, T, T)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        values = self.value(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        mixed = scores.softmax(dim=-1) @ values  # (B, heads, T, d)
        return self.out(mixed.transpose(1, 2).flatten(2))


class DenseScores(nn.Module):
    """Each token's own scores of all positions. (B, T, embed_dim) -> (B, heads, T, T).

    Args:
        embed_dim: Width of a token.
        num_heads: Rows of scores per token; each head reads `embed_dim / num_heads` hidden values.
        length: The most positions that a sequence can have.
    """

    def __init__(self, embed_dim: int, num_heads: int, length: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.hidden = nn.Linear(embed_dim, embed_dim)
        width = embed_dim // num_heads
        self.weight = nn.Parameter(torch.randn(num_heads, width, length) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(num_heads, 1, length))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the positions that are there."""
        hidden = self.hidden(x).relu().unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        here = x.shape[1]
        return hidden @ self.weight[..., :here] + self.bias[..., :here]


class RandomScores(nn.Module):
    """One table of scores for all inputs. (B, T, embed_dim) -> (1, heads, T, T).

    Args:
        embed_dim: Width of a token; not used.
        num_heads: Tables.
        length: The most positions that a sequence can have.
    """

    def __init__(self, embed_dim: int, num_heads: int, length: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(num_heads, length, length))

    def forward(self, x: Tensor) -> Tensor:
        """Return the part for the positions that are there."""
        here = x.shape[1]
        return self.table[None, :, :here, :here]
