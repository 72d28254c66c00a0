"""Sequences under each other in one table: a column says to which sequence a row belongs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.arrays import target_facts
from assay.data.encode import fit_sequences
from assay.data.labels import read_target
from assay.data.named import read_named
from assay.data.names import Note, listed, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.series_rows import series_ids
from assay.data.split import Named, Role, groups_of
from assay.data.table import read_table
from assay.errors import BadArgumentError, DataError, nearest

if TYPE_CHECKING:
    import pandas as pd


def long_sequences(path: Path, options: Options) -> Source:
    """Return a table of labelled sequences as a source.

    Args:
        path: .csv, .tsv or .parquet.
        options: `series` names the column of ids and `target` that of the label, which is the same
            in all rows of a sequence; `time` the column that orders them (else the order of the
            rows); `window` keeps the last so many steps of each; `group` keeps sequences together.
    """
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read(path, options)
    )


def _read(path: Path, options: Options) -> Raw:
    frame, where = read_table(path), shown(path)
    _check_columns(frame, options, where)
    ids = str(options.series)
    codes, names, order = _ordered(frame, ids, options.time, where)
    counts = np.bincount(codes)
    firsts = np.r_[0, np.cumsum(counts)[:-1]]
    keep = _steps(counts, names, options, where)
    kept, notes = _features(frame, options, where)
    x = _last(_numbers(frame, kept, where), order, counts, keep)
    label = _constant(frame, str(options.target), order, firsts, codes, names, where)
    target = read_target(
        label, kind="sequence", task=options.task, where=where, what=f"Column {options.target!r}"
    )
    named: dict[Role, Named] = {}
    if options.group is not None:
        group = _constant(frame, options.group, order, firsts, codes, names, where)
        named = {"group": read_named(group, "group", name=options.group, where=where)}
    if keep < counts.max():
        notes = (*notes, _on_cropped(keep, int((counts > keep).sum())))
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    content.update(repr((ids, options.target, options.time, options.group, keep)).encode())
    return Raw(
        name=path.stem,
        source=str(path),
        task=target.task,
        y=target.y,
        classes=target.classes,
        content=content.hexdigest(),
        groups=groups_of(x),
        fit=partial(_fit, x, target.y, options, kept),
        ids=tuple(names),
        notes=notes,
        named=named,
    )


def read_long(
    frame: pd.DataFrame, preprocessing: Mapping[str, Any], where: str
) -> tuple[np.ndarray, list[str]]:
    """Return the last steps of each sequence in a table like that of training, and their names.

    Args:
        frame: With the columns of training; that of the label may be missing.
        preprocessing: Of a data set of long sequences.
        where: The file, for messages.

    Shape:
        -> (N, T, F) float64

    Raises:
        DataError: A column or a step is missing, or a value is no finite number.
    """
    ids, time, kept = (preprocessing[key] for key in ("series_column", "time_column", "columns"))
    lost = [name for name in (ids, time, *kept) if name and name not in frame.columns]
    if lost:
        raise DataError(
            f"A table to predict needs the columns of training. {where} lacks {listed(lost)}; add "
            "them."
        )
    texts = [name for name in kept if frame[name].dtype.kind not in "iufb"]
    if texts:
        raise DataError(
            f"Column {shown(texts[0])!r} must hold numbers, as in training. In {where} it holds "
            "other values; correct them."
        )
    codes, names, order = _ordered(frame, ids, time, where)
    counts, steps = np.bincount(codes), preprocessing["steps"]
    short = int(np.argmin(counts))
    if counts[short] < steps:
        raise DataError(
            f"Every sequence must have {steps:,} steps, as in training. In {where} "
            f"{names[short]!r} has {counts[short]:,}; add steps, or remove it."
        )
    return _last(_numbers(frame, kept, where), order, counts, steps), names


def _ordered(
    frame: pd.DataFrame, ids: str, time: str | None, where: str
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return each row's sequence, the sequences' names, and the rows sequence by sequence."""
    codes, names = series_ids(frame, ids, where)
    if time is None:
        return codes, names, np.argsort(codes, kind="stable")
    times = read_named(frame[time], "time", name=time, where=where).values
    order = np.lexsort((times, codes))
    _refuse_twice(order, codes, times, frame, ids, time, where)
    return codes, names, order


def _last(features: np.ndarray, order: np.ndarray, counts: np.ndarray, keep: int) -> np.ndarray:
    """Return the last steps of each sequence, (N, T, F)."""
    ends = np.cumsum(counts)
    return np.ascontiguousarray(features[order[(ends - keep)[:, None] + np.arange(keep)]])


