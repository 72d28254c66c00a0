"""From the rows of a table to time series: which column is what, in order, without gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.named import read_named
from assay.data.names import Note, listed, shown
from assay.data.prepare import Options
from assay.data.series_calendar import Calendar, find_calendar
from assay.data.windows import Series
from assay.errors import BadArgumentError, DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

SPARSE = 10  # periods for a row, at most, where missing ones are filled


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column is what.

    Attributes:
        time: When.
        target: To forecast.
        series: To which series a row belongs; None for one series.
        others: Further numbers, seen up to the moment of the forecast.
    """

    time: str
    target: str
    series: str | None
    others: tuple[str, ...]

    @property
    def numbers(self) -> list[str]:
        """The columns of a window, the target first."""
        return [self.target, *self.others]


def find_columns(frame: pd.DataFrame, options: Options, where: str) -> Columns:
    """Return which column is what.

    Raises:
        BadArgumentError: A named column is not there, or none was named and none is clear.
    """
    if options.group is not None:
        raise BadArgumentError(
            f"`group` keeps examples together, which time does for a forecast. Received "
            f"{shown(options.group)!r}; name a column of several series with --series instead."
        )
    names = [str(name) for name in frame.columns]
    asked = {"time": options.time, "target": options.target, "series": options.series}
    for role, name in asked.items():
        if name is not None and name not in names:
            raise BadArgumentError(
                f"`{role}` must name a column of {shown(where)}. Received {shown(name)!r}."
                f"{nearest(name, names)} It has {listed(names)}."
            )
    named = [name for name in asked.values() if name is not None]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise BadArgumentError(
            "`time`, `target` and `series` must be different columns. Received "
            f"{shown(twice)!r} twice; name another."
        )
    time = options.time or _first_of_dates(frame, named, where)
    rest = [name for name in names if name not in (time, options.series)]
    target = options.target or _only_of_numbers(frame, rest, where)
    others = [
        n for n in rest if n != target and frame[n].dtype.kind in "iuf" and frame[n].notna().any()
    ]
    return Columns(time=time, target=target, series=options.series, others=tuple(others))


def _first_of_dates(frame: pd.DataFrame, named: Sequence[str], where: str) -> str:
    import pandas as pd

    for name in map(str, frame.columns):
        column = frame[name]
        if name in named or column.dtype.kind in "iufbm":
            continue
        if column.dtype.kind == "M":
            return name
        found = pd.to_datetime(column.astype(str), format="ISO8601", utc=True, errors="coerce")
        if found.notna().all():
            return name
    raise BadArgumentError(
        f"A forecast needs a column of times besides the target. In {shown(where)} none holds only "
        f"dates of ISO 8601 such as 2024-03-31; it has {listed(list(frame.columns))}: choose one "
        "with --time."
    )


def _only_of_numbers(frame: pd.DataFrame, names: Sequence[str], where: str) -> str:
    found = [name for name in names if frame[name].dtype.kind in "iuf"]
    if len(found) == 1:
        return found[0]
    raise BadArgumentError(
        f"`target` must name the column to forecast in {shown(where)}. Received nothing, and "
        f"{len(found) or 'no'} columns hold numbers: {listed(found or names)}; choose one with "
        "--target."
    )


