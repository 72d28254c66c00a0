"""BigBird: each block of tokens sees its neighbours, the first block and a few drawn ones.

Source: Zaheer et al., 2020, https://arxiv.org/abs/2007.14062, section 2 (the ITC form).
"""

from assay.blocks.attention import Attention
from assay.blocks.big_bird import BigBirdKernel, big_bird_layout
from assay.blocks.sequence_encoder import SequenceEncoder

WIDTH, HEADS, BLOCK = 128, 4, 16


def big_bird(inputs: tuple[int, ...], outputs: int, *, task: str) -> SequenceEncoder:
    """Return two blocks of width 128 that see three near, one global and two drawn blocks of 16."""
    blocks = -(-inputs[0] // BLOCK)

    def attention(number: int) -> Attention:
        layout = big_bird_layout(HEADS, blocks, seed=number)
        return Attention(WIDTH, HEADS, kernel=BigBirdKernel(layout, BLOCK))

    return SequenceEncoder(
        inputs,
        outputs,
        task=task,
        attention=attention,
        embed_dim=WIDTH,
        num_layers=2,
        hidden=2 * WIDTH,
    )