def _fit(
    x: np.ndarray, y: np.ndarray, options: Options, kept: list[str], train: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    stored, facts = fit_sequences(x, train)
    return stored, {
        **facts,
        "target": target_facts(str(options.target), y, train),
        "columns": kept,
        "series_column": options.series,
        "time_column": options.time,
    }


def _check_columns(frame: pd.DataFrame, options: Options, where: str) -> None:
    names = [str(name) for name in frame.columns]
    asked = {
        "series": options.series,
        "target": options.target,
        "time": options.time,
        "group": options.group,
    }
    for role, name in asked.items():
        if name is None and role in ("time", "group"):
            continue
        if name not in names:
            received = "nothing" if name is None else repr(shown(name))
            hint = nearest(name, names) if name else ""
            raise BadArgumentError(
                f"`{role}` must name a column of {where}. Received {received}.{hint} It has "
                f"{listed(names)}."
            )
    named = [name for name in asked.values() if name is not None]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise BadArgumentError(
            "`series`, `target`, `time` and `group` must be different columns. Received "
            f"{shown(twice)!r} twice; name another."
        )


def _refuse_twice(
    order: np.ndarray,
    codes: np.ndarray,
    times: np.ndarray,
    frame: pd.DataFrame,
    ids: str,
    time: str,
    where: str,
) -> None:
    same = (np.diff(codes[order]) == 0) & (np.diff(times[order]) == 0)
    if same.any():
        at = int(np.argmax(same))
        first, second = sorted((int(order[at]), int(order[at + 1])))
        name = shown(frame[ids].iloc[first], most=40)
        raise DataError(
            f"A sequence may have one row for each time. In {where} rows {first + 1} and "
            f"{second + 1} of {name!r} have the same {shown(time)!r}, and "
            f"{int(same.sum()) - 1:,} more; keep one of them."
        )


def _steps(counts: np.ndarray, names: list[str], options: Options, where: str) -> int:
    """Return how many steps of each sequence are kept.

    Raises:
        BadArgumentError: `window` is not positive.
        DataError: The lengths differ and nobody said how to cut them, or one is too short.
    """
    if options.window is not None and options.window < 1:
        raise BadArgumentError(
            f"`window` must be a whole number of steps from 1. Received {options.window}; choose "
            "another, or leave it out."
        )
    short, long = int(np.argmin(counts)), int(np.argmax(counts))
    if options.window is None and counts[short] < counts[long]:
        raise DataError(
            f"Sequences must have the same length. In {where} {names[short]!r} has "
            f"{counts[short]:,} steps and {names[long]!r} has {counts[long]:,}; cut them, or use "
            f"--window {counts[short]} to keep the last {counts[short]:,} of each."
        )
    keep = options.window or int(counts[long])
    if counts[short] < keep:
        raise DataError(
            f"Every sequence must have the {keep:,} steps that `window` keeps. In {where} "
            f"{names[short]!r} has {counts[short]:,}; use --window {counts[short]}, or remove the "
            "shorter ones."
        )
    return keep


def _features(
    frame: pd.DataFrame, options: Options, where: str
) -> tuple[list[str], tuple[Note, ...]]:
    """Return the columns of numbers that vary, and a note on the others.

    Raises:
        DataError: There are none.
    """
    apart = {options.series, options.target, options.time, options.group}
    rest = [str(name) for name in frame.columns if name not in apart]
    kept = [n for n in rest if frame[n].dtype.kind in "iufb" and frame[n].nunique(dropna=False) > 1]
    left = [name for name in rest if name not in kept]
    if not kept:
        raise DataError(
            f"A sequence needs at least one column of numbers that vary. {where} has none besides "
            f"{listed(sorted(filter(None, apart)))}; add columns."
        )
    if not left:
        return kept, ()
    note = {
        "en": f"Columns left out as constant or not numbers: {listed(left)}.",
        "zh": f"以下列为常量或不是数值，未使用：{listed(left)}。",
    }
    return kept, (note,)


def _numbers(frame: pd.DataFrame, kept: list[str], where: str) -> np.ndarray:
    """Return the columns (rows, F).

    Raises:
        DataError: A number is missing or infinite.
    """
    values = frame[kept].to_numpy(dtype=np.float64, na_value=np.nan)
    lost = ~np.isfinite(values)
    if lost.any():
        row, at = (int(place) for place in np.argwhere(lost)[0])
        raise DataError(
            f"The steps of a sequence must be finite numbers. In {where} {int(lost.sum()):,} cells "
            f"are missing or infinite, first in row {row + 1} of {shown(kept[at])!r}; fill them "
            "in, or remove the sequence."
        )
    return values


def _constant(
    frame: pd.DataFrame,
    name: str,
    order: np.ndarray,
    firsts: np.ndarray,
    codes: np.ndarray,
    names: list[str],
    where: str,
) -> np.ndarray:
    """Return the value of a column for each sequence.

    Raises:
        DataError: It changes within a sequence.
    """
    column = frame[name]
    first = column.iloc[order[firsts]].reset_index(drop=True)
    expected = first.iloc[codes].reset_index(drop=True)
    given = column.reset_index(drop=True)
    wrong = ((given != expected) & (given.notna() | expected.notna())).to_numpy(dtype=bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        which = names[int(codes[row])]
        raise DataError(
            f"Column {shown(name)!r} must be the same in all rows of a sequence. In {where} row "
            f"{row + 1} of {which!r} has {shown(given.iloc[row], most=40)!r} after "
            f"{shown(expected.iloc[row], most=40)!r}; correct it, or use --task forecasting to "
            "predict what comes next."
        )
    if first.dtype.kind in "iufb":
        return np.asarray(first.to_numpy(dtype=bool if first.dtype.kind == "b" else np.float64))
    return np.array([None if v != v else str(v) for v in first.astype(object)], object)


def _on_cropped(keep: int, count: int) -> Note:
    return {
        "en": f"The last {keep:,} steps of each sequence are kept; {count:,} are longer.",
        "zh": f"每条序列只保留最后 {keep:,} 步；其中 {count:,} 条更长。",
    }
