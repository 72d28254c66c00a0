"""Attention."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from assay.errors import BadArgumentError


class SelfAttention(nn.Module):
    """Every token looks at every token, in `num_heads` independent ways.

    Args:
        embed_dim: Width of a token.
        num_heads: Must divide `embed_dim`.

    Attributes:
        kernel: Which of two equal computations runs. "fused" is torch's own; "matmul" is the
            written-out one, faster when training few tokens in bf16 on a CPU. May be set at any
            time.

    Shape:
        (B, N, embed_dim) -> (B, N, embed_dim)

    Raises:
        BadArgumentError: `num_heads` does not divide `embed_dim`.

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.2.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            fitting = ", ".join(str(n) for n in range(1, embed_dim + 1) if embed_dim % n == 0)
            raise BadArgumentError(
                "`num_heads` must divide `embed_dim`. "
                f"Received {num_heads=}, {embed_dim=}; these divide it: {fitting}."
            )
        self.num_heads = num_heads
        self.kernel: Literal["fused", "matmul"] = "fused"
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens."""
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, N, E/heads)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        mix = written_out if self.kernel == "matmul" else F.scaled_dot_product_attention
        mixed = mix(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, N, E)


def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q kᵀ / √d) v, equation 1. Three times (B, heads, N, d) -> the same."""
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, heads, N, N)
    return weights.softmax(dim=-1) @ v
