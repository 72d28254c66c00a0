"""How a network reads tokens or floats, and what it answers from: one state, their mean, or each.

A batch of tokens (B, T) has its padding on the right: every 0 is padding. A batch of floats
(B, T, F) has none. What is padded must never change an answer, so the exits look at real steps
alone. An example of nothing but padding counts as one step.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from assay.data.tokens import PAD

_LAST, _MEAN, _EVERY = "last", "mean", "every"
ANSWERS_EVERY_STEP = frozenset(
    ("token-classification", "language-modeling", "masked-language-modeling")
)
READS_TOKENS = ANSWERS_EVERY_STEP | {"text-classification", "text-to-text"}


def real_steps(x: Tensor) -> Tensor | None:
    """Return which steps are no padding, (B, T) bool; None where all are: in floats (B, T, F)."""
    return None if x.is_floating_point() else x != PAD


def readable(tokens: Tensor) -> Tensor:
    """Return which tokens attention may read: real ones, and the first of each row in any case.

    (B, T) -> (B, T) bool. A row without a single readable token has no attention to compute.
    """
    first = torch.arange(tokens.shape[1], device=tokens.device) == 0
    return (tokens != PAD) | first


def lengths(real: Tensor) -> Tensor:
    """Return how many steps are real, at least 1. (B, T) bool -> (B,) int64."""
    return real.sum(dim=1).clamp(min=1)


class TokenEmbedding(nn.Embedding):
    """One learned vector per token; that of padding is zero and stays so. (B, T) -> (B, T, E).

    Any whole numbers will do as ids, int32 too.

    Args:
        vocabulary: How many tokens there are.
        width: E.
        std: Of the normal distribution that the vectors are drawn from.
    """

    def __init__(self, vocabulary: int, width: int, *, std: float = 1.0) -> None:
        super().__init__(vocabulary, width, padding_idx=PAD)
        with torch.no_grad():
            nn.init.normal_(self.weight, std=std)
            self.weight[PAD].zero_()


def entrance(task: str, inputs: tuple[int, ...], width: int, *, std: float = 1.0) -> nn.Module:
    """Return what turns a batch into (B, T, width): an embedding of tokens, a linear map of floats.

    Args:
        task: One of `assay.canon.task.TASKS`.
        inputs: Shape of one example: (T, V) for tokens, else (T, F).
        width: Of one step behind it.
        std: Of the embedding at the start.
    """
    if task in READS_TOKENS:
        return TokenEmbedding(inputs[1], width, std=std)
    return nn.Linear(inputs[1], width)


class LastStep(nn.Module):
    """The state at the last real step. (B, T, E), (B, T) bool or None -> (B, E)."""

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        """Return one state per example."""
        if real is None:
            return states[:, -1]
        last = lengths(real) - 1  # (B,)
        return states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)


class MeanStep(nn.Module):
    """The mean of the states at real steps. (B, T, E), (B, T) bool or None -> (B, E)."""

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        """Return one state per example."""
        if real is None:
            return states.mean(dim=1)
        kept = states.masked_fill(~real[:, :, None], 0.0)
        return kept.sum(dim=1) / lengths(real)[:, None].to(states.dtype)


class EveryStep(nn.Module):
    """The state at each step, as it is. (B, T, E), (B, T) bool or None -> (B, T, E)."""

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the states."""
        return states


_EXITS: Mapping[str, type[nn.Module]] = {_LAST: LastStep, _MEAN: MeanStep, _EVERY: EveryStep}


def exit_of(task: str, summary: str = _LAST) -> nn.Module:
    """Return what is answered from: each step where the task asks for that, else one state.

    A linear layer behind it gives (B, T, outputs) or (B, outputs).

    Args:
        task: One of `assay.canon.task.TASKS`.
        summary: "last" or "mean", for tasks with one answer per example.
    """
    return _EXITS[_EVERY if task in ANSWERS_EVERY_STEP else summary]()
