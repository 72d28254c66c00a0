"""Time series to forecast: a table with a time column, one series or several under each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.names import Note, listed, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.series_calendar import Calendar, repeating
from assay.data.series_long import long_sequences
from assay.data.series_rows import Columns, find_columns, of_series, read_series
from assay.data.table import read_table
from assay.data.windows import LEVELS, Cuts, Places, Scale, Series, cut, fill, place, scale_of
from assay.errors import BadArgumentError, DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["forecast_frame", "forecast_table", "long_sequences"]
HORIZON = 12  # periods to predict where there is no season
LEAST_TRAIN, LEAST_TEST = 10, 2  # windows; one of validation is enough
_SHARE = 12  # the default horizon is at most this part of the usual series


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a forecast sees, what it predicts, and when the series repeats; in periods."""

    window: int
    horizon: int
    season: int


def forecast_table(path: Path, options: Options) -> Source:
    """Return a table of time series as a source.

    Args:
        path: .csv, .tsv or .parquet.
        options: `time` names the time column (else the first one of dates), `target` the column to
            forecast (else the only one of numbers), `series` the one that says which series a row
            belongs to; `window` and `horizon` are in periods.
    """
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda home: _read(path, options, home)
    )


def forecast_frame(
    frame: pd.DataFrame, options: Options, home: Path, *, name: str, where: str, content: str
) -> Raw:
    """Return a table of time series in memory as raw data.

    Args:
        frame: Its rows.
        options: See `forecast_table`.
        home: The folder of the prepared data, which gets the level of each window.
        name: What the user calls it.
        where: Where it came from.
        content: The sha256 of what it was read from.

    Raises:
        BadArgumentError: A named column is not there, or a window does not fit.
        DataError: The rows are no series that can be forecast; the text names rows.
    """
    columns = find_columns(frame, options, where)
    every, calendar, notes = read_series(frame, columns, where, patient=options.skip_bad)
    every, sizes, places, cuts, more = _divided(every, calendar, options, columns, where)
    notes += more
    columns, every, left = _without_constants(frame, columns, every, cuts)
    window, horizon = sizes.window, sizes.horizon
    scales = [scale_of(s, cuts, window=window, season=sizes.season) for s in every]
    x, y, level = fill(every, places, scales, window=window, horizon=horizon)
    np.save(home / LEVELS, level)
    facts = _facts(every, places, scales, sizes, calendar, columns)
    told = (*notes, *left, _on_windows(calendar, sizes, columns), _on_cuts(calendar, cuts, every))
    chosen = [columns.time, *columns.numbers, columns.series, sizes, options.skip_bad]
    return Raw(
        name=name,
        source=where,
        task="forecasting",
        y=y,
        classes=(),
        content=hashlib.sha256(repr(("forecasting", content, chosen)).encode()).hexdigest(),
        groups=np.arange(len(y)),
        fit=lambda _: (x, facts),  # the training periods are known already
        given=places.part,
        ids=_ids(every, places, calendar, window),
        notes=told,
    )


def _read(path: Path, options: Options, home: Path) -> Raw:
    frame = read_table(path)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return forecast_frame(frame, options, home, name=path.stem, where=str(path), content=content)


def _divided(
    every: list[Series], calendar: Calendar, options: Options, columns: Columns, where: str
) -> tuple[list[Series], Sizes, Places, Cuts, tuple[Note, ...]]:
    """Return the series that are long enough, their sizes, windows and cuts."""
    cuts = cut(every)
    sizes = _sizes(every, calendar, options, cuts)
    _check_sizes(sizes)
    short = [s for s in every if not _usable(s, cuts, sizes)]
    if short and not (options.skip_bad and len(short) < len(every)):
        raise DataError(_too_short(short, sizes, cuts, columns, where))
    every = [s for s in every if _usable(s, cuts, sizes)]
    places = place(every, cuts, window=sizes.window, horizon=sizes.horizon)
    counts = np.bincount(places.part, minlength=3)
    if counts[0] < LEAST_TRAIN or counts[1] < 1 or counts[2] < LEAST_TEST:
        raise DataError(
            "A walk-forward division needs windows in each part: "
            f"{LEAST_TRAIN} to train, 1 to validate, {LEAST_TEST} to test. {shown(where)} gives "
            f"{counts[0]:,}, {counts[1]:,} and {counts[2]:,} of {sizes.window} + {sizes.horizon} "
            f"periods; use a smaller --window or --horizon, or give a longer series than "
            f"{max(len(s.values) for s in every):,} periods."
        )
    return every, sizes, places, cuts, (_on_short(short),) if short else ()


