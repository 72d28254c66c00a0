"""The latest rows of a series, as a trained model reads them; and its answer as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.names import listed, shown
from assay.data.series_calendar import Calendar
from assay.data.series_rows import Columns, of_series, read_series
from assay.data.windows import Scale, relative
from assay.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class History:
    """The last window of each series.

    Attributes:
        x: Scaled as in training, (S, window, F) float32.
        names: Of the series, "" where there is only one.
        periods: What each forecast is of: S lists of `horizon` labels such as 1960-03.
    """

    x: np.ndarray
    names: tuple[str, ...]
    periods: tuple[tuple[str, ...], ...]
    _levels: np.ndarray  # (S,)
    _stds: np.ndarray

    def forecast(self, answers: np.ndarray) -> np.ndarray:
        """Return a model's answers (S, H) in the target's own unit."""
        return (answers * self._stds[:, None] + self._levels[:, None]).astype(np.float32)


def read_history(
    frame: pd.DataFrame, preprocessing: Mapping[str, Any], *, where: str = "the table"
) -> History:
    """Return the last window of each series in a table like that of training.

    Args:
        frame: With the columns of training; rows before the last window are not used.
        preprocessing: Of a data set of forecasts.
        where: The file, for messages.

    Raises:
        DataError: A column is missing, a series was not in training, or a window is not whole.
    """
    target, *others = preprocessing["columns"]
    time = dict(preprocessing["time"])
    columns = Columns(
        time=time.pop("name"),
        target=target,
        series=preprocessing["series_column"],
        others=tuple(others),
    )
    needed = [columns.time, *columns.numbers, *filter(None, [columns.series])]
    lost = [name for name in needed if name not in frame.columns]
    if lost:
        raise DataError(
            f"A forecast needs the columns of training. {shown(where)} lacks {listed(lost)}; add "
            "them."
        )
    calendar = Calendar(**time)
    every, _, _ = read_series(frame, columns, where, patient=False, calendar=calendar)
    steps, horizon = preprocessing["steps"], preprocessing["horizon"]
    known = {one["name"]: one for one in preprocessing["series"]}
    windows, levels, stds = [], [], []
    for series in every:
        if len(series.values) < steps:
            raise DataError(
                f"A forecast needs the last {steps} periods. In {shown(where)} "
                f"{shown(target)!r}{of_series(series.name)} has {len(series.values):,}; add "
                "earlier rows."
            )
        facts = known.get(series.name)
        if facts is None:
            raise DataError(
                "A forecast needs a series of the training part, which says how large its values "
                f"are. {shown(where)} has {series.name!r}.{nearest(series.name, list(known))} It "
                f"may have {listed(sorted(known))}."
            )
        mean, std = np.array(facts["mean"]), np.array(facts["std"])
        scale = Scale(mean=mean, std=std, naive=facts["naive"])
        window, level = relative(series.values[None, -steps:], scale)
        windows.append(window[0])
        levels.append(level[0])
        stds.append(std[0])
    ends = [series.first + len(series.values) for series in every]
    return History(
        x=np.stack(windows),
        names=tuple(series.name for series in every),
        periods=tuple(tuple(calendar.label(end + at) for at in range(horizon)) for end in ends),
        _levels=np.array(levels),
        _stds=np.array(stds),
    )
