"""Layers of a Transformer that are normalised after each sublayer, as those of 2017 and of BERT."""

from collections.abc import Callable

from torch import Tensor, nn

from assay.blocks.attention import Attention, Pair
from assay.blocks.cache import Cache
from assay.blocks.cross_attention import CrossAttention
from assay.blocks.feedforward import FeedForward


class PostNormEncoderBlock(nn.Module):
    """Attention between tokens, then a small network on each; added, then normalised.

    Args:
        embed_dim: Width of a token.
        num_heads: Of the attention; must divide `embed_dim`.
        hidden: Width inside the small network.
        act: Of the small network, built without arguments.
        eps: Added to the variance by the normalisations.
        dropout: Of what each sublayer adds.
        attention_dropout: Of the attention's weights.

    Shape:
        (B, T, embed_dim) -> (B, T, embed_dim)

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.1.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden: int,
        *,
        act: Callable[[], nn.Module] = nn.ReLU,
        eps: float = 1e-5,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = Attention(embed_dim, num_heads, dropout=attention_dropout)
        self.norm_1 = nn.LayerNorm(embed_dim, eps)
        self.feedforward = FeedForward(embed_dim, hidden, act=act)
        self.norm_2 = nn.LayerNorm(embed_dim, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Refine the tokens twice.

        Args:
            x: The tokens.
            mask: Which of them may be read, (B, T) bool.
        """
        x = self.norm_1(x + self.dropout(self.attention(x, mask=mask)))
        return self.norm_2(x + self.dropout(self.feedforward(x)))


class PostNormDecoderBlock(nn.Module):
    """Attention to the past, attention to a memory, then a small network; normalised after each.

    Args:
        embed_dim: Width of a token, and of the memory's.
        num_heads: Of both attentions; must divide `embed_dim`.
        hidden: Width inside the small network.
        act: Of the small network, built without arguments.
        eps: Added to the variance by the normalisations.
        dropout: Of what each sublayer adds.

    Shape:
        (B, T, embed_dim), (B, S, embed_dim) -> (B, T, embed_dim)

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.1.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden: int,
        *,
        act: Callable[[], nn.Module] = nn.ReLU,
        eps: float = 1e-5,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.attention = Attention(embed_dim, num_heads)
        self.norm_1 = nn.LayerNorm(embed_dim, eps)
        self.cross = CrossAttention(embed_dim, num_heads)
        self.norm_2 = nn.LayerNorm(embed_dim, eps)
        self.feedforward = FeedForward(embed_dim, hidden, act=act)
        self.norm_3 = nn.LayerNorm(embed_dim, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | Pair,
        *,
        mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Refine the tokens three times.

        Args:
            x: The tokens.
            memory: What they read, or what `cross.keys_values` made of it.
            mask: Which of the memory's tokens may be read, (B, S) bool.
            cache: Of the tokens before these; see `Attention.forward`.
        """
        x = self.norm_1(x + self.dropout(self.attention(x, causal=True, cache=cache)))
        x = self.norm_2(x + self.dropout(self.cross(x, memory, mask=mask)))
        return self.norm_3(x + self.dropout(self.feedforward(x)))
