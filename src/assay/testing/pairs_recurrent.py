"""Recurrent and temporal convolution networks beside torch's own layers.

Where padding matters, torch reads packed sequences: it then sees no padding at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import rnn as packing
from torch.nn.utils.parametrizations import weight_norm

from assay.data.tokens import PAD
from assay.models.sequence import (
    bidirectional_rnn,
    gru,
    lstm,
    rnn,
    seq2seq,
    seq2seq_bahdanau,
    seq2seq_luong,
    tcn,
)
from assay.testing.language_parity import LanguagePair, sources_and_targets

VOCABULARY = 61
SHAPE = (11, VOCABULARY)
LABELS = 5


def _ends(ids: Tensor) -> Tensor:
    return (ids != PAD).sum(1)


def _packed(layer: nn.Module, x: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return a layer's states at each token (B, T, E) and its last ones, seen without padding."""
    packed = packing.pack_padded_sequence(x, _ends(ids), batch_first=True, enforce_sorted=False)
    states, last = layer(packed)
    every, _ = packing.pad_packed_sequence(states, batch_first=True, total_length=ids.shape[1])
    return every, last


class TorchTagger(nn.Module):
    """An embedding, torch's recurrent layers over packed sequences, a linear layer.

    Args:
        kind: `nn.RNN`, `nn.LSTM` or `nn.GRU`.
        hidden: Width of the embedding and the layers.
        outputs: Of the linear layer.
        num_layers: Of the recurrent ones.
        bidirectional: Whether they read both ways.
    """

    def __init__(
        self,
        kind: Callable[..., nn.RNNBase],
        hidden: int,
        outputs: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, hidden)
        self.layer = kind(hidden, hidden, num_layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (1 + bidirectional), outputs)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, outputs)."""
        states, _ = _packed(self.layer, self.embed(ids), ids)
        return self.head(states)


class TorchTcn(nn.Module):
    """The paper's network of torch's own convolutions, each padded on both sides and then cut.

    Args:
        channels: Of each block, all alike.
        kernel_size: Of each convolution.
        blocks: How many.
    """

    def __init__(self, channels: int, kernel_size: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, channels)
        self.convs = nn.ModuleList(
            weight_norm(
                nn.Conv1d(
                    channels,
                    channels,
                    kernel_size,
                    padding=(kernel_size - 1) * 2 ** (number // 2),
                    dilation=2 ** (number // 2),
                )
            )
            for number in range(2 * blocks)
        )
        self.head = nn.Linear(channels, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.embed(ids).transpose(1, 2)
        convs = list(self.convs)
        for first, second in zip(convs[::2], convs[1::2], strict=True):
            middle = F.relu(first(x)[:, :, : ids.shape[1]])
            x = F.relu(x + F.relu(second(middle)[:, :, : ids.shape[1]]))
        return self.head(x.transpose(1, 2))


def _tcn_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `TorchTcn` under our names."""
    ends = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    ours = {}
    for key, value in state.items():
        name = key
        if key.startswith("convs."):
            _, number, end = key.split(".", 2)
            block, conv = divmod(int(number), 2)
            name = f"blocks.{block}.conv_{conv + 1}.{ends.get(end, end)}"
        ours[name] = value
    return ours


class TorchSeq2Seq(nn.Module):
    """Two LSTMs; the first reads the source backwards, packed; attention one step at a time.

    Args:
        attention: "" for none, "general" or "dot".
        hidden: Width of everything.
    """

    def __init__(self, attention: str, hidden: int) -> None:
        super().__init__()
        self.attention = attention
        self.source = nn.Embedding(VOCABULARY, hidden)
        self.reader = nn.LSTM(hidden, hidden, batch_first=True)
        self.answer = nn.Embedding(VOCABULARY, hidden)
        self.writer = nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, VOCABULARY)
        if attention == "general":
            self.score = nn.Linear(hidden, hidden, bias=False)
        if attention:
            self.combine = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, S), (B, U) -> (B, U, V)."""
        return torch.cat([self._one(s[s != PAD], t) for s, t in zip(source, target, strict=True)])

    def _one(self, source: Tensor, target: Tensor) -> Tensor:
        """Answer one source, without padding. (S,), (U,) -> (1, U, V)."""
        backwards, last = self.reader(self.source(source.flip(0))[None])
        states, _ = self.writer(self.answer(target)[None], last)
        if self.attention:
            looks = [self._look(state, backwards[0].flip(0)) for state in states[0]]
            states = torch.stack(looks)[None]
        return self.head(states)

    def _look(self, state: Tensor, memory: Tensor) -> Tensor:
        keys = self.score(memory) if self.attention == "general" else memory
        weights = torch.softmax(keys @ state, dim=0)
        return torch.tanh(self.combine(torch.cat([weights @ memory, state])))


def _seq2seq_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `TorchSeq2Seq` or `TorchBahdanau` under our names."""
    ours = {
        "source": "encoder.embed", "reader": "encoder.layer", "start": "encoder.start",
        "answer": "decoder.embed", "writer": "decoder.layer", "head": "decoder.head",
        "score": "decoder.attention.weight", "combine": "decoder.combine",
        "of_query": "decoder.attention.of_query", "of_memory": "decoder.attention.of_memory",
        "v": "decoder.attention.score", "readout": "decoder.readout",
    }  # fmt: skip
    renamed = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        cell = "_l0" if first == "writer" and not rest.endswith("_l0") else ""
        renamed[f"{ours[first]}.{rest}{cell}"] = value
    return renamed


