"""What a metric is: a number for a part of the data, and the share of each example in it.

Tests and intervals need one value for each example whose mean is the metric. A metric that is a
mean over examples has them. For every other one they are the pseudo-values of the infinitesimal
jackknife (Jaeckel, 1972; Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982,
chapter 6): the metric plus n times its derivative by the example's weight. Their mean is the metric
itself, exactly, because raising all weights alike changes nothing; their variance over n is the
metric's, to first order in 1/n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Score(NamedTuple):
    """A metric, and values of the same mean, one for each example."""

    value: float
    examples: Array  # (N,) float64


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One way to score predictions.

    Attributes:
        name: As `--metric` takes it: macro-f1.
        en: What people call it.
        zh: The same in Chinese.
        tasks: That have it; see `data.dataset.TASKS`.
        score: Of predictions and truth. Predictions are probabilities (N, K), values (N,)
            or (N, H), or the sums (N, C) of a token task, beside which the truth is of no
            influence.
        source: Paper and equation, or what defines it.
        higher_is_better: Otherwise smaller is better.
        share: Whether it is a fraction, shown in percent.
        limits: What it can be at the least and at the most, unless it is a share; see `bounds`.
        recorded: Whether every trial's record has it; the others are computed when asked for.
    """

    name: str
    en: str
    zh: str
    tasks: tuple[str, ...]
    score: Callable[[Any, Any], Score]
    source: str
    higher_is_better: bool = True
    share: bool = False
    limits: tuple[float, float] = (-math.inf, math.inf)
    recorded: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """What it can be at the least and at the most; no interval goes beyond."""
        return (0.0, 1.0) if self.share else self.limits

    @property
    def key(self) -> str:
        """The name in records, after `val_` or `test_`: macro_f1."""
        return self.name.replace("-", "_")

    def of(self, predicted: Any, truth: Any) -> float:
        """Return the metric, NaN where it is not defined.

        Args:
            predicted: Probabilities (N, K), or values (N,).
            truth: Labels in [0, K), or values (N,).
        """
        return self.score(predicted, truth).value

    def per_example(self, predicted: Any, truth: Any) -> Array:
        """Return float64 values (N,) whose mean is the metric: contributions or pseudo-values.

        Args:
            predicted: Probabilities (N, K), or values (N,).
            truth: Labels in [0, K), or values (N,).
        """
        return self.score(predicted, truth).examples


def mean_of(contributions: Array) -> Score:
    """Return the score that is the mean of `contributions` (N,)."""
    wide = contributions.astype(np.float64)
    return Score(float(wide.mean()), wide)


def linearised(value: float, slopes: Array) -> Score:
    """Return a score with its pseudo-values.

    Args:
        value: The metric.
        slopes: Its derivative by each example's weight (N,), all weights being 1; they sum to 0.
    """
    return Score(value, value + len(slopes) * slopes)
