"""Our recurrent networks against plain torch.nn ones, in one process, at equal settings.

    python -m benchmarks.recurrent [--rounds 7] [--seconds 0.5]

Training tokens per CPU second: forward, cross-entropy, backward and a step of AdamW, float32, one
thread, 32 texts of 64 tokens out of 100. The two alternate and a ratio is ours over theirs. Texts
for taggers are 32 to 64 tokens long; torch reads them packed, the only way in which it gives the
same numbers. Both keep freed memory, and half of the rounds are those of copies elsewhere in it. A
peephole LSTM, which torch does not have, stands beside torch's plain LSTM.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import rnn as packing

from assay.blocks import peephole
from assay.blocks.peephole import PeepholeLSTM
from assay.blocks.recurrence import RecurrentNetwork, stack
from assay.engine.machine import keep_memory
from assay.models.build import unchecked
from benchmarks.common import interleave, machine, rate, ratio, save, two_places

BATCH, LENGTH, VOCABULARY, LABELS = 32, 64, 100, 9
Work = Callable[[], int]


class Plain(nn.Module):
    """What somebody would write: an embedding, torch's layers, a linear layer."""

    def __init__(self, kind: type[nn.RNNBase], hidden: int, outputs: int, **shape: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, hidden, padding_idx=0)
        self.layer = kind(hidden, hidden, batch_first=True, **shape)
        self.head = nn.Linear(hidden * (1 + self.layer.bidirectional), outputs)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, outputs)."""
        x = self.embed(ids)
        if not self.layer.bidirectional:
            return self.head(self.layer(x)[0])
        ends = (ids != 0).sum(1)
        packed = packing.pack_padded_sequence(x, ends, batch_first=True, enforce_sorted=False)
        states, _ = self.layer(packed)
        every, _ = packing.pad_packed_sequence(states, batch_first=True, total_length=LENGTH)
        return self.head(every)


def texts(*, padded: bool) -> tuple[Tensor, Tensor]:
    """Return tokens and labels of each, -100 where there is padding."""
    ids = torch.randint(5, VOCABULARY, (BATCH, LENGTH))
    labels = ids % LABELS
    if padded:
        ends = torch.randint(LENGTH // 2, LENGTH + 1, (BATCH,))
        outside = torch.arange(LENGTH) >= ends[:, None]
        ids[outside], labels[outside] = 0, -100
    return ids, labels


def worker(model: nn.Module, ids: Tensor, labels: Tensor) -> Work:
    """Return a function that does one training step and returns its tokens."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    tokens = int((ids != 0).sum())

    def step() -> int:
        F.cross_entropy(model(ids).flatten(0, 1), labels.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
        return tokens

    return step


def ours(name: str, outputs: int, kernel: str = "fused") -> nn.Module:
    """Return an entry that answers at each token."""
    task = "token-classification" if name.startswith("bi") else "language-modeling"
    model = unchecked(name, inputs=(LENGTH, VOCABULARY), outputs=outputs, task=task)
    model.kernel = kernel
    return model


def peepholes(hidden: int) -> nn.Module:
    """Return our peephole LSTM of another width than the entry's."""
    return RecurrentNetwork(
        stack(PeepholeLSTM, hidden, hidden),
        peephole.step,
        (LENGTH, VOCABULARY),
        VOCABULARY,
        task="language-modeling",
    )


def sides() -> dict[str, tuple[nn.Module, nn.Module]]:
    """Return ours and theirs, by what is compared."""
    both = {"bidirectional": True}
    return {
        "rnn": (ours("rnn", VOCABULARY), Plain(nn.RNN, 128, VOCABULARY)),
        "lstm": (ours("lstm", VOCABULARY), Plain(nn.LSTM, 128, VOCABULARY)),
        "gru": (ours("gru", VOCABULARY), Plain(nn.GRU, 128, VOCABULARY)),
        "lstm_2": (ours("lstm_2", VOCABULARY), Plain(nn.LSTM, 200, VOCABULARY, num_layers=2)),
        "birnn": (ours("birnn", LABELS), Plain(nn.RNN, 128, LABELS, **both)),
        "bilstm": (ours("bilstm", LABELS), Plain(nn.LSTM, 128, LABELS, **both)),
        "bigru": (ours("bigru", LABELS), Plain(nn.GRU, 128, LABELS, **both)),
        "lstm_peephole : nn.LSTM, 64 units": (peepholes(64), Plain(nn.LSTM, 64, VOCABULARY)),
        "lstm_peephole : nn.LSTM, 128 units": (
            ours("lstm_peephole", VOCABULARY),
            Plain(nn.LSTM, 128, VOCABULARY),
        ),
        "lstm_peephole : nn.LSTM, 256 units": (peepholes(256), Plain(nn.LSTM, 256, VOCABULARY)),
        "lstm by steps : nn.LSTM": (
            ours("lstm", VOCABULARY, "steps"),
            Plain(nn.LSTM, 128, VOCABULARY),
        ),
        "lstm_peephole by steps : nn.LSTM": (
            ours("lstm_peephole", VOCABULARY, "steps"),
            Plain(nn.LSTM, 128, VOCABULARY),
        ),
    }


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine())
    table = {}
    for name, (mine, theirs) in sides().items():
        data = texts(padded=mine.layer.bidirectional)
        rates: dict[str, list[float]] = {"ours": [], "theirs": []}
        for place in two_places({"ours": mine, "theirs": theirs}):
            ways = {side: partial(rate, worker(place[side], *data), args.seconds) for side in rates}
            interleave(ways, 1)  # to warm up
            for side, found in interleave(ways, -(-args.rounds // 2)).items():
                rates[side] += found
        table[name] = {"ratio": asdict(ratio(rates["ours"], rates["theirs"])), "rates": rates}
        print(f"{name:<36}", ratio(rates["ours"], rates["theirs"]), flush=True)
    save("recurrent", {"machine": machine(), "table": table})


if __name__ == "__main__":
    main()
