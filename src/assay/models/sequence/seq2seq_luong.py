"""Luong's translator: LSTMs whose answer is chosen after one look back at the source.

Source: Luong, Pham and Manning, 2015, https://arxiv.org/abs/1508.04025, section 3.1 (global).
"""

import torch
from torch import Tensor, nn

from assay.blocks.attention_mechanism import MultiplicativeAttention
from assay.blocks.encoder_decoder import EncoderDecoder
from assay.blocks.lstm_encoder import Handed, LSTMEncoder
from assay.models.sequence.seq2seq import LSTMDecoder


class LuongDecoder(LSTMDecoder):
    """An LSTM decoder, and attention between its states and the head.

    Attention looks from the state of a step, so all steps are computed side by side.

    Args:
        vocabulary: V.
        outputs: Logits behind each token.
        hidden: Width of the embedding and of each layer, H; that of the encoder.
        num_layers: As many as the encoder has.
        dropout: Fraction dropped in front of each layer and the head while training, in [0, 1).
        dot: Whether the score has no weights.
    """

    def __init__(
        self,
        vocabulary: int,
        outputs: int,
        *,
        hidden: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        dot: bool = False,
    ) -> None:
        super().__init__(vocabulary, outputs, hidden=hidden, num_layers=num_layers, dropout=dropout)
        self.attention = MultiplicativeAttention(hidden, hidden, dot=dot)
        self.combine = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, tokens: Tensor, handed: Handed) -> tuple[Tensor, Handed]:
        """Return the logits behind each token (B, n, outputs), and what the next tokens need."""
        shown, handed = self.shown(tokens, handed)
        seen, _ = self.attention(shown, handed["memory"], handed["real"])
        both = torch.tanh(self.combine(torch.cat([seen, shown], dim=2)))  # equation 5
        return self.head(self.dropout(both)), handed


def seq2seq_luong(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return one layer of 128 units on each side and the score with weights ("general")."""
    return EncoderDecoder(LSTMEncoder(inputs[1], 128), LuongDecoder(inputs[1], outputs, hidden=128))


def seq2seq_luong_dot(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return one layer of 128 units on each side and the score without weights."""
    return EncoderDecoder(
        LSTMEncoder(inputs[1], 128), LuongDecoder(inputs[1], outputs, hidden=128, dot=True)
    )


def seq2seq_luong_1000(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return the paper's four layers of 1,000 units on each side, a fifth dropped."""
    return EncoderDecoder(
        LSTMEncoder(inputs[1], 1000, num_layers=4, dropout=0.2),
        LuongDecoder(inputs[1], outputs, hidden=1000, num_layers=4, dropout=0.2),
    )