def read_series(
    frame: pd.DataFrame,
    columns: Columns,
    where: str,
    *,
    patient: bool,
    calendar: Calendar | None = None,
) -> tuple[list[Series], Calendar, tuple[Note, ...]]:
    """Return every series in order of time, on one calendar.

    Args:
        frame: Of every row.
        columns: Which column is what.
        where: The file, for messages.
        patient: Whether missing periods are filled with the value before, not refused.
        calendar: Of the training; None finds it.

    Raises:
        DataError: Numbers, times or periods are wrong or missing.
    """
    values = np.column_stack([_numbers(frame[name], where) for name in columns.numbers])
    times = read_named(frame[columns.time], "time", name=columns.time, where=shown(where)).values
    codes, names = np.zeros(len(frame), np.int64), [""]
    if columns.series is not None:
        codes, names = series_ids(frame, columns.series, where)
    order = np.lexsort((times, codes))
    told = () if _in_time(times, codes) else (_SORTED,)
    bounds = np.flatnonzero(np.diff(codes[order], prepend=-1))
    pieces = np.split(order, bounds[1:])
    calendar = calendar or find_calendar(
        [times[rows] for rows in pieces], name=columns.time, where=shown(where)
    )
    numbers = calendar.numbers(times)
    _refuse_between(frame, numbers, calendar, columns, where)
    _refuse_twice(pieces, numbers, names, calendar, where)
    if not patient:
        _refuse_missing(pieces, numbers, values, names, calendar, columns, where)
    every: list[Series] = []
    filled = 0
    for name, rows in zip(names, pieces, strict=True):
        _refuse_sparse(name, numbers[rows], columns, where)
        _refuse_empty(name, values[rows], columns, where)
        series, added = _without_gaps(name, numbers[rows], values[rows])
        every.append(series)
        filled += added
    return every, calendar, (*told, *((_on_filled(filled),) if filled else ()))


def series_ids(frame: pd.DataFrame, name: str, where: str) -> tuple[np.ndarray, list[str]]:
    """Return to which series each row belongs (N,), and the names of the series.

    Args:
        frame: Of every row.
        name: Of the column.
        where: The file, for messages.

    Raises:
        DataError: A row belongs to none.
    """
    import pandas as pd

    ids = frame[name]
    lost = ids.isna().to_numpy()
    if lost.any():
        raise DataError(
            f"`series` must be known for every row. In {shown(where)} {shown(name)!r} is missing "
            f"in {int(lost.sum()):,} of {len(ids):,} rows, first in row "
            f"{int(np.argmax(lost)) + 1}; fill it in or remove those rows."
        )
    codes, found = pd.factorize(ids)
    names = [shown(one, most=5000) for one in found]
    if len(set(names)) < len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise DataError(
            f"Different series must have different names. In {shown(where)} two of {shown(name)!r} "
            f"are written {shown(twice)!r}; rename one."
        )
    return codes.astype(np.int64), names


def _in_time(times: np.ndarray, codes: np.ndarray) -> bool:
    """Return whether the rows of each series are in order of time, however series alternate."""
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order]) == 0
    return bool((np.diff(times[order])[same] >= 0).all())


def _numbers(column: pd.Series[Any], where: str) -> np.ndarray:
    """Return a column as float64, NaN where it is missing."""
    import pandas as pd

    if column.dtype.kind in "iuf":
        found = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        wrong = np.isinf(found)
    else:
        found = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(np.float64)
        wrong = np.isnan(found) & column.notna().to_numpy()
        wrong |= column.dtype.kind in "bmM"
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"Column {shown(column.name)!r} of {shown(where)} must hold numbers to be forecast. "
            f"Row {at + 1} has {shown(column.iloc[at], most=40)!r}; correct it or choose another "
            "with --target."
        )
    return found


def _refuse_between(
    frame: pd.DataFrame, numbers: np.ndarray, calendar: Calendar, columns: Columns, where: str
) -> None:
    wrong = numbers < -(2**62)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"The times of a series must be the same distance apart. In {shown(where)} most are "
            f"{_distance(calendar)} apart, and row {at + 1} of {shown(columns.time)!r}, "
            f"{shown(frame[columns.time].iloc[at], most=40)}, lies between two steps; resample "
            "the series."
        )


def _distance(calendar: Calendar) -> str:
    if not calendar.dated:
        return f"{calendar.step:g}"
    seconds = calendar.step / 1e6
    days, rest = divmod(seconds, 86_400)
    return f"{days:g} days" if days and not rest else f"{seconds:g} seconds"


