"""What a network offers that writes tokens one after another, and how its memory is sorted anew.

A network is told once what it reads and how long the answer may become, and then tokens, as many
as there are at a time. It answers each token with the logits of the next and remembers what it
needs, so that no token is computed twice.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

State = Any  # a nest of tuples, lists and dictionaries of tensors (B, ...) and plain numbers


@runtime_checkable
class Generative(Protocol):
    """A network that can continue what it has read.

    `advance` over a whole text, in whatever portions, gives the logits of the whole forward pass.
    It may write into the state that it gets: only the returned one may be used afterwards.
    """

    def begin(self, source: Tensor, *, most: int) -> State:
        """Return the state before the first token.

        Args:
            source: What is to be answered, int64 (B, S), padded on the right with 0; (B, 0) for a
                language model, which has no source.
            most: How many tokens `advance` will be given in all, at least 1; caches are made so
                large.
        """

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the logits (B, n, V) of the tokens that follow, and the state after `tokens`.

        Args:
            tokens: The next n tokens of every text, int64 (B, n), without padding.
            state: Of `begin`, or of the last call.
        """


def reorder(state: State, rows: Tensor) -> State:
    """Return a state of other texts: its row i is row `rows[i]` of the given one.

    Args:
        state: A nest of tuples, lists and dictionaries whose tensors (B, ...) have the batch first;
            everything else, such as a position, is the same for all rows and passes.
        rows: int64 (B',), each in [0, B); a row may be taken twice or not at all.

    Example:
        >>> reorder({"cell": torch.tensor([[1.0], [2.0]]), "at": 3}, torch.tensor([1, 1]))
        {'cell': tensor([[2.],
                [2.]]), 'at': 3}
    """
    if isinstance(state, Tensor):
        return state.index_select(0, rows.to(state.device))
    if isinstance(state, dict):
        return {name: reorder(part, rows) for name, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_make"):  # a named tuple
        return state._make(reorder(part, rows) for part in state)
    if isinstance(state, tuple | list):
        return type(state)(reorder(part, rows) for part in state)
    return state


def no_source(tokens: Tensor) -> Tensor:
    """Return the empty source (B, 0) of a language model that is to continue `tokens` (B, n)."""
    return torch.empty((len(tokens), 0), dtype=torch.int64, device=tokens.device)
