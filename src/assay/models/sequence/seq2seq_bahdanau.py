"""Bahdanau's translator: GRUs whose every step begins with a look back at the source.

Source: Bahdanau, Cho and Bengio, 2015, https://arxiv.org/abs/1409.0473, section 3 and appendix A.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.attention_mechanism import AdditiveAttention
from assay.blocks.encoder_decoder import EncoderDecoder
from assay.blocks.maxout import Maxout
from assay.blocks.recurrence import run, stack
from assay.blocks.sequence_head import TokenEmbedding
from assay.data.tokens import PAD
from assay.models.sequence.gru import step

Handed = dict[str, Tensor]


class BahdanauEncoder(nn.Module):
    """A GRU that reads the source both ways.

    Args:
        vocabulary: V.
        embed_dim: Values that a token is embedded in.
        hidden: Width of each direction and of the decoder, H.

    Shape:
        (B, S) -> a dictionary: state (B, H), of the decoder at first; memory (B, S, 2·H); real
        (B, S), which of them are no padding
    """

    def __init__(self, vocabulary: int, *, embed_dim: int, hidden: int) -> None:
        super().__init__()
        self.embed = TokenEmbedding(vocabulary, embed_dim, std=0.1)
        self.layer = stack(nn.GRU, embed_dim, hidden, bidirectional=True)
        self.start = nn.Linear(hidden, hidden)

    def forward(self, source: Tensor) -> Handed:
        """Return what the decoder needs."""
        real = source != PAD
        memory, _ = run(self.layer, self.embed(source), real=real)
        backwards = memory[:, 0].chunk(2, dim=1)[1]  # which has read all, the first token last
        return {"state": torch.tanh(self.start(backwards)), "memory": memory, "real": real}


class BahdanauDecoder(nn.Module):
    """A GRU that looks at the source before each step; the answer is chosen by a maxout layer.

    Args:
        vocabulary: V.
        outputs: Logits behind each token.
        embed_dim: Values that a token is embedded in.
        hidden: Width of the state, H; that of the encoder.
        readout: Width of the maxout layer, of two pieces each.
    """

    def __init__(
        self, vocabulary: int, outputs: int, *, embed_dim: int, hidden: int, readout: int
    ) -> None:
        super().__init__()
        self.embed = TokenEmbedding(vocabulary, embed_dim, std=0.1)
        self.attention = AdditiveAttention(hidden, 2 * hidden, hidden)
        self.layer = stack(nn.GRU, embed_dim + 2 * hidden, hidden)
        self.readout = nn.Linear(hidden + embed_dim + 2 * hidden, 2 * readout)
        self.maxout = Maxout(2)
        self.head = nn.Linear(readout, outputs)

    def forward(self, tokens: Tensor, handed: Handed) -> tuple[Tensor, Handed]:
        """Return the logits behind each token (B, n, outputs), and what the next tokens need."""
        state, memory, real = handed["state"], handed["memory"], handed["real"]
        weight_in, weight_back, bias_in, bias_back = self.layer.all_weights[0]
        keys = self.attention.of_memory(memory)
        read = self.embed(tokens)  # (B, n, embed_dim)
        from_token, from_seen = torch.split(weight_in, [read.shape[2], memory.shape[2]], dim=1)
        driven = F.linear(read, from_token, bias_in)  # all steps at once
        states, seen = [], []
        for drive in driven.unbind(1):
            look, _ = self.attention(state[:, None], memory, real, keys=keys)
            seen.append(look[:, 0])
            drive = drive + F.linear(seen[-1], from_seen)  # noqa: PLW2901
            (state,) = step(drive, (state,), weight_back, bias_back)
            states.append(state)
        every = torch.cat([torch.stack(states, 1), read, torch.stack(seen, 1)], dim=2)
        chosen = self.maxout(self.readout(every).transpose(1, 2)).transpose(1, 2)
        return self.head(chosen), {**handed, "state": state}


def seq2seq_bahdanau(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return 128 units in each direction and in the decoder."""
    vocabulary = inputs[1]
    return EncoderDecoder(
        BahdanauEncoder(vocabulary, embed_dim=128, hidden=128),
        BahdanauDecoder(vocabulary, outputs, embed_dim=128, hidden=128, readout=64),
    )


def seq2seq_bahdanau_1000(inputs: tuple[int, ...], outputs: int, *, task: str) -> EncoderDecoder:
    """Return the paper's RNNsearch: 1,000 units, tokens in 620 values, a maxout layer of 500."""
    vocabulary = inputs[1]
    return EncoderDecoder(
        BahdanauEncoder(vocabulary, embed_dim=620, hidden=1000),
        BahdanauDecoder(vocabulary, outputs, embed_dim=620, hidden=1000, readout=500),
    )
