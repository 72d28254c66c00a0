"""Where in a sequence a token stands."""

import torch
from torch import Tensor, nn


def sinusoids(length: int, embed_dim: int) -> Tensor:
    """Return sines and cosines of geometrically spaced wavelengths. -> (length, embed_dim).

    Args:
        length: Positions, from 0 on.
        embed_dim: Width of a token, even.

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.5.
    """
    exponents = torch.arange(0, embed_dim, 2) / embed_dim
    angles = torch.arange(length)[:, None] / 10_000**exponents  # (length, embed_dim / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class Sinusoids(nn.Module):
    """Adds to each token the code of its place. (B, T, E) -> the same."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Add; `start` is the place of the first token."""
        return x + sinusoids(start + x.shape[1], x.shape[2])[start:].to(x)
