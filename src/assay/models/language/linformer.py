"""Linformer: attention to a fixed number of learned mixtures of the positions.

Source: Wang, Li, Khabsa, Fang and Ma, 2020, https://arxiv.org/abs/2006.04768, equation 7.
"""

from assay.blocks.attention import Attention
from assay.blocks.linformer import LinformerKernel
from assay.blocks.sequence_encoder import SequenceEncoder

WIDTH, HEADS, RANK = 128, 4, 64


def linformer(inputs: tuple[int, ...], outputs: int, *, task: str) -> SequenceEncoder:
    """Return two blocks of width 128 with 64 mixtures each."""
    length = inputs[0]

    def attention(number: int) -> Attention:
        return Attention(WIDTH, HEADS, kernel=LinformerKernel(length, min(RANK, length)))

    return SequenceEncoder(
        inputs,
        outputs,
        task=task,
        attention=attention,
        embed_dim=WIDTH,
        num_layers=2,
        hidden=2 * WIDTH,
    )
