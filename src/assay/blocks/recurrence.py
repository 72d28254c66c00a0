"""A recurrent layer read by torch's fused kernel or step by step, forwards or both ways.

Source of both ways: Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093.
"""

from collections.abc import Callable, Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import rnn

from assay.blocks.sequence_head import (
    ANSWERS_EVERY_STEP,
    READS_TOKENS,
    LastStep,
    TokenEmbedding,
    exit_of,
    lengths,
    real_steps,
)

States = tuple[Tensor, ...]  # (h,), or (h, c) where there is a memory cell
Step = Callable[..., States]  # (driven, states, weight_back, bias_back, ...) -> states, all (B, H)

_FUSED = {nn.RNN: torch.rnn_tanh, nn.LSTM: torch.lstm, nn.GRU: torch.gru}  # of one layer


def scan(step: Step, x: Tensor, states: States, weights: Iterable[Tensor]) -> tuple[Tensor, States]:
    """Take one step after another. (B, T, F) -> (B, T, H), and the states after the last.

    Args:
        step: What leads from (B, H) to (B, H).
        x: The sequences.
        states: Before the first step, each (B, H).
        weights: In, back, bias in, bias back, and whatever else `step` takes.
    """
    weight_in, weight_back, bias_in, *others = weights
    driven = F.linear(x, weight_in, bias_in)  # all steps at once
    shown = []
    for drive in driven.unbind(1):
        states = step(drive, states, weight_back, *others)
        shown.append(states[0])
    return torch.stack(shown, dim=1), states


def turned(x: Tensor, real: Tensor | None) -> Tensor:
    """Return the real steps last to first, padding still behind them. (B, T, E) -> the same.

    Turning twice gives back what was.

    Args:
        x: The sequences.
        real: Which steps are no padding, (B, T) bool; None if all are.
    """
    if real is None:
        return x.flip(1)
    places = torch.arange(x.shape[1], device=x.device)
    where = (lengths(real)[:, None] - 1 - places) % x.shape[1]  # (B, T)
    return x.gather(1, where[:, :, None].expand_as(x))


def run(
    layer: nn.RNNBase,
    x: Tensor,
    *,
    real: Tensor | None = None,
    states: States | None = None,
    step: Step | None = None,
) -> tuple[Tensor, States]:
    """Return what the last layer shows at each step, and the states after the last step.

    Where layers read padded tokens both ways, what is shown at padding is zero. The states are of
    use where there is no padding; behind it they are those of no real step.

    Args:
        layer: `nn.RNN`, `nn.LSTM` or `nn.GRU`, or what is derived from them.
        x: (B, T, F).
        real: Which steps are no padding, (B, T) bool; None if all are.
        states: Before the first step, each (B, layers · directions, H); zeros if not given.
        step: The layer written out, to be used in place of its own kernel.
    """
    padded_both_ways = layer.bidirectional and real is not None
    if padded_both_ways and x.is_cuda and step is None and states is None:
        return _packed(layer, x, cast(Tensor, real))
    if step is not None or padded_both_ways:
        return _layer_by_layer(layer, x, real, states, step)
    shown, after = layer(x, None if states is None else _layers_first(layer, states))
    return shown, _batch_first(after)


def _layer_by_layer(
    layer: nn.RNNBase, x: Tensor, real: Tensor | None, states: States | None, step: Step | None
) -> tuple[Tensor, States]:
    directions = 1 + layer.bidirectional
    after: list[States] = []
    for number in range(layer.num_layers):
        if number:
            x = F.dropout(x, layer.dropout, layer.training)
        ways = []
        for way in range(directions):
            read = turned(x, real) if way else x
            shown, last = _one_way(layer, read, number * directions + way, states, step)
            ways.append(turned(shown, real) if way else shown)
            after.append(last)
        x = torch.cat(ways, dim=2)
    if layer.bidirectional and real is not None:
        x = x.masked_fill(~real[:, :, None], 0.0)
    return x, tuple(torch.stack(kind, dim=1) for kind in zip(*after, strict=True))


def _one_way(
    layer: nn.RNNBase, x: Tensor, place: int, states: States | None, step: Step | None
) -> tuple[Tensor, States]:
    """Run one layer in one direction. (B, T, F) -> (B, T, H), and its last states (B, H)."""
    cells = isinstance(layer, nn.LSTM)
    weights = layer.all_weights[place]
    if states is None:
        zeros = x.new_zeros(len(x), layer.hidden_size)
        before: States = (zeros, zeros) if cells else (zeros,)
    else:
        before = tuple(kind[:, place] for kind in states)
    if step is not None:
        return scan(step, x, before, weights)
    start = tuple(kind[None] for kind in before)
    kernel = cast(Callable[..., tuple[Tensor, ...]], _FUSED[type(layer)])
    given = start if cells else start[0]
    shown, *after = kernel(
        x,
        given,
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=layer.training,
        bidirectional=False,
        batch_first=True,
    )
    return shown, tuple(kind[0] for kind in after)


