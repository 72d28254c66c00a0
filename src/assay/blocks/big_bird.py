"""BigBird's attention: each block of positions sees a few blocks: near, global and random ones."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.linformer import refuse_causal
from assay.errors import BadArgumentError


class BigBirdKernel(nn.Module):
    """Softmax attention between those blocks of positions that a table lets see each other.

    What is computed equals dense attention under the same mask. Blocks that see all others are
    computed densely; every other block gathers the keys that it sees, so that work grows with T.

    Args:
        layout: Booleans (heads, blocks, blocks): whether a block of queries sees a block of keys;
            `big_bird_layout` makes the published one.
        block: Positions in a block.

    Shape:
        q, k, v (B, heads, T, d), mask (B, T) with True for what may be seen -> (B, heads, T, d)

    Raises:
        BadArgumentError: A sequence is longer than the layout, or the attention must be causal.

    Source:
        Zaheer et al., 2020, https://arxiv.org/abs/2007.14062, section 2 and appendix D.
    """

    table: Tensor
    there: Tensor

    def __init__(self, layout: NDArray[np.bool_], block: int) -> None:
        super().__init__()
        self.block = block
        self.layout = layout
        full = layout.all(axis=(0, 2))
        self.dense = [int(row) for row in np.flatnonzero(full)]
        self.sparse = [int(row) for row in np.flatnonzero(~full)]
        table, there = seen_blocks(layout)
        self.register_buffer("table", torch.tensor(table), persistent=False)
        self.register_buffer("there", torch.tensor(there), persistent=False)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Mix the values within the blocks that each block sees."""
        refuse_causal("BigBird", causal=causal)
        length = q.shape[-2]
        count = -(-length // self.block)
        self._refuse_longer(length)
        if mask is None:
            mask = q.new_ones(q.shape[0], length, dtype=torch.bool)
        missing = count * self.block - length
        mask = F.pad(mask, (0, missing))
        q, k, v = (torch.unflatten(F.pad(x, (0, 0, 0, missing)), 2, (count, -1)) for x in (q, k, v))
        mixed = torch.empty_like(v)  # (B, heads, count, block, d)
        dense = [row for row in self.dense if row < count]
        sparse = [row for row in self.sparse if row < count]
        mixed[:, :, dense] = self._of_all(q[:, :, dense], k, v, mask)
        mixed[:, :, sparse] = self._of_some(q[:, :, sparse], k, v, mask, sparse)
        return mixed.flatten(2, 3)[:, :, :length]

    def _of_all(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Return what the blocks that see everything see. (B, heads, rows, block, d) of q."""
        dense = F.scaled_dot_product_attention(
            q.flatten(2, 3), k.flatten(2, 3), v.flatten(2, 3), attn_mask=mask[:, None, None]
        )
        return dense.view_as(q)

    def _of_some(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, rows: list[int]) -> Tensor:
        """Return what the other blocks see. (B, heads, rows, block, d) of q -> the same."""
        heads, count = k.shape[1:3]
        table, there = self.table[:, rows], self.there[:, rows]  # (heads, rows, most)
        there = there & (table < count)
        table = table.clamp_max(count - 1)
        head = torch.arange(heads, device=q.device)[:, None, None]
        keys, values = k[:, head, table].flatten(3, 4), v[:, head, table].flatten(3, 4)
        seen = torch.unflatten(mask, 1, (count, -1))[:, table] & there[..., None]
        seen = seen.flatten(3)[:, :, :, None]  # (B, heads, rows, 1, most * block)
        scores = q @ keys.transpose(-2, -1) * q.shape[-1] ** -0.5
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) @ values

    def _refuse_longer(self, length: int) -> None:
        most = self.layout.shape[1] * self.block
        if length > most:
            raise BadArgumentError(
                f"This BigBird reads at most {most} positions. Received {length}; cut the "
                "sequences, or build it with a larger length."
            )


def big_bird_layout(
    num_heads: int, blocks: int, *, window: int = 3, first: int = 1, drawn: int = 2, seed: int = 0
) -> NDArray[np.bool_]:
    """Return which block of queries sees which block of keys. -> (heads, blocks, blocks).

    Args:
        num_heads: Heads; each draws its own random blocks.
        blocks: In the longest sequence.
        window: Blocks around its own that a block sees, its own included; odd.
        first: Blocks at the start that see all and are seen by all: the global ones.
        drawn: Random blocks that each block sees besides, where so many are left.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    at = np.arange(blocks)
    near = abs(at[:, None] - at) <= window // 2
    layout = np.repeat((near | (at < first) | (at[:, None] < first))[None], num_heads, axis=0)
    for head in layout:
        for row in head[first:]:
            left = np.flatnonzero(~row)
            row[rng.permutation(left)[:drawn]] = True
    return layout


def seen_blocks(layout: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the seen blocks' numbers, first, and which of them count: (heads, blocks, most).

    Rows that see everything do not widen the table: they are not looked up in it.

    Args:
        layout: (heads, blocks, blocks).
    """
    partial = ~layout.all(axis=(0, 2))
    most = int(layout[:, partial].sum(-1).max(initial=1))
    order: NDArray[np.int64] = np.argsort(~layout, axis=-1, kind="stable")[..., :most]
    return order, np.take_along_axis(layout, order, axis=-1)


def dense_mask(layout: Sequence[Sequence[Sequence[bool]]], block: int) -> NDArray[np.bool_]:
    """Return the same between positions. (heads, blocks, blocks) -> (heads, T, T).

    Args:
        layout: Between blocks.
        block: Positions in a block.
    """
    return np.repeat(np.repeat(np.asarray(layout), block, axis=1), block, axis=2)
