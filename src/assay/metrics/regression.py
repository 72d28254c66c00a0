"""Metrics of values (N,) against values (N,), and of forecasts (N, H) against what came.

The truth of forecasts is (N, H + 1): the values of the H periods, then the naive error by which
`mase` divides, see `data.windows.judged`. What an example adds is the mean over its horizon.
"""

from __future__ import annotations

import numpy as np

from assay.metrics.metric import Array, Score, linearised, mean_of


def mae(predicted: Array, truth: Array) -> Score:
    """Return the mean absolute error, at least 0."""
    return mean_of(_over_horizon(np.abs(_error(predicted, truth))))


def rmse(predicted: Array, truth: Array) -> Score:
    """Return the root of the mean squared error, at least 0."""
    squares = _over_horizon(np.square(_error(predicted, truth)))
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
    size = np.abs(predicted.astype(np.float64)) + np.abs(_came(predicted, truth))
    shares = np.divide(2 * error, size, out=np.zeros_like(error), where=size > 0)
    return mean_of(_over_horizon(shares))


def mase(predicted: Array, truth: Array) -> Score:
    """Return the mean absolute error over that of repeating the last season, in training.

    Below 1 a forecast errs less than repeating the last season did, one step ahead, in training.

    Source: Hyndman and Koehler, 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, section
    3; with seasons, Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed.,
    section 5.8.

    Args:
        predicted: Forecasts (N, H).
        truth: What came, then the naive error (N, H + 1).
    """
    error = _over_horizon(np.abs(_error(predicted, truth)))
    return mean_of(error / truth[:, -1].astype(np.float64))


def _over_horizon(values: Array) -> Array:
    """Return one value for each example: (N,) as it is, the mean of (N, H) over H."""
    return values if values.ndim == 1 else values.mean(axis=1)


def _came(predicted: Array, truth: Array) -> Array:
    """Return the truth alone, without the naive error that follows it in forecasts."""
    wide = truth.astype(np.float64)
    return wide if predicted.ndim == 1 else wide[:, : predicted.shape[1]]


def _error(predicted: Array, truth: Array) -> Array:
    return predicted.astype(np.float64) - _came(predicted, truth)
