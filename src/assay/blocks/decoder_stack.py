"""Blocks that read a memory and their own past, run over tokens as these come."""

from collections.abc import Iterable
from typing import Protocol, cast

from torch import Tensor, nn

from assay.blocks.attention import Attention, Pair
from assay.blocks.cache import Cache, empty_cache
from assay.blocks.cross_attention import CrossAttention
from assay.blocks.generation import State


class DecoderBlock(Protocol):
    """Attention to the past and to a memory."""

    attention: Attention
    cross: CrossAttention

    def __call__(
        self, x: Tensor, memory: Tensor | Pair, *, mask: Tensor, cache: Cache, **also: Tensor
    ) -> Tensor:
        """Refine tokens (B, n, E) by the memory, the past, and what else the network gives."""


def begin_stack(blocks: Iterable[nn.Module], memory: Tensor, *, mask: Tensor, most: int) -> State:
    """Return the state before the first token.

    Args:
        blocks: Each a `DecoderBlock`.
        memory: What they read, (B, S, E).
        mask: Which of its tokens may be read, (B, S) bool.
        most: Tokens that will be written at most.
    """
    stack = cast(list[DecoderBlock], list(blocks))
    past = [
        empty_cache(memory, b.attention.num_kv_heads, most, b.attention.head_dim) for b in stack
    ]
    read = [block.cross.keys_values(memory) for block in stack]
    return {"memory": read, "mask": mask, "past": past, "held": 0}


def advance_stack(
    blocks: Iterable[nn.Module], x: Tensor, state: State, **also: Tensor
) -> tuple[Tensor, State]:
    """Return the refined tokens (B, n, E), and the state after them.

    Args:
        blocks: As `begin_stack` was given them.
        x: The next n tokens.
        state: Of `begin_stack`, or of the last call.
        also: What each block takes besides.
    """
    held = state["held"]
    for block, memory, past in zip(blocks, state["memory"], state["past"], strict=True):
        x = block(x, memory, mask=state["mask"], cache=(*past, held), **also)
    return x, {**state, "held": held + x.shape[1]}
