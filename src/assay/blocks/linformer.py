"""Linformer's attention: keys and values are summed up in a few mixtures of all positions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.errors import BadArgumentError


class LinformerKernel(nn.Module):
    """Attention to `rank` learned mixtures of the positions; work grows with T, not with T².

    Padded positions are zero before they are mixed, so that nothing depends on how many there are.

    Args:
        length: The most positions that a sequence can have.
        rank: Mixtures, k of the paper.

    Shape:
        q, k, v (B, heads, T, d), mask (B, T) with True for what may be seen -> (B, heads, T, d)

    Raises:
        BadArgumentError: A sequence is longer than `length`, or the attention must be causal: a
            mixture holds the future.

    Source:
        Wang et al., 2020, https://arxiv.org/abs/2006.04768, equation 7, heads sharing E and F.
    """

    def __init__(self, length: int, rank: int) -> None:
        super().__init__()
        self.mix_keys = nn.Parameter(torch.randn(rank, length) * length**-0.5)  # E
        self.mix_values = nn.Parameter(torch.randn(rank, length) * length**-0.5)  # F

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Let every query look at the mixtures."""
        refuse_causal("Linformer", causal=causal)
        positions, most = k.shape[-2], self.mix_keys.shape[1]
        if positions > most:
            raise BadArgumentError(
                f"This Linformer reads at most {most} positions. Received {positions}; cut the "
                "sequences, or build it with a larger length."
            )
        if mask is not None:
            real = mask[:, None, :, None]  # (B, 1, T, 1)
            k, v = k * real, v * real
        keys = self.mix_keys[:, :positions] @ k  # (B, heads, rank, d)
        values = self.mix_values[:, :positions] @ v
        return F.scaled_dot_product_attention(q, keys, values)


def refuse_causal(name: str, *, causal: bool) -> None:
    """Refuse to hide the future where the computation mixes all positions.

    Raises:
        BadArgumentError: `causal` is set.
    """
    if causal:
        raise BadArgumentError(
            f"{name} attention cannot hide later positions from earlier ones. Received "
            "causal=True; use the Performer kernel, or plain attention."
        )