def _usable(series: Series, cuts: Cuts, sizes: Sizes) -> bool:
    """Return whether a series holds a window, and a training part that varies."""
    seen = series.values[: max(cuts.val - series.first, 0), 0]
    whole = len(series.values) >= sizes.window + sizes.horizon
    return whole and len(seen) > 1 and bool(np.ptp(seen) > 0)


def _too_short(
    short: Sequence[Series], sizes: Sizes, cuts: Cuts, columns: Columns, where: str
) -> str:
    """Return the sentence on the first series that cannot be used."""
    first, need = short[0], sizes.window + sizes.horizon
    which = f"{shown(columns.target)!r}{of_series(first.name)}"
    also = f", as {len(short) - 1:,} other series" if len(short) > 1 else ""
    more = ", or use --skip-bad, which leaves such series out" if columns.series else ""
    if len(first.values) < need:
        return (
            f"A series must be as long as one window and its horizon, {sizes.window} + "
            f"{sizes.horizon} periods. In {shown(where)} {which} has {len(first.values):,}{also}; "
            f"use a smaller --window or --horizon{more}."
        )
    seen = first.values[: max(cuts.val - first.first, 0), 0]
    if len(seen) < 2:
        return (
            f"A series must begin in the training part. In {shown(where)} {which} begins "
            f"later{also}; remove it{more}."
        )
    return (
        f"A series to forecast must vary. In {shown(where)} {which} is {seen[0]:g} everywhere in "
        f"the training part{also}; choose another with --target{more}."
    )


