"""Attention of a sequence's tokens to each other."""

from assay.blocks.attention import Attention


class SelfAttention(Attention):
    """Queries, keys and values come from one sequence by one linear map.

    Args:
        embed_dim: Width of a token.
        num_heads: How many independent ways there are to look; must divide `embed_dim`.

    Shape:
        (B, T, embed_dim) -> (B, T, embed_dim)

    Raises:
        BadArgumentError: `num_heads` does not divide `embed_dim`.

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.2.3.
    """

    def __init__(self, embed_dim: int, num_heads: int = 1) -> None:
        super().__init__(embed_dim, num_heads)
