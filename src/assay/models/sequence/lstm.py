"""LSTM: a memory cell behind three gates, so that what matters survives many steps.

Sources: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735; the forget
gate of Gers et al., 2000, starting open (bias 1); peepholes of Gers and Schmidhuber, 2000,
https://doi.org/10.1109/IJCNN.2000.861302; two layers of 200 or 650 units, the latter with dropout,
of Zaremba, Sutskever and Vinyals, 2014, https://arxiv.org/abs/1409.2329.
"""

import torch
from torch import Tensor, nn

from assay.blocks import peephole
from assay.blocks.lstm_gates import lstm_gates
from assay.blocks.memory_cell import memory_cell
from assay.blocks.recurrence import RecurrentNetwork, States, stack, width_for


def step(driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor) -> States:
    """Return the next state and memory cell. Each (B, H), `driven` (B, 4·H)."""
    state, cell = states
    write, keep, content, show = lstm_gates(driven, state, weight_back, bias_back)
    cell = memory_cell(cell, write, keep, content)
    return show * torch.tanh(cell), cell


def opened(layer: nn.RNNBase) -> nn.RNNBase:
    """Return LSTM layers with all forget gates open."""
    for _, _, bias_in, bias_back, *_ in layer.all_weights:
        nn.init.zeros_(bias_back)
        nn.init.zeros_(bias_in)
        nn.init.ones_(bias_in.chunk(4)[1])
    return layer


def lstm(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one layer of 128 units."""
    layer = opened(stack(nn.LSTM, width_for(task, inputs, 128), 128))
    return RecurrentNetwork(layer, step, inputs, outputs, task=task)


def lstm_peephole(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one layer of 128 units whose gates see the memory cell."""
    layer = opened(stack(peephole.PeepholeLSTM, width_for(task, inputs, 128), 128))
    return RecurrentNetwork(layer, peephole.step, inputs, outputs, task=task)


def lstm_2(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return two layers of 200 units, the small network of Zaremba et al., without dropout."""
    layer = opened(stack(nn.LSTM, width_for(task, inputs, 200), 200, num_layers=2))
    return RecurrentNetwork(layer, step, inputs, outputs, task=task)


def lstm_2_medium(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return two layers of 650 units with half of what enters each layer and the head dropped."""
    layer = opened(stack(nn.LSTM, width_for(task, inputs, 650), 650, num_layers=2, dropout=0.5))
    return RecurrentNetwork(layer, step, inputs, outputs, task=task, dropout=0.5)
