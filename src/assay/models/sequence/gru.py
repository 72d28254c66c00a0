"""GRU: two gates and no separate memory cell; most of the LSTM for three quarters of its weights.

Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078, equations 5 to 8.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.gru_gates import gru_gates
from assay.blocks.recurrence import RecurrentNetwork, States, stack, width_for


def step(driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor) -> States:
    """Return the next state (B, H).

    Args:
        driven: (B, 3·H), the input of this step times the weights of reset, update and new.
        states: The state (B, H) of the step before.
        weight_back: (3·H, H).
        bias_back: (3·H,).
    """
    (state,) = states
    width = state.shape[1]
    echo = F.linear(state, weight_back, bias_back)
    reset, update = gru_gates(driven[:, : 2 * width], echo[:, : 2 * width])
    new = torch.tanh(driven[:, 2 * width :] + reset * echo[:, 2 * width :])
    return (update * state + (1 - update) * new,)


def gru(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one layer of 128 units."""
    layer = stack(nn.GRU, width_for(task, inputs, 128), 128)
    return RecurrentNetwork(layer, step, inputs, outputs, task=task)


def gru_2(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return two layers of 128 units."""
    layer = stack(nn.GRU, width_for(task, inputs, 128), 128, num_layers=2)
    return RecurrentNetwork(layer, step, inputs, outputs, task=task)
