"""Whether a network's weights have moved, seen on a few thousand of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SEEN = 1000  # values of each parameter, at most


def glimpse(model: nn.Module) -> Tensor:
    """Return a copy of evenly spaced values of every parameter, frozen ones too, as one vector."""
    seen = [_evenly(p.detach()) for p in model.parameters()]
    return torch.cat(seen).cpu().double() if seen else torch.empty(0, dtype=torch.float64)


def relative_change(before: Tensor, after: Tensor) -> float:
    """Return the distance of two glimpses over the length of the longer, in [0, 2]."""
    longer = max(before.norm().item(), after.norm().item())
    return (after - before).norm().item() / longer if longer > 0 else 0.0


def _evenly(values: Tensor) -> Tensor:
    flat = values.reshape(-1).float()
    return flat if len(flat) <= _SEEN else flat[:: -(-len(flat) // _SEEN)].clone()
