"""Class by class: what is confused with what, and precision, recall and F1 of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.metrics.metric import Array


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """How one class fares; each of the first three is in [0, 1], and 0 where it is 0/0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int  # examples of the class


def confusion(labels: Array, truth: Array, classes: int) -> Array:
    """Return how often each class was taken for each: truth by prediction, (K, K).

    Args:
        labels: Predicted, any shape that ends in (N,), such as (seeds, N).
        truth: Labels (N,).
        classes: K.
    """
    wide = np.broadcast_to(truth, labels.shape)
    counts = np.bincount((wide * classes + labels).ravel(), minlength=classes * classes)
    return counts.reshape(classes, classes)


def class_table(counts: Array | Sequence[Sequence[int]], names: Sequence[str]) -> list[ClassRow]:
    """Return a row for each class.

    Args:
        counts: Truth by prediction (K, K), as `confusion` or a candidate's result has it; summed
            over seeds, the support is counted once for each seed.
        names: Of the classes.
    """
    table = np.asarray(counts, dtype=np.float64)
    right, present, named = table.diagonal(), table.sum(1), table.sum(0)
    return [
        ClassRow(
            name=name,
            precision=_share(right[c], named[c]),
            recall=_share(right[c], present[c]),
            f1=_share(2 * right[c], named[c] + present[c]),
            support=int(present[c]),
        )
        for c, name in enumerate(names)
    ]


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
