"""Attention from one sequence to another."""

from assay.blocks.attention import Attention


class CrossAttention(Attention):
    """Tokens look at the tokens of another sequence, the memory, in `num_heads` independent ways.

    Args:
        embed_dim: Width of a token that asks.
        num_heads: Must divide `embed_dim` unless `head_dim` is given.
        memory_dim: Width of a token that is read; as `embed_dim` if not given.
        head_dim: Width of a query, key and value; `embed_dim / num_heads` if not given.
        bias: Whether the linear maps add a constant.
        scale: What scores are multiplied by; `head_dim ** -0.5` if not given.
        dropout: Probability that a weight is dropped in training.

    Shape:
        (B, T, embed_dim), (B, S, memory_dim) -> (B, T, embed_dim)

    Raises:
        BadArgumentError: `num_heads` does not divide `embed_dim`.

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.2.3.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        memory_dim: int | None = None,
        head_dim: int | None = None,
        bias: bool = True,
        scale: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            embed_dim,
            num_heads,
            memory_dim=memory_dim or embed_dim,
            head_dim=head_dim,
            bias=bias,
            scale=scale,
            dropout=dropout,
        )
