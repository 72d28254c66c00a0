"""Texts to be answered, from files of the user's: plain text, JSON lines, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.data.json_lines import objects
from assay.data.names import listed, shown
from assay.data.pairs import SIDES
from assay.data.table import read_table
from assay.data.text import TextFile, clean
from assay.data.text_names import TEXTS, TEXTS_ZH, by_name
from assay.data.text_table import is_free_text
from assay.errors import BadArgumentError, DataError

TABLES = (".csv", ".tsv", ".parquet")
LINES = (".jsonl", ".ndjson")


def texts_in(path: Path) -> list[tuple[str, str]]:
    """Return the texts of a file or of a folder of .txt files, each with a name to find it by.

    Args:
        path: A .txt file is one text; the rows of a table and of JSON lines are one each.

    Raises:
        BadArgumentError: It is none of these.
        DataError: It holds no text, or several columns could be meant.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise DataError(f"The folder {shown(path)!r} holds no .txt files; put texts into it.")
        return [pair for file in files for pair in texts_in(file)]
    ending = path.suffix.lower()
    if ending == ".txt":
        return [(str(path), clean("".join(TextFile(path).pieces()), shown(path)))]
    if ending in LINES:
        rows = [*objects(TextFile(path))]
        return _of_rows([row for _, row in rows], [f"line {n}" for n, _ in rows], path)
    if ending in TABLES:
        frame = read_table(path)
        free = [name for name in frame.columns if is_free_text(frame[name])]
        chosen = frame[free] if free and by_name(frame.columns, _NAMES) is None else frame
        names = [f"row {at + 1}" for at in range(len(frame))]
        return _of_rows(chosen.to_dict("records"), names, path)
    raise BadArgumentError(
        f"This model reads texts: .txt, {', '.join((*LINES, *TABLES))}. Received "
        f"{shown(path.name)!r}; give such a file."
    )


_NAMES = (*TEXTS, *TEXTS_ZH, *(source for source, _ in SIDES))


def _of_rows(
    rows: Sequence[Mapping[Any, Any]], names: Sequence[str], path: Path
) -> list[tuple[str, str]]:
    keys = list(rows[0]) if rows else []
    key = by_name(keys, _NAMES) or (str(keys[0]) if len(keys) == 1 else None)
    if key is None:
        raise DataError(
            f"One column of {shown(path)} must be the text, called text or source, or be the only "
            f"one. It has {listed(keys)}; rename it."
        )
    return [
        (f"{path} {name}", clean(_written(row.get(key)), f"{name.capitalize()} of {shown(path)}"))
        for name, row in zip(names, rows, strict=True)
    ]


def _written(value: object) -> str:
    """Return a text or a number as text; a missing one is empty."""
    missing = value is None or value != value  # NaN
    return "" if missing else str(value)
