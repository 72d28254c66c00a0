"""Texts to be answered, from files of the user's: plain text, JSON lines, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.data.json_lines import WORDS, objects, words_of
from assay.data.names import listed, shown
from assay.data.pairs import SIDES, is_pair_file, pair_lines
from assay.data.table import read_table
from assay.data.tagged import ENDINGS, words_in
from assay.data.text import TextFile, clean
from assay.data.text_names import TEXTS, TEXTS_ZH, by_name
from assay.data.text_table import is_free_text
from assay.errors import BadArgumentError, DataError

TABLES = (".csv", ".tsv", ".parquet")
LINES = (".jsonl", ".ndjson")


def texts_in(
    path: Path, *, column: str | None = None, pairs: bool = False
) -> list[tuple[str, str]]:
    """Return the texts of a file or of a folder of .txt files, each with a name to find it by.

    Args:
        path: A .txt file is one text; the rows of a table and of JSON lines are one each.
        column: That was chosen for the training text; it is used where the file has it.
        pairs: Whether a .tsv may hold pairs without a header, or their first sides alone.

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
        if not rows:
            raise DataError(f"{shown(path)} holds no objects; give one on each line.")
        return _of_rows([row for _, row in rows], [f"line {n}" for n, _ in rows], path, column)
    if pairs and ending == ".tsv" and (named := _sources(path)):
        return _of_rows([{"text": text} for _, text in named], [at for at, _ in named], path, None)
    if ending in TABLES:
        frame = read_table(path)
        free = [name for name in frame.columns if is_free_text(frame[name])]
        has_name = column in frame.columns or by_name(frame.columns, _NAMES) is not None
        chosen = frame[free] if free and not has_name else frame
        names = [f"row {at + 1}" for at in range(len(frame))]
        return _of_rows(chosen.to_dict("records"), names, path, column)
    raise BadArgumentError(
        f"This model reads texts: .txt, {', '.join((*LINES, *TABLES))}. Received "
        f"{shown(path.name)!r}; give such a file."
    )


def sentences_in(path: Path, *, column: str | None = None) -> list[tuple[str, Sequence[str]]]:
    """Return the words of each sentence of a file or folder, with a name to find it by.

    Args:
        path: As `texts_in`, whose texts have a space between words; JSON lines may have lists of
            words, and .conll and its like have a word on each line, first of its columns.
        column: As `texts_in`.

    Raises:
        BadArgumentError: It is none of these.
        DataError: It holds no words.
    """
    ending = path.suffix.lower()
    if ending in ENDINGS and not path.is_dir():
        return [(f"{path} line {each.line}", each.words) for each in words_in(path)]
    if ending in LINES and not path.is_dir():
        rows = [*objects(TextFile(path))]
        key = by_name(rows[0][1], WORDS) if rows else None
        if key is not None:
            numbers, found = [n for n, _ in rows], [row for _, row in rows]
            return [
                (f"{path} line {number}", words)
                for number, words in zip(numbers, words_of(found, numbers, key, path), strict=True)
                if words
            ]
    return [(name, text.split()) for name, text in texts_in(path, column=column)]


def _sources(path: Path) -> list[tuple[str, str]]:
    """Return the first sides in a .tsv without a header, each after its line; none of a table."""
    if is_pair_file(path):
        sources, _, lines = pair_lines(TextFile(path))
        return [*zip(lines, sources, strict=True)]
    alone = [(f"line {n}", line) for n, line in TextFile(path).lines() if line.strip()]
    table = any("\t" in line for _, line in alone) or by_name([x for _, x in alone[:1]], _NAMES)
    return [] if table else alone


_NAMES = (*TEXTS, *TEXTS_ZH, *(source for source, _ in SIDES))


def _of_rows(
    rows: Sequence[Mapping[Any, Any]], names: Sequence[str], path: Path, column: str | None
) -> list[tuple[str, str]]:
    keys = list(rows[0]) if rows else []
    alone = str(keys[0]) if len(keys) == 1 else None
    key = column if column in keys else by_name(keys, _NAMES) or alone
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
