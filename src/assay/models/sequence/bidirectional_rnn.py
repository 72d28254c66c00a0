"""Bidirectional recurrent networks: one reads from the first step, one from the last.

Sources: Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093; with LSTM cells: Graves and
Schmidhuber, 2005, https://doi.org/10.1016/j.neunet.2005.06.042.
"""

from torch import nn

from assay.blocks.recurrence import RecurrentNetwork, stack, width_for
from assay.models.sequence import gru, lstm, rnn


def birnn(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one plain layer of 128 units for each direction."""
    layer = stack(nn.RNN, width_for(task, inputs, 128), 128, bidirectional=True)
    return RecurrentNetwork(layer, rnn.step, inputs, outputs, task=task)


def bilstm(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one LSTM layer of 128 units for each direction."""
    layer = lstm.opened(stack(nn.LSTM, width_for(task, inputs, 128), 128, bidirectional=True))
    return RecurrentNetwork(layer, lstm.step, inputs, outputs, task=task)


def bigru(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return one GRU layer of 128 units for each direction."""
    layer = stack(nn.GRU, width_for(task, inputs, 128), 128, bidirectional=True)
    return RecurrentNetwork(layer, gru.step, inputs, outputs, task=task)


def bilstm_2(inputs: tuple[int, ...], outputs: int, *, task: str) -> RecurrentNetwork:
    """Return two LSTM layers of 128 units for each direction."""
    layer = lstm.opened(
        stack(nn.LSTM, width_for(task, inputs, 128), 128, num_layers=2, bidirectional=True)
    )
    return RecurrentNetwork(layer, lstm.step, inputs, outputs, task=task)
