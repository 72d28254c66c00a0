"""Performer's attention: softmax's kernel as a product of random features, so that work is linear.

The weight of key k for query q is exp(q·k), which is the expected value of φ(q)·φ(k) over random
directions ω, with φ(x) = exp(ω·x - |x|²/2): always positive, and one factor per token. Sums over
keys are then taken once for all queries, and in causal order they are a state of constant size.
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

Sums = tuple[Tensor, Tensor]  # Σ φ(k) vᵀ (B, heads, features, d) and Σ φ(k) (B, heads, features)
CHUNK = 64  # positions of causal attention that are computed side by side


class PerformerKernel(nn.Module):
    """FAVOR+: softmax attention approximated by positive orthogonal random features.

    Args:
        head_dim: Width d of a query.
        features: Random directions; the error falls with one over their root.

    Attributes:
        directions: (features, head_dim), drawn once when the network is built; never trained.

    Shape:
        q, k, v (B, heads, T, d), mask (B, T) with True for what may be seen -> (B, heads, T, d)

    Source:
        Choromanski et al., 2021, https://arxiv.org/abs/2009.14794, lemma 1 and section 2.4.
    """

    directions: Tensor

    def __init__(self, head_dim: int, features: int) -> None:
        super().__init__()
        self.register_buffer("directions", orthogonal_directions(features, head_dim))

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Average the values, with weights that approximate the softmax's."""
        queries, keys = self.of_queries(q), self.of_keys(k)  # (B, heads, T, features)
        if mask is not None:
            keys = keys * mask[:, None, :, None]
        if causal:
            return in_order(queries, keys, v, start_sums(keys, v))[0]
        products = keys.transpose(-2, -1) @ v.to(keys)  # (B, heads, features, d)
        return _divided(queries @ products, queries @ keys.sum(-2)[..., None]).to(v)

    def extend(self, q: Tensor, k: Tensor, v: Tensor, sums: Sums) -> tuple[Tensor, Sums]:
        """Return what new positions see of themselves and of all before, and the sums after them.

        Args:
            q: Of the new positions, (B, heads, n, d).
            k: The same.
            v: The same.
            sums: Over the positions before; `start_sums` of nothing.
        """
        return in_order(self.of_queries(q), self.of_keys(k), v, sums)

    def of_queries(self, q: Tensor) -> Tensor:
        """Return the features of queries, each row up to a factor. (..., d) -> (..., features)."""
        exponents = self._exponents(q)
        return (exponents - exponents.amax(dim=-1, keepdim=True).detach()).exp()

    def of_keys(self, k: Tensor) -> Tensor:
        """Return the features of keys, all up to one factor. (..., d) -> (..., features).

        ω·k - |k|²/2 never exceeds |ω|²/2, so a factor that does not depend on the keys keeps the
        features finite: no key, padded or still to come, changes what another one weighs.
        """
        most = self.directions.square().sum(-1).amax() / 2
        return (self._exponents(k) - most / 2).exp()

    def _exponents(self, x: Tensor) -> Tensor:
        kind = x.device.type
        exact = torch.autocast(kind, enabled=False) if kind in ("cpu", "cuda") else nullcontext()
        with exact:  # exponents of bf16's three digits would be off by tenths
            x = x.float() * x.shape[-1] ** -0.25  # √d of the softmax, half of it on each side
            return x @ self.directions.T.float() - x.square().sum(-1, keepdim=True) / 2


def start_sums(keys: Tensor, values: Tensor) -> Sums:
    """Return the sums over no positions.

    Args:
        keys: Features, (B, heads, T, features); only their shape and kind are used.
        values: (B, heads, T, d), the same.
    """
    batch, heads, _, features = keys.shape
    return (
        keys.new_zeros(batch, heads, features, values.shape[-1]),
        keys.new_zeros(batch, heads, features),
    )


def in_order(queries: Tensor, keys: Tensor, values: Tensor, sums: Sums) -> tuple[Tensor, Sums]:
    """Return what each position sees of itself and of all before, and the sums after the last.

    Args:
        queries: Features, (B, heads, T, features).
        keys: Features, (B, heads, T, features).
        values: (B, heads, T, d).
        sums: Over the positions before these.
    """
    mixed = []
    products, totals = sums
    parts = (torch.split(part, CHUNK, dim=-2) for part in (queries, keys, values.to(keys)))
    for query, key, value in zip(*parts, strict=True):
        within = (query @ key.transpose(-2, -1)).tril()  # (B, heads, n, n), n <= CHUNK
        top = within @ value + query @ products
        weight = within.sum(-1, keepdim=True) + query @ totals[..., None]
        mixed.append(_divided(top, weight))
        products = products + key.transpose(-2, -1) @ value
        totals = totals + key.sum(-2)
    return torch.cat(mixed, dim=-2).to(values), (products, totals)


def orthogonal_directions(features: int, head_dim: int) -> Tensor:
    """Return rows as long as Gaussian ones, at right angles within each group of `head_dim`.

    Args:
        features: Rows.
        head_dim: Their width.
    """
    groups = -(-features // head_dim)
    turned, upper = torch.linalg.qr(torch.randn(groups, head_dim, head_dim))
    turned = turned * upper.diagonal(dim1=-2, dim2=-1).sign()[:, None]  # all turns equally likely
    lengths = torch.randn(features, head_dim).norm(dim=-1, keepdim=True)
    return turned.flatten(0, 1)[:features] * lengths


def _divided(top: Tensor, weight: Tensor) -> Tensor:
    return top / weight.clamp_min(1e-30)
