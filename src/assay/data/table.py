"""Tables: .csv, .tsv and .parquet, with a column to predict."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.arrays import memory_limit, target_facts
from assay.data.encode import LEVELS, fit_table
from assay.data.labels import FEW, read_target
from assay.data.named import read_named
from assay.data.names import Note, listed, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.split import Named, Role
from assay.errors import BadArgumentError, DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 10_000
LONGEST_LINE = 16 * 2**20  # bytes
LARGEST_CELL = 131_072  # characters
NUMERIC = 0.9  # of a text column's cells are numbers: the others are mistakes
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+\Z")


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How a text table is written."""

    delimiter: str
    decimal: str
    header: tuple[str, ...]
    rows: int


def table_file(path: Path, options: Options) -> Source:
    """Return a table as a source.

    Raises:
        BadArgumentError: No target was named.
    """
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read(path, options)
    )


def read_table(path: Path) -> pd.DataFrame:
    """Return every row of a table, checked.

    Raises:
        DataError: It cannot be read as a table; the text names the row or column.
    """
    try:
        if not path.stat().st_size:
            raise DataError(f"{shown(path)} is empty (0 bytes); give a header and rows.")
        if path.stat().st_size > memory_limit():
            raise DataError(
                f"{shown(path)} has {path.stat().st_size:,} bytes. A quarter of this machine's "
                f"memory, {memory_limit():,} bytes, is the limit; give a sample of its rows."
            )
        frame = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    except OSError as error:
        raise DataError(
            f"{shown(path)} cannot be read ({error.strerror or shown(error)}); allow reading it."
        ) from error
    if not len(frame):
        raise DataError(f"{shown(path)} has a header and no rows; add rows.")
    return frame


def _read(path: Path, options: Options) -> Raw:
    import pandas as pd

    from assay.data.recognise import OF_TEXT, refuse
    from assay.data.text_table import is_text_table, read_text_table

    frame = read_table(path)
    if is_text_table(frame, options):
        return read_text_table(frame, path, options)
    refuse(options, OF_TEXT, shown(path))
    if len(frame.columns) < 2:
        raise DataError(
            f"A table needs the target and at least one column more. {shown(path)} has one column, "
            f"{shown(frame.columns[0], most=60)!r}; separate the cells by commas, semicolons or "
            "tabs."
        )
    name = _target_name(path, list(frame.columns), options.target)
    column = frame[name]
    where = shown(path)
    if options.task is None:
        _refuse_nearly_regression(column, path)
    values = label_values(column)
    target = read_target(
        values, kind="table", task=options.task, where=where, what=f"Column {shown(name)!r}"
    )
    named = named_columns(frame, options, target=name, path=path)
    apart = {column.name for column in named.values()}
    features, notes = _usable(frame.drop(columns=[name, *sorted(apart)]), path)
    rows = pd.util.hash_pandas_object(features, index=False).to_numpy()
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    content.update(repr(("target", name, *options.named)).encode())
    names = [str(column) for column in features.columns]
    return Raw(
        name=path.stem,
        source=str(path),
        task=target.task,
        y=target.y,
        classes=target.classes,
        content=content.hexdigest(),
        groups=np.unique(rows, return_inverse=True)[1].astype(np.int64),
        fit=lambda train: fit_table(
            features, train, names=names, target=target_facts(name, target.y, train)
        ),
        ids=tuple(f"row {at + 1}" for at in range(len(frame))),
        notes=notes,
        named=named,
    )


def named_columns(
    frame: pd.DataFrame, options: Options, *, target: str, path: Path
) -> dict[Role, Named]:
    """Return the columns that decide the division.

    Args:
        frame: The table.
        options: What was chosen.
        target: The column to predict.
        path: The file, for messages.

    Raises:
        BadArgumentError: A column is not there.
    """
    named: dict[Role, Named] = {}
    asked: tuple[tuple[Role, str | None], ...] = (("group", options.group), ("time", options.time))
    for role, name in asked:
        if name is None:
            continue
        rest = [str(column) for column in frame.columns if column != target]
        if name not in rest:
            raise BadArgumentError(
                f"`{role}` must name a column of {shown(path)} besides the target. Received "
                f"{shown(name)!r}.{nearest(name, rest)} It has {listed(rest)}."
            )
        named[role] = read_named(frame[name], role, name=name, where=shown(path))
    return named


