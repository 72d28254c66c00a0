"""Metrics of token tasks, from what was counted of each example.

What a network says about every token would fill (N, T, V) numbers. What is kept of an example are
the sums named in `COLUMNS`; every metric of the task is a function of their sums over examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from assay.metrics.metric import Array, Score, linearised

if TYPE_CHECKING:
    from torch import Tensor

_EACH = ("nats", "right", "tokens")  # -log(probability), likeliest is right, and how many: sums
_ORDERS = range(1, 5)
_BLEU = ("sys_len", "ref_len", *(f"match{n}" for n in _ORDERS), *(f"total{n}" for n in _ORDERS))
_CHRF = tuple(f"{part}{n}" for n in range(1, 7) for part in ("said", "meant", "shared"))

COLUMNS: Mapping[str, tuple[str, ...]] = {  # by task: what is kept of each example, in this order
    "language-modeling": _EACH,
    "masked-language-modeling": _EACH,
    "token-classification": (*_EACH, "found", "named", "there"),
    "text-to-text": (*_EACH, "exact", "rouge_l", *_BLEU, *_CHRF),
}
_CHUNK = 2**22  # logits that are looked at together


def count_tokens(logits: Tensor, y: Tensor, *, ignore: int = -100) -> Tensor:
    """Return the columns nats, right and tokens of a batch, float32 (B, 3).

    Nothing of the size of the logits is made.

    Args:
        logits: (B, T, K) of any float type.
        y: The right tokens or labels (B, T).
        ignore: What stands where nothing is scored: -100, or 0 for the targets of text to text.
    """
    sums = logits.new_zeros((3, len(y))).float()
    rows, columns = (y != ignore).nonzero(as_tuple=True)
    step = max(1, _CHUNK // logits.shape[-1])
    for start in range(0, len(rows), step):
        row, column = rows[start : start + step], columns[start : start + step]
        scores, truth = logits[row, column].float(), y[row, column].long()
        nats = scores.logsumexp(1) - scores.gather(1, truth[:, None])[:, 0]
        right = (scores.argmax(1) == truth).float()
        for total, each in zip(sums, (nats, right, nats.new_ones(len(row))), strict=True):
            total.index_add_(0, row, each)
    return sums.T


def log_loss(sums: Array, truth: Array | None = None) -> Score:
    """Return the mean of -log(probability of the right token) over tokens, in nats, at least 0."""
    return ratio(sums[:, 0], sums[:, 2])


def perplexity(sums: Array, truth: Array | None = None) -> Score:
    """Return exp(log loss): the tokens among which the model hesitates, at least 1.

    Source: Jelinek et al., 1977, https://doi.org/10.1121/1.2016299.
    """
    nats = log_loss(sums)
    with np.errstate(over="ignore", invalid="ignore"):  # a network that came apart
        value = float(np.exp(nats.value))
        return Score(value, value + value * (nats.examples - nats.value))


def accuracy(sums: Array, truth: Array | None = None) -> Score:
    """Return the fraction of tokens whose likeliest answer is right, in [0, 1]."""
    return ratio(sums[:, 1], sums[:, 2])


def span_precision(sums: Array, truth: Array | None = None) -> Score:
    """Return the fraction of the named spans that are there, in [0, 1]; 0 if none is named."""
    return ratio(sums[:, 3], sums[:, 4])


def span_recall(sums: Array, truth: Array | None = None) -> Score:
    """Return the fraction of the spans that are found, in [0, 1]; 0 if there are none."""
    return ratio(sums[:, 3], sums[:, 5])


def span_f1(sums: Array, truth: Array | None = None) -> Score:
    """Return the harmonic mean of the spans' precision and recall, over all types together.

    Source: Tjong Kim Sang and De Meulder, 2003, https://aclanthology.org/W03-0419.
    """
    return ratio(2 * sums[:, 3].astype(np.float64), sums[:, 4] + sums[:, 5].astype(np.float64))


def ratio(parts: Array, wholes: Array) -> Score:
    """Return the score sum(parts) / sum(wholes), both (N,); 0 where there is nothing."""
    parts, wholes = parts.astype(np.float64), wholes.astype(np.float64)
    total = float(wholes.sum())
    if total == 0:
        return linearised(0.0, np.zeros(len(wholes)))
    value = float(parts.sum()) / total
    return linearised(value, (parts - value * wholes) / total)
