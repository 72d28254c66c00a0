"""Performer: softmax attention in linear work, by positive random features.

Source: Choromanski et al., 2021, https://arxiv.org/abs/2009.14794, section 2 (FAVOR+).
"""

from typing import Any, cast

import torch
from torch import Tensor

from assay.blocks.attention import Attention, heads
from assay.blocks.performer import PerformerKernel, Sums
from assay.blocks.pre_norm import PreNormBlock
from assay.blocks.sequence_encoder import SequenceEncoder

WIDTH, HEADS, FEATURES = 128, 4, 128


class Performer(SequenceEncoder):
    """The encoder with FAVOR+ attention; as a language model, it remembers sums and no tokens.

    Args:
        inputs: Shape of one example: (T, V) for tokens, else (T, F).
        outputs: Scores per answer.
        task: What is asked of it.
        embed_dim: Width of a token, even.
        num_heads: Must divide `embed_dim`.
        num_layers: Blocks.
        features: Random directions of each head.

    Shape:
        (B, T) tokens or (B, T, F) -> (B, outputs) or (B, T, outputs) logits
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        task: str,
        embed_dim: int = WIDTH,
        num_heads: int = HEADS,
        num_layers: int = 2,
        features: int = FEATURES,
    ) -> None:
        def attention(number: int) -> Attention:
            kernel = PerformerKernel(embed_dim // num_heads, features)
            return Attention(embed_dim, num_heads, kernel=kernel)

        super().__init__(
            inputs,
            outputs,
            task=task,
            attention=attention,
            embed_dim=embed_dim,
            num_layers=num_layers,
            hidden=2 * embed_dim,
        )

    def begin(self, source: Tensor, *, most: int) -> dict[str, Any]:
        """Return the state before the first token: as large as after the last one.

        Args:
            source: (B, 0): a language model has none.
            most: Not used: no cache grows.
        """
        return {"at": 0, "sums": [_nothing(b, source) for b in self._mixing()]}

    def advance(self, tokens: Tensor, state: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return the logits (B, n, V) of the tokens that follow, and the state after `tokens`.

        Args:
            tokens: The next n tokens of every text, (B, n), without padding.
            state: Of `begin`, or of the last call.
        """
        states, sums = self.placed(tokens, state["at"]), []
        for block, before in zip(self._mixing(), state["sums"], strict=True):
            mixed, after = _extend(block, block.norm_1(states), before)
            states = states + mixed
            states = states + block.feedforward(block.norm_2(states))
            sums.append(after)
        logits = self.head(self.norm(states))
        return logits, {"at": state["at"] + tokens.shape[1], "sums": sums}

    def _mixing(self) -> list[PreNormBlock]:
        return cast(list[PreNormBlock], list(self.blocks))


def performer(inputs: tuple[int, ...], outputs: int, *, task: str) -> Performer:
    """Return two blocks of width 128 with 128 random features per head."""
    return Performer(inputs, outputs, task=task)


def _extend(block: PreNormBlock, x: Tensor, sums: Sums) -> tuple[Tensor, Sums]:
    attention, kernel = _parts(block)
    q, k, v = (heads(part, attention.num_heads) for part in attention.qkv(x).chunk(3, dim=-1))
    mixed, sums = kernel.extend(q, k, v, sums)
    return attention.out(mixed.transpose(1, 2).flatten(2)), sums


def _nothing(block: PreNormBlock, source: Tensor) -> Sums:
    attention, kernel = _parts(block)
    weight = attention.qkv.weight
    features = len(kernel.directions)
    shape = (len(source), attention.num_heads, features)
    return (
        torch.zeros(*shape, attention.head_dim, device=weight.device),
        torch.zeros(shape, device=weight.device),
    )


def _parts(block: PreNormBlock) -> tuple[Attention, PerformerKernel]:
    attention = cast(Attention, block.attention)
    return attention, cast(PerformerKernel, attention.kernel)
