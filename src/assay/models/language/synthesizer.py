"""Synthesizer: attention weights without comparing any two tokens.

Source: Tay et al., 2021, https://arxiv.org/abs/2005.00743, sections 3.1 and 3.2.
"""

from collections.abc import Callable

from torch import nn

from assay.blocks.sequence_encoder import SequenceEncoder
from assay.blocks.synthesizer import DenseScores, RandomScores, Synthesizer

WIDTH, HEADS = 128, 4


def synthesizer_dense(inputs: tuple[int, ...], outputs: int, *, task: str) -> SequenceEncoder:
    """Return two blocks of width 128 whose tokens choose their weights alone."""
    return _encoder(inputs, outputs, task, DenseScores)


def synthesizer_random(inputs: tuple[int, ...], outputs: int, *, task: str) -> SequenceEncoder:
    """Return two blocks of width 128 with one trained table of weights per head."""
    return _encoder(inputs, outputs, task, RandomScores)


def _encoder(
    inputs: tuple[int, ...], outputs: int, task: str, scores: Callable[[int, int, int], nn.Module]
) -> SequenceEncoder:
    return SequenceEncoder(
        inputs,
        outputs,
        task=task,
        attention=lambda number: Synthesizer(WIDTH, HEADS, inputs[0], scores),
        embed_dim=WIDTH,
        num_layers=2,
        hidden=2 * WIDTH,
    )
