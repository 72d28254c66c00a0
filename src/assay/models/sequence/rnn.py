"""RNN: a state that each step rewrites from the input and from itself.

Source: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1.
"""

from torch import Tensor, nn

from assay.blocks.recurrence import RecurrentNetwork, States, stack, width_for
from assay.blocks.recurrent_connection import recurrent_connection


def step(driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor) -> States:
    """Return the next state. Each (B, H)."""
    (state,) = states
    return (recurrent_connection(driven, state, weight_back, bias_back),)


def rnn(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one layer of 128 units."""
    layer = stack(nn.RNN, width_for(task, inputs, 128), 128)
    return RecurrentNetwork(layer, step, inputs, outputs, task=task)


def rnn_2(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return two layers of 128 units."""
    layer = stack(nn.RNN, width_for(task, inputs, 128), 128, num_layers=2)
    return RecurrentNetwork(layer, step, inputs, outputs, task=task)