class TorchBahdanau(nn.Module):
    """A packed GRU both ways, and a GRU cell that looks back before each step.

    Args:
        hidden: Width of the embeddings, each direction, the state and the attention.
        readout: Width of the maxout layer.
    """

    def __init__(self, hidden: int, readout: int) -> None:
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, hidden)
        self.reader = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.start = nn.Linear(hidden, hidden)
        self.answer = nn.Embedding(VOCABULARY, hidden)
        self.of_query = nn.Linear(hidden, hidden, bias=False)
        self.of_memory = nn.Linear(2 * hidden, hidden, bias=False)
        self.v = nn.Linear(hidden, 1, bias=False)
        self.writer = nn.GRUCell(3 * hidden, hidden)
        self.readout = nn.Linear(4 * hidden, 2 * readout)
        self.head = nn.Linear(readout, VOCABULARY)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, S), (B, U) -> (B, U, V)."""
        memory, last = _packed(self.reader, self.source(source), source)
        state = torch.tanh(self.start(last[1]))
        logits = []
        for token in self.answer(target).unbind(1):
            both = torch.tanh(self.of_query(state)[:, None] + self.of_memory(memory))
            scores = self.v(both)[:, :, 0].masked_fill(source == PAD, -torch.inf)
            seen = torch.einsum("bs,bse->be", scores.softmax(1), memory)
            state = self.writer(torch.cat([token, seen], dim=1), state)
            pieces = self.readout(torch.cat([state, token, seen], dim=1))
            logits.append(self.head(torch.maximum(pieces[:, ::2], pieces[:, 1::2])))
        return torch.stack(logits, dim=1)


def _ask(theirs: nn.Module, *inputs: Tensor) -> Tensor:
    return theirs(*inputs)


def _layers(
    entry: str,
    build: Callable[..., nn.Module],
    kind: type[nn.RNNBase],
    hidden: int = 128,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
) -> LanguagePair:
    task = "token-classification" if bidirectional else "language-modeling"
    outputs = LABELS if bidirectional else VOCABULARY
    return LanguagePair(
        entry=entry,
        reference=f"torch:nn.{kind.__name__}",
        ours=lambda: build(SHAPE, outputs, task=task),
        theirs=lambda: TorchTagger(
            kind, hidden, outputs, num_layers=num_layers, bidirectional=bidirectional
        ),
        translate=dict,
        ask=_ask,
    )


def _translators(
    entry: str, build: Callable[..., nn.Module], theirs: Callable[[], nn.Module], reference: str
) -> LanguagePair:
    return LanguagePair(
        entry=entry,
        reference=reference,
        ours=lambda: build(SHAPE, VOCABULARY, task="text-to-text"),
        theirs=theirs,
        translate=_seq2seq_names,
        ask=_ask,
        inputs=sources_and_targets,
    )


PAIRS = [
    _layers("rnn", rnn.rnn, nn.RNN),
    _layers("rnn_2", rnn.rnn_2, nn.RNN, num_layers=2),
    _layers("lstm", lstm.lstm, nn.LSTM),
    _layers("lstm_2", lstm.lstm_2, nn.LSTM, 200, num_layers=2),
    _layers("gru", gru.gru, nn.GRU),
    _layers("gru_2", gru.gru_2, nn.GRU, num_layers=2),
    _layers("birnn", bidirectional_rnn.birnn, nn.RNN, bidirectional=True),
    _layers("bilstm", bidirectional_rnn.bilstm, nn.LSTM, bidirectional=True),
    _layers("bilstm_2", bidirectional_rnn.bilstm_2, nn.LSTM, num_layers=2, bidirectional=True),
    _layers("bigru", bidirectional_rnn.bigru, nn.GRU, bidirectional=True),
    LanguagePair(
        entry="tcn",
        reference="torch:nn.Conv1d",
        ours=lambda: tcn.tcn(SHAPE, VOCABULARY, task="language-modeling"),
        theirs=lambda: TorchTcn(25, 7, 8),
        translate=_tcn_names,
        ask=_ask,
    ),
    _translators("seq2seq", seq2seq.seq2seq, lambda: TorchSeq2Seq("", 128), "torch:nn.LSTM"),
    _translators(
        "seq2seq_luong",
        seq2seq_luong.seq2seq_luong,
        lambda: TorchSeq2Seq("general", 128),
        "torch:nn.LSTM",
    ),
    _translators(
        "seq2seq_luong_dot",
        seq2seq_luong.seq2seq_luong_dot,
        lambda: TorchSeq2Seq("dot", 128),
        "torch:nn.LSTM",
    ),
    _translators(
        "seq2seq_bahdanau",
        seq2seq_bahdanau.seq2seq_bahdanau,
        lambda: TorchBahdanau(128, 64),
        "torch:nn.GRUCell",
    ),
]