def _refuse_twice(
    pieces: Sequence[np.ndarray],
    numbers: np.ndarray,
    names: Sequence[str],
    calendar: Calendar,
    where: str,
) -> None:
    for name, rows in zip(names, pieces, strict=True):
        same = np.flatnonzero(np.diff(numbers[rows]) == 0)
        if len(same):
            first, second = sorted((int(rows[same[0]]), int(rows[same[0] + 1])))
            label = calendar.label(int(numbers[first]))
            more = f", and {len(same) - 1:,} more are double" if len(same) > 1 else ""
            raise DataError(
                f"A series may have one row for each period. In {shown(where)} rows {first + 1} "
                f"and {second + 1} are both of {label}{of_series(name)}{more}; keep one of "
                "them, or name the column of several series with --series."
            )


def _refuse_missing(
    pieces: Sequence[np.ndarray],
    numbers: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    calendar: Calendar,
    columns: Columns,
    where: str,
) -> None:
    """Refuse gaps: periods without a row, and rows without a value."""
    absent = sum(int((np.diff(numbers[rows]) - 1).sum()) for rows in pieces)
    for name, rows in zip(names, pieces, strict=True):
        gaps = np.flatnonzero(np.diff(numbers[rows]) > 1)
        if len(gaps):
            row = int(rows[gaps[0]])
            label = calendar.label(int(numbers[row]) + 1)
            raise DataError(
                f"A series must have a row for each period. In {shown(where)} {_are(absent)} "
                f"missing, first {label}{of_series(name)} after row {row + 1}; add rows, or use "
                "--skip-bad, which fills what a forecast sees with the value before and predicts "
                "none of them."
            )
    lost = np.isnan(values)
    if lost.any():
        row, at = (int(place) for place in np.argwhere(lost)[0])
        raise DataError(
            f"A series must have a value in each row. In {shown(where)} {_are(int(lost.sum()))} "
            f"missing, first in row {row + 1} of {shown(columns.numbers[at])!r}; fill them in, or "
            "use --skip-bad, which fills what a forecast sees with the value before and predicts "
            "none of them."
        )


def _are(count: int) -> str:
    return "1 is" if count == 1 else f"{count:,} are"


def _refuse_sparse(name: str, numbers: np.ndarray, columns: Columns, where: str) -> None:
    """Refuse to fill far more than is there, as after a date of another century."""
    periods = int(numbers[-1] - numbers[0]) + 1
    if periods > SPARSE * len(numbers):
        raise DataError(
            f"A series must have a row for at least one in {SPARSE} periods. In {shown(where)} "
            f"{shown(columns.target)!r}{of_series(name)} has {len(numbers):,} rows for {periods:,} "
            "periods; correct its times, or resample it to longer periods."
        )


def _refuse_empty(name: str, values: np.ndarray, columns: Columns, where: str) -> None:
    known = (~np.isnan(values)).any(axis=0)
    if not known.all():
        column = columns.numbers[int(np.argmin(known))]
        raise DataError(
            f"A series must have a known value in each column. In {shown(where)} "
            f"{shown(column)!r}{of_series(name)} has none; remove the series or the column."
        )


def _without_gaps(name: str, numbers: np.ndarray, values: np.ndarray) -> tuple[Series, int]:
    """Return the series from where every column has been known once, and how many are filled."""
    length = int(numbers[-1] - numbers[0]) + 1
    wide = np.full((length, values.shape[1]), np.nan)
    wide[numbers - numbers[0]] = values
    known = ~np.isnan(wide)
    last = np.maximum.accumulate(np.where(known, np.arange(length)[:, None], 0), axis=0)
    begin = int(known.argmax(axis=0).max())
    series = Series(
        name=name,
        first=int(numbers[0]) + begin,
        values=np.take_along_axis(wide, last, axis=0)[begin:],
        known=known[begin:, 0],
    )
    return series, int((~known[begin:]).sum())


def of_series(name: str) -> str:
    """Return the id of one of several series in brackets, for messages."""
    return f" ({name})" if name else ""


def _on_filled(count: int) -> Note:
    return {
        "en": f"Missing values: {count:,}; what a forecast sees is filled with the value before, "
        "none of them is predicted.",
        "zh": f"缺失值 {count:,} 个：输入部分用前一个值填补，但不作为预测目标。",
    }


_SORTED: Note = {
    "en": "The rows were not in order of time; they are sorted.",
    "zh": "各行未按时间排序；已排序。",
}
