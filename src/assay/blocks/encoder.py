"""One layer of a Transformer encoder."""

from collections.abc import Callable
from functools import partial

from torch import nn

from assay.blocks.feedforward import FeedForward
from assay.blocks.pre_norm import PreNormBlock
from assay.blocks.self_attention import SelfAttention


class EncoderBlock(PreNormBlock):
    """Attention between tokens, then a small network on each; normalised before, added after.

    Args:
        embed_dim: Width of a token.
        num_heads: Of the attention; must divide `embed_dim`.
        hidden: Width inside the small network.
        act: Of the small network, built without arguments.
        eps: Added to the variance by the normalisations.

    Shape:
        (B, N, embed_dim) -> (B, N, embed_dim)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden: int,
        *,
        act: Callable[[], nn.Module] = nn.GELU,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(
            partial(nn.LayerNorm, embed_dim, eps),
            SelfAttention(embed_dim, num_heads),
            FeedForward(embed_dim, hidden, act=act),
        )


def start_linear(module: nn.Module) -> None:
    """Set a linear layer's first weights as Transformers do; to be applied to all modules."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
