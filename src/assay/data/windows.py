"""Windows of time series: what a forecast sees, what it predicts, and the walk-forward division.

Time is cut twice, at the same periods for every series. A training window ends, values to predict
included, before the first cut; a validation window's values to predict lie between the cuts and a
test window's after the second. What a held-out window *sees* may reach back across a cut, as it
does when one forecasts in earnest. So no model has met a value that it is tested on, neither as an
input nor as an answer. Training windows begin at every period; held-out ones begin `horizon`
periods apart, so that each period is predicted once and the examples are not copies of each other.

What a model reads is relative: the target minus its mean over the window, its level, so that a
series that grows is no stranger after the cut; over how far it usually strays from its level in
training. Other columns are standardised by the training part. `judged` brings answers back to the
target's own unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.data.dataset import Dataset
from assay.data.split import SHARES, TEST, VAL

LEVELS = "level.npy"  # beside x.npy: the level of each window, in the target's unit
MOST_VALUES = 2**28  # of all windows together; beyond, training windows begin further apart


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series without gaps: row i is period `first` + i.

    Attributes:
        name: Its id, "" where there is only one.
        first: Number of its first period.
        values: (L, F), the target in the first column; gaps are filled.
        known: Whether the row's target was there, not filled (L,).
    """

    name: str
    first: int
    values: np.ndarray
    known: np.ndarray

    @property
    def periods(self) -> np.ndarray:
        """The number of each row's period, (L,)."""
        return self.first + np.arange(len(self.values))


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """The first periods of the validation and the test part."""

    val: int
    test: int


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where each window is: its series, its first row, its part (0 train, 1 validation, 2 test)."""

    series: np.ndarray
    start: np.ndarray
    part: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What the training part of a series says of its size.

    Attributes:
        mean: Of each feature (F,); 0 for the target, whose level is that of each window.
        std: Of each feature (F,), 1 where it does not vary; for the target, how far it strays
            from the level of a window.
        naive: Mean absolute error of repeating the last season there: what MASE divides by.
    """

    mean: np.ndarray
    std: np.ndarray
    naive: float


def cut(every: Sequence[Series]) -> Cuts:
    """Return the cuts that leave a quarter of all rows to the test and 15% to validation."""
    periods = np.sort(np.concatenate([series.periods for series in every]))
    test = round(len(periods) * (1 - SHARES[TEST]))
    val = round(len(periods) * (1 - SHARES[TEST] - SHARES[VAL]))
    return Cuts(val=int(periods[val]), test=int(periods[min(test, len(periods) - 1)]))


