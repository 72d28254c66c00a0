"""Tokens read by an LSTM that hands over its states and cells at the last real token.

Source: Sutskever, Vinyals and Le, 2014, https://arxiv.org/abs/1409.3215, section 3.3 (the source
is read backwards, so that its first words are near the first words of the answer).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.blocks.context_vector import context_vector
from assay.blocks.peephole import scan_cells
from assay.blocks.recurrence import stack, turned
from assay.blocks.sequence_head import TokenEmbedding
from assay.data.tokens import PAD

Handed = dict[str, Tensor]


class LSTMEncoder(nn.Module):
    """An embedding and LSTM layers that read the source from its last real token to its first.

    Args:
        vocabulary: V.
        hidden: Width of the embedding and of each layer, H.
        num_layers: Each reads what the one below shows.
        dropout: Fraction dropped in front of each layer while training, in [0, 1).

    Attributes:
        order: What puts the tokens in the order in which they are read, and twice applied back.

    Shape:
        (B, S) -> a dictionary: state and cell (B, num_layers, H), at the end; memory (B, S, H), the
        top layer's states in the order of the tokens; real (B, S), which of them are no padding
    """

    def __init__(
        self, vocabulary: int, hidden: int, *, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embed = TokenEmbedding(vocabulary, hidden, std=0.1)
        self.dropout = nn.Dropout(dropout)
        self.layer = stack(nn.LSTM, hidden, hidden, num_layers=num_layers)
        self.order: Callable[[Tensor, Tensor | None], Tensor] = turned

    def forward(self, source: Tensor) -> Handed:
        """Return what the decoder needs."""
        real = source != PAD
        x = self.order(self.embed(source), real)
        zeros = x.new_zeros(len(x), self.layer.hidden_size)
        ends = []
        for weights in self.layer.all_weights:
            x, cells = scan_cells(self.dropout(x), (zeros, zeros), weights)
            ends.append((context_vector(x, real), context_vector(cells, real)))
        state, cell = (torch.stack(kind, dim=1) for kind in zip(*ends, strict=True))
        return {"state": state, "cell": cell, "memory": self.order(x, real), "real": real}
