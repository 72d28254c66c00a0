"""Efficient attention beside transformers'; what it has not is held to its paper in the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.blocks.attention import Attention
from assay.blocks.big_bird import BigBirdKernel
from assay.testing.language_parity import LanguagePair

WIDTH, HEADS, BLOCK, BLOCKS, DRAWN = 16, 2, 4, 12, 2


class BlockSparse(nn.Module):
    """transformers' block sparse attention and the map that joins its heads.

    It draws its random blocks in training mode alone, so it stays in that; it has no dropout.
    """

    def __init__(self) -> None:
        from transformers import BigBirdConfig
        from transformers.models.big_bird import modeling_big_bird as theirs

        super().__init__()
        self.masks = theirs.BigBirdModel.create_masks_for_block_sparse_attn
        self.attention: Any = theirs.BigBirdBlockSparseAttention(  # type: ignore[no-untyped-call]
            BigBirdConfig(
                hidden_size=WIDTH,
                num_attention_heads=HEADS,
                block_size=BLOCK,
                num_random_blocks=DRAWN,
                max_position_embeddings=BLOCK * BLOCKS,
            ),
            seed=0,
        )
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the vectors; those that are zero are padding. (B, T, E) -> the same."""
        self.attention.train()
        blocked, band, queries, keys = self.masks(places(x).float(), BLOCK)
        mixed, _ = self.attention(x, band, queries, keys, blocked, blocked)
        return self.dense(mixed)

    def layout(self) -> NDArray[np.bool_]:
        """Return which blocks see each other in it. -> (heads, blocks, blocks)."""
        self.attention.train()
        length = BLOCK * BLOCKS
        ends, numbers = self.attention._get_rand_attn_plan(length, BLOCK, DRAWN)
        np.random.seed(0)
        drawn = self.attention._bigbird_block_rand_mask_with_head(
            length, length, BLOCK, BLOCK, HEADS, ends, numbers
        )
        at = np.arange(BLOCKS)
        edge = (at == 0) | (at == BLOCKS - 1)
        near = abs(at[:, None] - at) <= 1
        layout = np.repeat((near | edge | edge[:, None])[None], HEADS, axis=0)
        for head, rows in zip(layout, drawn, strict=True):
            for row, blocks in zip(head[1:-1], rows, strict=True):
                row[blocks] = True
        return layout


class Bare(nn.Module):
    """Our attention alone, for vectors of which the zero ones are padding."""

    def __init__(self) -> None:
        super().__init__()
        kernel = BigBirdKernel(BlockSparse().layout(), BLOCK)
        self.attention = Attention(WIDTH, HEADS, kernel=kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the vectors. (B, T, E) -> the same."""
        return self.attention(x, mask=places(x))


def places(x: Tensor) -> Tensor:
    """Return which vectors are not padding. (B, T, E) -> (B, T) bool."""
    return x.abs().sum(-1) > 0


def vectors() -> tuple[Tensor, ...]:
    """Return three rows of vectors, two of them padded on the right."""
    x = torch.randn(3, BLOCK * BLOCKS, WIDTH)
    x[1, 30:] = 0
    x[2, 41:] = 0
    return (x,)


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of transformers' attention under our names."""
    ours = {}
    for kind in ("weight", "bias"):
        parts = [state[f"attention.{part}.{kind}"] for part in ("query", "key", "value")]
        ours[f"attention.qkv.{kind}"] = torch.cat(parts)
        ours[f"attention.out.{kind}"] = state[f"dense.{kind}"]
    return ours


PAIRS = [
    LanguagePair(
        entry="big_bird",
        reference="transformers:BigBirdBlockSparseAttention",
        ours=Bare,
        theirs=BlockSparse,
        translate=from_transformers,
        ask=lambda theirs, x: theirs(x),
        inputs=vectors,
        counted=places,
    )
]