def place(every: Sequence[Series], cuts: Cuts, *, window: int, horizon: int) -> Places:
    """Return every window whose values to predict are known, series by series in order of time."""
    count = sum(max(len(s.values) - window - horizon + 1, 0) for s in every)
    apart = -(-count * (window + horizon) * every[0].values.shape[1] // MOST_VALUES) or 1
    found = [_place_one(s, cuts, window=window, horizon=horizon, apart=apart) for s in every]
    return Places(
        series=np.repeat(np.arange(len(every)), [len(start) for start, _ in found]),
        start=np.concatenate([start for start, _ in found]),
        part=np.concatenate([part for _, part in found]),
    )


def _place_one(
    series: Series, cuts: Cuts, *, window: int, horizon: int, apart: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows' first rows and parts, in order."""
    length = len(series.values)
    ends = (  # first and past-the-end row of the values to predict, of each part
        (0, min(max(cuts.val - series.first, 0), length)),
        (max(cuts.val - series.first, 0), min(max(cuts.test - series.first, 0), length)),
        (max(cuts.test - series.first, 0), length),
    )
    starts, parts = [], []
    for number, (begin, end) in enumerate(ends):
        last, step = end - horizon - window, horizon if number else apart
        rows = np.arange(last, max(begin - window, 0) - 1, -step)[::-1]
        starts.append(rows)
        parts.append(np.full(len(rows), number, np.int8))
    start, part = np.concatenate(starts).astype(np.int64), np.concatenate(parts)
    lost = np.r_[0, np.cumsum(~series.known)]
    whole = lost[start + window] == lost[start + window + horizon]
    return start[whole], part[whole]


def fill(
    every: Sequence[Series], places: Places, scales: Sequence[Scale], *, window: int, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scaled windows, the scaled values to predict, and the level of each window.

    Shape:
        -> (N, window, F) float32, (N, horizon) float32, (N,) float64 in the target's unit
    """
    count, features = len(places.start), every[0].values.shape[1]
    x = np.empty((count, window, features), np.float32)
    y = np.empty((count, horizon), np.float32)
    level = np.empty(count)
    for number, (series, scale) in enumerate(zip(every, scales, strict=True)):
        mine = np.flatnonzero(places.series == number)
        for rows in np.array_split(mine, len(mine) // 4096 + 1):
            begin = places.start[rows, None]
            x[rows], level[rows] = relative(series.values[begin + np.arange(window)], scale)
            came = series.values[begin + window + np.arange(horizon), 0]
            y[rows] = (came - level[rows, None]) / scale.std[0]
    return x, y, level


def relative(raw: np.ndarray, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Return windows as a model reads them, and their levels.

    Shape:
        (N, W, F) in the columns' own units -> (N, W, F) float32, (N,) float64
    """
    level = raw[:, :, 0].mean(1)
    centred = raw - scale.mean
    centred[:, :, 0] -= level[:, None]
    return (centred / scale.std).astype(np.float32), level


def scale_of(series: Series, cuts: Cuts, *, window: int, season: int) -> Scale:
    """Return the scale of one series by its periods before the first cut.

    The naive error is that of repeating the last value where a season never passes in training, or
    where it repeats itself exactly.
    """
    seen = series.values[: max(cuts.val - series.first, 0)]
    mean, std = seen.mean(0), seen.std(0)
    std[0] = _straying(seen[:, 0], min(window, len(seen)))
    mean[0] = 0.0
    least = 1e-12 * np.maximum(np.abs(seen).max(0), 1e-300)
    return Scale(mean=mean, std=np.where(std > least, std, 1.0), naive=_naive(seen[:, 0], season))


def _straying(history: np.ndarray, window: int) -> float:
    """Return the root mean square of values minus the mean of their window, over all windows."""
    wide = np.r_[0.0, history - history.mean()]
    first, second = np.cumsum(wide), np.cumsum(wide**2)
    means = (first[window:] - first[:-window]) / window
    squares = (second[window:] - second[:-window]) / window
    return float(np.sqrt(max((squares - means**2).mean(), 0.0)))


def _naive(history: np.ndarray, season: int) -> float:
    for steps in (season, 1):
        if len(history) > steps and (error := naive_error(history, steps)) > 0:
            return error
    return 1.0


def naive_error(history: np.ndarray, season: int = 1) -> float:
    """Return the mean absolute error of repeating what came one season ago, in the training part.

    Args:
        history: One series of the training part, longer than a season.
        season: Steps after which the series repeats; 1 repeats the last value.
    """
    wide = history.astype(np.float64)
    return float(np.abs(wide[season:] - wide[:-season]).mean())


def judged(
    predicted: np.ndarray, dataset: Dataset, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return forecasts and truth as the metrics of forecasting take them, in the target's unit.

    Args:
        predicted: What a model answers to these rows, on the scale of `Dataset.y`, (n, H).
        dataset: Of forecasts.
        rows: Of `Dataset.x`, (n,).

    Shape:
        -> (n, H), (n, H + 1) float32; the truth's last column is the naive error of its series
    """
    level = np.load(dataset.folder / LEVELS, allow_pickle=False)[rows, None]
    each = dataset.preprocessing["series"]
    facts = np.array([[series["std"][0], series["naive"]] for series in each])
    std, naive = np.repeat(facts, [s["windows"] for s in each], axis=0)[rows].T[:, :, None]
    truth = np.concatenate([dataset.y[rows] * std + level, naive], axis=1)
    return (predicted * std + level).astype(np.float32), truth.astype(np.float32)


def seasonal_naive(x: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Return the last season of each window, repeated: the forecast that every other should beat.

    A window shorter than a season has its last value repeated.

    Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section
    5.2, https://otexts.com/fpp3/simple-methods.html.

    Args:
        x: Windows, the target being the first feature.
        season: Periods after which the series repeats.
        horizon: Periods to predict.

    Shape:
        (N, W, F) -> (N, horizon), in the unit of `x`
    """
    width = x.shape[1]
    long = season if season <= width else 1
    return x[:, width - long + np.arange(horizon) % long, 0]


def last_value(x: np.ndarray, horizon: int) -> np.ndarray:
    """Return the last value of each window, repeated. (N, W, F) -> (N, horizon), as `x`."""
    return seasonal_naive(x, 1, horizon)
