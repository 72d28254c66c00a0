"""Metrics of values (N,) against values (N,)."""

from __future__ import annotations

import numpy as np

from assay.metrics.metric import Array, Score, linearised, mean_of


def mae(predicted: Array, truth: Array) -> Score:
    """Return the mean absolute error, at least 0."""
    return mean_of(np.abs(_error(predicted, truth)))


def rmse(predicted: Array, truth: Array) -> Score:
    """Return the root of the mean squared error, at least 0."""
    squares = np.square(_error(predicted, truth))
    value = float(np.sqrt(squares.mean()))
    slopes = (squares - squares.mean()) / (2 * value * len(squares)) if value else 0 * squares
    return linearised(value, slopes)


def r2(predicted: Array, truth: Array) -> Score:
    """Return the share of the variance that is explained, at most 1; 0 for a constant truth.

    scikit-learn and torchmetrics give 1 for a constant truth that is predicted exactly.
    """
    squares = np.square(_error(predicted, truth))
    around = np.square(truth.astype(np.float64) - truth.astype(np.float64).mean())
    total, lost = float(around.sum()), float(squares.sum())
    if total == 0:
        return linearised(0.0, 0 * squares)
    return linearised(1.0 - lost / total, (lost * around / total - squares) / total)


def quantile_loss(predicted: Array, truth: Array, level: float) -> Score:
    """Return the mean pinball loss, at least 0; at 0.5 it is half the mean absolute error.

    Source: Koenker and Bassett, 1978, https://doi.org/10.2307/1913643, eq. 2.1.

    Args:
        predicted: The quantile of that level, (N,).
        truth: What came (N,).
        level: In (0, 1).
    """
    error = -_error(predicted, truth)
    return mean_of(np.maximum(level * error, (level - 1) * error))


def smape(predicted: Array, truth: Array) -> Score:
    """Return the mean of |error| over the mean of both sizes, in [0, 2]; none where both are 0.

    Source: Makridakis, 1993, https://doi.org/10.1016/0169-2070(93)90079-3 (there in percent).
    """
    error = np.abs(_error(predicted, truth))
    size = np.abs(predicted.astype(np.float64)) + np.abs(truth.astype(np.float64))
    return mean_of(np.divide(2 * error, size, out=np.zeros_like(error), where=size > 0))


def naive_error(history: Array, season: int = 1) -> float:
    """Return the mean absolute error of repeating what came one season ago, in the training part.

    Args:
        history: One series of the training part, longer than a season.
        season: Steps after which the series repeats; 1 repeats the last value.
    """
    wide = history.astype(np.float64)
    return float(np.abs(wide[season:] - wide[:-season]).mean())


def _error(predicted: Array, truth: Array) -> Array:
    return predicted.astype(np.float64) - truth.astype(np.float64)
