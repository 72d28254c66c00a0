"""Sequence to sequence: an LSTM reads the source, another one writes the answer from its state.

Source: Sutskever, Vinyals and Le, 2014, https://arxiv.org/abs/1409.3215.
"""

from torch import Tensor, nn

from assay.blocks.encoder_decoder import EncoderDecoder
from assay.blocks.lstm_encoder import Handed, LSTMEncoder
from assay.blocks.recurrence import stack
from assay.blocks.sequence_head import TokenEmbedding


class LSTMDecoder(nn.Module):
    """An embedding, LSTM layers that start from the encoder's, a linear head.

    Args:
        vocabulary: V.
        outputs: Logits behind each token.
        hidden: Width of the embedding and of each layer, H; that of the encoder.
        num_layers: As many as the encoder has.
        dropout: Fraction dropped in front of each layer and the head while training, in [0, 1).
    """

    def __init__(
        self,
        vocabulary: int,
        outputs: int,
        *,
        hidden: int,
        num_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = TokenEmbedding(vocabulary, hidden, std=0.1)
        self.dropout = nn.Dropout(dropout)
        self.layer = stack(
            nn.LSTM,
            hidden,
            hidden,
            num_layers=num_layers,
            dropout=dropout,
        )
        self.head = nn.Linear(hidden, outputs)

    def forward(self, tokens: Tensor, handed: Handed) -> tuple[Tensor, Handed]:
        """Return the logits behind each token (B, n, outputs), and what the next tokens need."""
        shown, handed = self.shown(tokens, handed)
        return self.head(self.dropout(shown)), handed

    def shown(self, tokens: Tensor, handed: Handed) -> tuple[Tensor, Handed]:
        """Return what the top layer shows at each token, (B, n, H), and what the next ones need."""
        before = [handed[kind].transpose(0, 1).contiguous() for kind in ("state", "cell")]
        shown, after = self.layer(self.dropout(self.embed(tokens)), tuple(before))
        state, cell = (kind.transpose(0, 1) for kind in after)
        return shown, {**handed, "state": state, "cell": cell}


def seq2seq(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return one layer of 128 units on each side."""
    return EncoderDecoder(LSTMEncoder(inputs[1], 128), LSTMDecoder(inputs[1], outputs, hidden=128))


def seq2seq_sutskever(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return the paper's four layers of 1,000 units on each side."""
    return EncoderDecoder(
        LSTMEncoder(inputs[1], 1000, num_layers=4),
        LSTMDecoder(inputs[1], outputs, hidden=1000, num_layers=4),
    )
