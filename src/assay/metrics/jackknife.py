"""What each example adds to a metric of which nothing is known: by leaving groups out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.metrics.metric import Array, Score

GROUPS = 100


def grouped(function: Callable[[Array, Array], float], predicted: Array, truth: Array) -> Score:
    """Return the metric with pseudo-values of the delete-a-group jackknife.

    All examples of a group get the same value. Its distance from the metric is widened by
    sqrt(N / groups), so that the variance of the N values over N is that of the metric, and the
    values are moved so that their mean is the metric itself; the jackknife's own mean differs from
    it by its estimate of the bias, of order 1/N. Groups depend on N alone: those of two candidates
    are the same, and their differences are paired.

    Source: Kott, 2001, "The delete-a-group jackknife", Journal of Official Statistics 17(4).

    Args:
        function: Of predictions and truth; called once for each group and once for all.
        predicted: Probabilities (N, K), or values (N,).
        truth: Labels or values (N,).
    """
    count = len(truth)
    groups = min(GROUPS, count)
    value = function(predicted.copy(), truth.copy())
    if groups < 2:
        return Score(value, np.full(count, value))
    member = np.random.default_rng(count).permutation(np.arange(count) % groups)
    kept = [member != group for group in range(groups)]
    without = np.array([function(predicted[rows], truth[rows]) for rows in kept])
    pseudo = groups * value - (groups - 1) * without
    spread = (pseudo - pseudo.mean())[member]
    return Score(value, value + np.sqrt(count / groups) * (spread - spread.mean()))