def _target_name(path: Path, columns: list[str], target: str | None) -> str:
    if target in columns:
        return str(target)
    hint = nearest(target, columns) if target else ""
    received = "nothing" if target is None else repr(shown(target))
    raise BadArgumentError(
        f"`target` must name the column to predict in {shown(path)}. Received {received}.{hint} "
        f"It has {listed(columns)}; choose one with --target."
    )


def label_values(column: pd.Series[Any]) -> np.ndarray:
    """Return numbers as float64 or bool, everything else as strings, None where missing.

    Args:
        column: The target.
    """
    if column.dtype.kind == "b":
        return column.to_numpy(dtype=bool)
    if column.dtype.kind in "iuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    lost = column.isna()
    return np.array([None if n else str(v) for v, n in zip(column, lost, strict=True)], object)


def _usable(frame: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """Return the columns that a model can use, and a note on the others."""
    left_out: list[str] = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "iuf":
            _refuse_infinite(column, path)
        elif column.dtype.kind != "b":
            _refuse_nearly_numbers(column, path)
        if _useless(column):
            left_out.append(str(name))
    kept = frame.drop(columns=left_out)
    if not len(kept.columns):
        forecast = any(map(_is_dates, (frame[name] for name in frame.columns)))
        raise DataError(
            f"{shown(path)} has no column to learn from besides the target. Constant columns, "
            f"dates and free text are not used: {listed(left_out) or 'there are no others'}; add "
            f"columns{', or forecast the target with --task forecasting' if forecast else ''}."
        )
    if not left_out:
        return kept, ()
    note = {
        "en": f"Columns left out as constant, dates or free text: {listed(left_out)}.",
        "zh": f"以下列为常量、日期或自由文本，未使用：{listed(left_out)}。",
    }
    return kept, (note,)


def _is_dates(column: pd.Series[Any]) -> bool:
    import pandas as pd

    if column.dtype.kind in "iufbm":
        return False
    found = pd.to_datetime(column.astype(str), format="ISO8601", utc=True, errors="coerce")
    return bool(found.notna().all())


def _useless(column: pd.Series[Any]) -> bool:
    if column.dtype.kind in "mM":  # dates and durations
        return True
    different = column.nunique(dropna=False)
    if different < 2:
        return True
    return column.dtype.kind not in "iufb" and different > max(LEVELS, len(column) / 2)


def _refuse_infinite(column: pd.Series[Any], path: Path) -> None:
    infinite = np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if infinite.any():
        raise DataError(
            f"Column {shown(column.name)!r} of {shown(path)} must hold finite numbers. Row "
            f"{int(np.argmax(infinite)) + 1} is infinite or too large; correct it or leave the "
            "cell empty."
        )


def _refuse_nearly_numbers(column: pd.Series[Any], path: Path) -> None:
    """Refuse text in a column of numbers; it would silently make a category of every number."""
    found = _text_among_numbers(column)
    if found:
        raise DataError(
            f"Column {shown(column.name)!r} of {shown(path)} must hold numbers, as nearly all of "
            f"it does. Row {found[0]} has {shown(found[1], most=40)!r}; correct it or "
            "leave the cell empty."
        )


def _refuse_nearly_regression(column: pd.Series[Any], path: Path) -> None:
    """Refuse text in a target of many numbers; it would silently make a class of every number."""
    found = None if column.dtype.kind in "iufb" else _text_among_numbers(column)
    if found and column.nunique() > FEW:
        raise DataError(
            f"Column {shown(column.name)!r} of {shown(path)} must hold numbers, as nearly all of "
            f"it does. Row {found[0]} has {shown(found[1], most=40)!r}; correct it, or use "
            "--task tabular-classification."
        )


def _text_among_numbers(column: pd.Series[Any]) -> tuple[int, Any] | None:
    """Return row and value of the first text in a column of nearly nothing but numbers."""
    import pandas as pd

    if column.dtype.kind in "mM":
        return None
    present = column.dropna()
    wrong = pd.to_numeric(present, errors="coerce").isna()
    if not len(present) or not 0 < wrong.sum() <= (1 - NUMERIC) * len(present):
        return None
    at = int(np.argmax(wrong.to_numpy()))
    return int(np.flatnonzero(column.notna())[at]) + 1, present.iloc[at]


def _parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            facts, names = file.metadata, list(file.schema_arrow.names)
            _check_header(path, names)
            _check_parquet_size(path, facts.num_rows * len(names) * 8)
            nested = [f.name for f in file.schema_arrow if pa.types.is_nested(f.type)]
            if nested:
                raise DataError(
                    f"The columns of {shown(path)} must hold single values. {listed(nested)} hold "
                    "lists or structures; flatten or remove them."
                )
            frame: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
            return frame
    except (OSError, ValueError, KeyError, NotImplementedError, pa.ArrowException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{shown(path)} cannot be read as Parquet ({shown(error, most=80)}); write it again."
        ) from error


def _check_parquet_size(path: Path, size: int) -> None:
    if size > memory_limit():
        raise DataError(
            f"{shown(path)} unpacks to {size:,} bytes or more. A quarter of this machine's memory, "
            f"{memory_limit():,} bytes, is the limit; give a sample of its rows."
        )


def _text(path: Path) -> pd.DataFrame:
    """Read a text table: every line is checked first, since readers fill short ones silently."""
    import pandas as pd

    form = _form(path)
    try:
        frame = pd.read_csv(
            path,
            sep=form.delimiter,
            decimal=form.decimal,
            encoding="utf-8-sig",
            index_col=False,
            low_memory=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(
            f"{shown(path)} cannot be read as a table ({shown(error, most=80)}); write it again."
        ) from error
    if len(frame) != form.rows:
        raise DataError(
            f"{shown(path)} reads as {len(frame):,} rows in one way and {form.rows:,} in another; "
            "write it again with plain line ends and quotes."
        )
    frame.columns = pd.Index(form.header)
    return frame


def _form(path: Path) -> _Form:
    """Walk through the whole file once and return how it is written.

    Raises:
        DataError: A line is not text, has another number of cells than the header, or is broken.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(path)
    reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    commas, rows, header = Counter[bool](), 0, None
    try:
        for cells in reader:
            if not cells or (
                len(cells) == 1 and not cells[0].strip() and header and len(header) > 1
            ):
                continue
            if header is None:
                header = cells
                _check_header(path, header)
                continue
            rows += 1
            if len(cells) != len(header):
                raise DataError(
                    f"Every row of {shown(path)} must have {len(header)} cells, like its header. "
                    f"Line {reader.line_num} has {len(cells)}; correct or quote it."
                )
            if delimiter != "," and rows <= 1000:
                commas.update(bool(DECIMAL_COMMA.match(cell)) for cell in cells)
    except csv.Error as error:
        raise DataError(
            f"Line {reader.line_num} of {shown(path)} cannot be read ({shown(error)}): a quote is "
            f"not closed, or a cell is longer than {LARGEST_CELL:,} characters; correct it."
        ) from error
    if header is None:
        raise DataError(f"{shown(path)} holds only empty lines; give a header and rows.")
    decimal = "," if commas[True] else "."
    return _Form(delimiter=delimiter, decimal=decimal, header=tuple(header), rows=rows)


def _delimiter(path: Path) -> str:
    """Return the separator that the header uses most."""
    first = next(_lines(path), "")
    bare = re.sub(r'"[^"]*"', "", first)
    return max(",;\t|", key=bare.count)


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines as text, none of unbounded length.

    Raises:
        DataError: A line is not UTF-8, holds a NUL, or is too long.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if number == 1:
                line = _without_mark(path, line)
            if b"\0" in line:
                raise DataError(
                    f"{shown(path)} must be text. Line {number} holds a NUL byte; save the table "
                    "as UTF-8."
                )
            if len(line) > LONGEST_LINE:
                raise DataError(
                    f"A line of {shown(path)} may have {LONGEST_LINE:,} bytes. Line {number} has "
                    "more; check that it is a table."
                )
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{shown(path)} must be UTF-8. Line {number} is not, at byte "
                    f"{error.start + 1}; save the table as UTF-8."
                ) from error


def _without_mark(path: Path, line: bytes) -> bytes:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{shown(path)} must be UTF-8. It is UTF-16; save the table as UTF-8.")
    return line.removeprefix(b"\xef\xbb\xbf")


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) > MOST_COLUMNS:
        raise DataError(
            f"A table may have {MOST_COLUMNS:,} columns. {shown(path)} has {len(header):,}; keep "
            "the ones that matter, or give them as an array in a .npz."
        )
    empty = [at + 1 for at, name in enumerate(header) if not name.strip()]
    if empty:
        raise DataError(
            f"Every column needs a name. Column {empty[0]} of {shown(path)} has none; name it or "
            "remove it."
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(
            f"Column names must differ. {shown(path)} has {listed(twice)} more than once; rename "
            "them."
        )
