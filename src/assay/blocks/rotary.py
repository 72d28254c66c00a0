"""Rotary positions: a token's queries and keys are turned by an angle that grows with its place."""

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """The cosines and sines by which a model's queries and keys are turned, once for all layers.

    Two numbers of a vector are taken as a point in the plane. Turned by their places, a query and
    a key have a product that depends only on how far apart they stand.

    Args:
        dim: How many of a head's numbers are turned, even; the rest of them stay.
        base: The slowest pair takes about 2π times this many tokens for one round.

    Shape:
        whole numbers (T,) or (B, T) -> (2, T, dim / 2) or (2, B, 1, T, dim / 2), float32

    Source:
        Su et al., 2021, https://arxiv.org/abs/2104.09864, equation 34.
    """

    def __init__(self, dim: int, *, base: float = 10_000.0) -> None:
        super().__init__()
        self.dim = dim
        self.base = base

    def forward(self, position: Tensor) -> Tensor:
        """Return what `turn_halves` and `turn_neighbours` take."""
        exponents = torch.arange(0, self.dim, 2, device=position.device) / self.dim
        angles = position.unsqueeze(-1) / self.base**exponents  # (..., T, dim / 2)
        if position.dim() == 2:
            angles = angles.unsqueeze(1)  # the heads of an example share its places
        return torch.stack([angles.cos(), angles.sin()])


def turn_halves(x: Tensor, turn: Tensor) -> Tensor:
    """Turn pairs whose members lie half a head apart, as LLaMA's published weights expect.

    Args:
        x: Queries or keys, (B, heads, T, d).
        turn: Of `Rotary`, with dim at most d; numbers from dim on stay.
    """
    dim = 2 * turn.shape[-1]
    first, second = x[..., :dim].chunk(2, dim=-1)
    cos, sin = turn
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return _and_the_rest(turned, x)


def turn_neighbours(x: Tensor, turn: Tensor) -> Tensor:
    """Turn pairs whose members are neighbours, as in the paper and in GLM's published weights.

    Args:
        x: Queries or keys, (B, heads, T, d).
        turn: Of `Rotary`, with dim at most d; numbers from dim on stay.
    """
    dim = 2 * turn.shape[-1]
    first, second = x[..., 0:dim:2], x[..., 1:dim:2]
    cos, sin = turn
    turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return _and_the_rest(turned.flatten(-2), x)


def _and_the_rest(turned: Tensor, x: Tensor) -> Tensor:
    """Return the turned numbers in the format of `x`, and behind them those that stay."""
    turned, dim = turned.type_as(x), turned.shape[-1]
    return turned if dim == x.shape[-1] else torch.cat([turned, x[..., dim:]], dim=-1)