def _sizes(every: Sequence[Series], calendar: Calendar, options: Options, cuts: Cuts) -> Sizes:
    """Return window, horizon and season: what was asked for, else what the season suggests.

    A window is two horizons and two seasons long at least, unless that takes more than a third of
    the training part.
    """
    lengths = [len(s.values) for s in every]
    seen = [s.values[: max(cuts.val - s.first, 0), 0] for s in every]
    longest = max(seen, key=len)
    season = calendar.season(len(longest))
    if season is None:
        season = repeating(longest) if len(longest) > 3 else 1
    most = max(int(np.median(lengths)) // _SHARE, 1)
    horizon, window = options.horizon, options.window
    if horizon is None:
        horizon = min(season if season > 1 else HORIZON, most)
    if window is None:
        window = max(min(2 * max(horizon, season), len(longest) // 3), 1)
    return Sizes(window=window, horizon=horizon, season=season)


def _check_sizes(sizes: Sizes) -> None:
    for name, value in (("window", sizes.window), ("horizon", sizes.horizon)):
        if value < 1:
            raise BadArgumentError(
                f"`{name}` must be a whole number of periods from 1. Received {value}; choose "
                "another, or leave it out."
            )


def _without_constants(
    frame: pd.DataFrame, columns: Columns, every: list[Series], cuts: Cuts
) -> tuple[Columns, list[Series], tuple[Note, ...]]:
    """Leave out covariates that do not vary in training; note them and what is not numbers."""
    seen = [s.values[: max(cuts.val - s.first, 0)] for s in every]
    varies = np.any([np.ptp(v, axis=0) > 0 for v in seen if len(v)], axis=0)
    varies[0] = True
    kept = tuple(n for n, v in zip(columns.others, varies[1:], strict=True) if v)
    used = {columns.time, columns.target, columns.series, *kept}
    left = [str(name) for name in frame.columns if name not in used]
    every = [
        Series(name=s.name, first=s.first, values=s.values[:, varies], known=s.known) for s in every
    ]
    columns = Columns(time=columns.time, target=columns.target, series=columns.series, others=kept)
    if not left:
        return columns, every, ()
    note = {
        "en": f"Columns left out as constant or not numbers: {listed(left)}.",
        "zh": f"以下列为常量或不是数值，未使用：{listed(left)}。",
    }
    return columns, every, (note,)


def _facts(
    every: Sequence[Series],
    places: Places,
    scales: Sequence[Scale],
    sizes: Sizes,
    calendar: Calendar,
    columns: Columns,
) -> dict[str, Any]:
    """Return the preprocessing: what made windows of rows, and what scaled them."""
    counts = np.bincount(places.series, minlength=len(every))
    series = [
        {
            "name": one.name,
            "mean": scale.mean.tolist(),
            "std": scale.std.tolist(),
            "naive": scale.naive,
            "windows": int(count),
        }
        for one, scale, count in zip(every, scales, counts, strict=True)
    ]
    width = len(columns.numbers)
    return {
        "kind": "sequence",
        "steps": sizes.window,
        "horizon": sizes.horizon,
        "season": sizes.season,
        "columns": columns.numbers,
        "time": {"name": columns.time, **calendar.as_json()},
        "series_column": columns.series,
        "target": {"name": columns.target},
        "series": series,
        "mean": [0.0] * width,  # of windows that are scaled already: see `series_history`
        "std": [1.0] * width,
    }


def _ids(
    every: Sequence[Series], places: Places, calendar: Calendar, window: int
) -> tuple[str, ...]:
    """Return the first period that each window predicts, and its series."""
    return tuple(
        f"{calendar.label(every[s].first + start + window)}{of_series(every[s].name)}"
        for s, start in zip(places.series.tolist(), places.start.tolist(), strict=True)
    )


def _on_windows(calendar: Calendar, sizes: Sizes, columns: Columns) -> Note:
    en, zh = calendar.words
    target = repr(shown(columns.target))
    season = f"a season lasts {sizes.season} {en}" if sizes.season > 1 else "there is no season"
    zh_season = f"季节周期为 {sizes.season} {zh}" if sizes.season > 1 else "无季节周期"
    return {
        "en": f"From {_counted(sizes.window, en)} of {target} the next "
        f"{_counted(sizes.horizon, en)} are predicted; {season}. --window and --horizon change "
        "this.",
        "zh": f"用前 {sizes.window} {zh}预测 {target} 之后的 {sizes.horizon} {zh}；{zh_season}。"
        "可用 --window 与 --horizon 更改。",
    }


def _counted(count: int, plural: str) -> str:
    return f"{count} {plural if count > 1 else plural.removesuffix('s')}"


def _on_cuts(calendar: Calendar, cuts: Cuts, every: Sequence[Series]) -> Note:
    last = max(s.first + len(s.values) for s in every) - 1
    val, test, end = (calendar.label(number) for number in (cuts.val, cuts.test, last))
    return {
        "en": f"Walk forward: training ends before {val}, validation predicts from there up to "
        f"{test}, the test from there to {end}; training sees nothing of either.",
        "zh": f"按时间前推：训练数据止于 {val} 之前，验证从 {val} 预测到 {test} 之前，测试从 "
        f"{test} 预测到 {end}；训练看不到后两段。",
    }


def _on_short(short: Sequence[Series]) -> Note:
    names = listed([s.name for s in short])
    return {
        "en": f"Series left out as too short, constant or not begun in the training part: {names}.",
        "zh": f"以下序列过短、为常量或在训练部分之后才开始，已略去：{names}。",
    }
