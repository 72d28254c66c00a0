"""One layer of a Transformer that normalises before each step, whatever the steps are."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class PreNormBlock(nn.Module):
    """Attention between tokens, then a small network on each; normalised before, added after.

    Args:
        norm: Builds a normalisation of one token.
        attention: Mixes tokens, as `blocks.attention.Attention` does.
        feedforward: Of one token.
        dropout: Probability that a value is dropped before it is added.

    Shape:
        (B, T, E) -> (B, T, E)

    Source:
        Xiong et al., 2020, https://arxiv.org/abs/2002.04745, figure 1b.
    """

    def __init__(
        self,
        norm: Callable[[], nn.Module],
        attention: nn.Module,
        feedforward: nn.Module,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm_1 = norm()
        self.attention = attention
        self.norm_2 = norm()
        self.feedforward = feedforward
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor, **seen: Any) -> Tensor:
        """Refine the tokens twice; `seen` is what the attention is told."""
        x = x + self.drop(self.attention(self.norm_1(x), **seen))
        return x + self.drop(self.feedforward(self.norm_2(x)))