def _packed(layer: nn.RNNBase, x: Tensor, real: Tensor) -> tuple[Tensor, States]:
    """Run all layers both ways over packed steps: on an accelerator the fastest way."""
    ends = lengths(real).cpu()
    packed = rnn.pack_padded_sequence(x, ends, batch_first=True, enforce_sorted=False)
    shown, after = layer(packed)
    x, _ = rnn.pad_packed_sequence(shown, batch_first=True, total_length=x.shape[1])
    return x.masked_fill(~real[:, :, None], 0.0), _batch_first(after)


def _layers_first(layer: nn.RNNBase, states: States) -> Tensor | States:
    """Return states as torch's layers take them: (layers · directions, B, H)."""
    given = tuple(kind.transpose(0, 1).contiguous() for kind in states)
    return given if isinstance(layer, nn.LSTM) else given[0]


def _batch_first(states: Tensor | States) -> States:
    kinds = (states,) if isinstance(states, Tensor) else states
    return tuple(kind.transpose(0, 1) for kind in kinds)


def stack(
    kind: Callable[..., nn.RNNBase],
    width: int,
    hidden: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> nn.RNNBase:
    """Return torch's recurrent layers; what they say to themselves starts orthogonal.

    So signals neither vanish nor grow at first.

    Args:
        kind: `nn.RNN`, `nn.LSTM` or `nn.GRU`.
        width: Of what the first layer reads.
        hidden: H.
        num_layers: Each reads what the one below shows.
        bidirectional: Whether each reads both ways, with weights of its own for each.
        dropout: Fraction dropped between two layers while training, in [0, 1).
    """
    layer = kind(
        width,
        hidden,
        num_layers,
        batch_first=True,
        bidirectional=bidirectional,
        dropout=dropout if num_layers > 1 else 0.0,
    )
    for _, weight_back, *_ in layer.all_weights:
        for block in torch.split(weight_back, hidden):
            nn.init.orthogonal_(block)
    return layer


def width_for(task: str, inputs: tuple[int, ...], hidden: int) -> int:
    """Return what the first layer of a network reads: F, or `hidden` where tokens are embedded.

    Args:
        task: One of `assay.canon.task.TASKS`.
        inputs: Shape of one example, (T, V) for tokens, else (T, F).
        hidden: Width of the layer.
    """
    return hidden if task in READS_TOKENS else inputs[1]


class BothEnds(nn.Module):
    """What each direction holds at its own last real step. (B, T, 2·H) -> (B, 2·H)."""

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the forward half of the last real step, the backward half of the first step."""
        forwards, backwards = states.chunk(2, dim=2)
        return torch.cat([LastStep()(forwards, real), backwards[:, 0]], dim=1)


class RecurrentNetwork(nn.Module):
    """An embedding of tokens if there are any, recurrent layers, a linear head.

    One answer per example is given from the state at the last real step; tagging and language
    modelling answer at every step. Both directions read tokens from the first to the last real one
    and back, however much padding follows.

    Args:
        layer: What recurs; tokens are embedded in as many values as it reads.
        step: The same, written out.
        inputs: Shape of one example, (T, V) for tokens, else (T, F).
        outputs: Scores of each answer.
        task: One of `assay.canon.task.TASKS`, not text-to-text.
        dropout: Fraction of the embedded tokens and of the states before the head that is dropped
            while training, in [0, 1).

    Attributes:
        kernel: Which of two equal computations runs: the layer's own "fused" one, or the "steps".

    Shape:
        (B, T) tokens or (B, T, F) -> (B, outputs) or (B, T, outputs) logits
    """

    def __init__(
        self,
        layer: nn.RNNBase,
        step: Step,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        task: str,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel: Literal["fused", "steps"] = "fused"
        self.embed: TokenEmbedding | None = None
        if task in READS_TOKENS:
            self.embed = TokenEmbedding(inputs[1], layer.input_size, std=0.1)
        self.layer = layer
        self.step = step
        once = task not in ANSWERS_EVERY_STEP
        self._heeds_ends = layer.bidirectional or once  # where padding begins
        self.exit = BothEnds() if layer.bidirectional and once else exit_of(task, "last")
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear((1 + layer.bidirectional) * layer.hidden_size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch."""
        real = real_steps(x) if self._heeds_ends else None
        shown, _ = self._run(self.entered(x), real=real)
        return self.head(self.dropout(self.exit(shown, real)))

    def entered(self, x: Tensor) -> Tensor:
        """Return what the layers read. (B, T) tokens or (B, T, F) -> (B, T, F)."""
        return x if self.embed is None else self.dropout(self.embed(x))

    def _run(
        self, x: Tensor, *, real: Tensor | None = None, states: States | None = None
    ) -> tuple[Tensor, States]:
        written_out = self.step if self.kernel == "steps" else None
        return run(self.layer, x, real=real, states=states, step=written_out)

    def begin(self, source: Tensor, *, most: int) -> States:
        """Return the states before the first token: see `assay.blocks.generation.Generative`."""
        shape = len(source), self.layer.num_layers, self.layer.hidden_size
        zeros = self.head.weight.new_zeros(shape)
        return (zeros, zeros) if isinstance(self.layer, nn.LSTM) else (zeros,)

    def advance(self, tokens: Tensor, state: States) -> tuple[Tensor, States]:
        """Return the logits behind each of these tokens, and the states after the last."""
        shown, state = self._run(self.entered(tokens), states=state)
        return self.head(self.dropout(shown)), state
