"""Tables and JSON lines with a text in each row: labelled, in pairs, or to be gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.data.dataset import TASKS
from assay.data.names import listed, shown
from assay.data.pairs import pairs, side_names
from assay.data.prepare import Options, Raw
from assay.data.table import label_values, named_columns
from assay.data.text import check_options
from assay.data.text_names import LABELS, TEXTS, TEXTS_ZH, by_name
from assay.data.text_rows import labelled_texts, usable_texts
from assay.data.text_stream import STREAMS, Document, check_stream, stream
from assay.errors import BadArgumentError, DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

WORDS = 3.0  # in a cell of free text, on average
CHARACTERS = 6.0  # likewise, where words are not parted by spaces


def is_text_table(frame: pd.DataFrame, options: Options) -> bool:
    """Return whether the rows of a table are texts.

    They are if that was asked for, if the two columns are called source and target or the like, or
    if, besides the target and what decides the division, one column of free text is all there is
    or is called text, review or the like.

    Args:
        frame: The table.
        options: What was chosen.
    """
    if options.text or (options.task is not None and TASKS[options.task].reads == "tokens"):
        return True
    if options.task is not None:
        return False
    if _sides(frame, options):
        return True
    target = options.target or by_name(frame.columns, LABELS)
    apart = {target, options.group, options.time}
    rest = [name for name in frame.columns if name not in apart]
    free = [name for name in rest if is_free_text(frame[name])]
    if target is None or len(free) != 1:
        return False
    return len(rest) == 1 or by_name(free, (*TEXTS, *TEXTS_ZH)) is not None


def is_free_text(column: pd.Series[Any]) -> bool:
    """Return whether most cells are different pieces of writing.

    Args:
        column: Of a table.
    """
    if column.dtype.kind in "iufbmM":
        return False
    cells = [str(cell) for cell in column.dropna().iloc[:1000]]
    if not cells or len(set(cells)) <= len(cells) / 2:
        return False
    words = sum(len(cell.split()) for cell in cells) / len(cells)
    wide = sum(sum(letter > "\u2e7f" for letter in cell) for cell in cells) / len(cells)
    return words >= WORDS or wide >= CHARACTERS


def read_text_table(frame: pd.DataFrame, path: Path, options: Options) -> Raw:
    """Return the rows of a table as labelled texts, pairs, or texts to go on with.

    Args:
        frame: The table.
        path: Where it comes from.
        options: What was chosen.

    Raises:
        BadArgumentError: A column that was named is not there, or none was and none is found.
        DataError: A text is empty, or a label is missing.
    """
    check_options(options)
    if options.task == "token-classification":
        raise BadArgumentError(
            f"A table holds one text in a row, without tags. Received task={options.task!r} for "
            f"{shown(path)}; give a .conll file, or JSON lines with tokens and tags."
        )
    if options.task in STREAMS:
        return _running(frame, path, options)
    if options.task == "text-to-text" or (options.task is None and _sides(frame, options)):
        return _pairs(frame, path, options)
    return _labelled(frame, path, options)


def _labelled(frame: pd.DataFrame, path: Path, options: Options) -> Raw:
    """Return labelled texts; other columns are not used."""
    columns = [str(name) for name in frame.columns]
    target = _target(path, columns, options)
    text = _text(path, frame.drop(columns=target), options)
    named = named_columns(frame, options, target=target, path=path)
    used = {target, text, *(column.name for column in named.values())}
    unused = [name for name in columns if name not in used]
    note = {
        "en": f"Columns not used beside the text {shown(text)!r}: {listed(unused)}.",
        "zh": f"除文本列 {shown(text)!r} 外，以下列未使用：{listed(unused)}。",
    }
    return labelled_texts(
        frame[text].tolist(),
        label_values(frame[target]),
        name=path.stem,
        source=str(path),
        ids=_ids(frame),
        options=options,
        target=f"Column {shown(target)!r}",
        named=named,
        notes=(*frame.attrs.get("notes", ()), *((note,) if unused else ())),
    )


def _running(frame: pd.DataFrame, path: Path, options: Options) -> Raw:
    """Return the texts of one column, each a text of its own."""
    check_stream(replace(options, text=None), shown(path))
    ids, text = _ids(frame), _text(path, frame, options)
    _, texts, notes = usable_texts(frame[text].tolist(), ids, source=str(path), skip_bad=True)
    documents = [Document(name=f"text {at + 1}", pieces=[each]) for at, each in enumerate(texts)]
    return stream(documents, name=path.stem, source=str(path), options=options, notes=notes)


def _pairs(frame: pd.DataFrame, path: Path, options: Options) -> Raw:
    """Return pairs of two columns; other columns are not used."""
    columns = [str(name) for name in frame.columns]
    found = side_names(columns)
    if options.text is not None and options.target is not None:
        found = (options.text, options.target)
    if found is None or not set(found) <= set(columns):
        raise BadArgumentError(
            f"`text` and `target` must name the two sides of the pairs in {shown(path)}. It has "
            f"{listed(columns)}; choose with --text and --target."
        )
    sides = [frame[name].fillna("").astype(str).tolist() for name in found]
    return pairs(*sides, ids=_ids(frame), name=path.stem, source=str(path), options=options)


def _sides(frame: pd.DataFrame, options: Options) -> bool:
    """Return whether the two columns are the sides of pairs, most of them different."""
    columns = [str(name) for name in frame.columns]
    if options.target or options.text or len(columns) != 2 or side_names(columns) is None:
        return False
    return all(frame[name].nunique() > len(frame) / 2 for name in columns)


def _ids(frame: pd.DataFrame) -> list[str]:
    return frame.attrs.get("ids") or [f"row {at + 1}" for at in range(len(frame))]


def _target(path: Path, columns: list[str], options: Options) -> str:
    if options.target in columns:
        return str(options.target)
    found = by_name(columns, LABELS) if options.target is None else None
    if found is not None:
        return found
    hint = nearest(options.target, columns) if options.target else ""
    received = "nothing" if options.target is None else repr(shown(options.target))
    raise BadArgumentError(
        f"`target` must name the column of labels in {shown(path)}. Received {received}.{hint} "
        f"It has {listed(columns)}; choose one with --target."
    )


def _text(path: Path, frame: pd.DataFrame, options: Options) -> str:
    columns = [str(name) for name in frame.columns]
    if options.text is not None:
        if options.text in columns:
            return options.text
        raise BadArgumentError(
            f"`text` must name a column of {shown(path)} besides the target. Received "
            f"{shown(options.text)!r}.{nearest(options.text, columns)} It has {listed(columns)}."
        )
    rest = [name for name in columns if name not in (options.group, options.time)]
    free = [name for name in rest if is_free_text(frame[name])]
    found = by_name(rest, (*TEXTS, *TEXTS_ZH)) or (free[0] if len(free) == 1 else None)
    found = found or (rest[0] if len(rest) == 1 else None)
    if found is None:
        raise DataError(
            f"One column of {shown(path)} must be the text. It has {listed(columns)}; choose one "
            "with --text."
        )
    return found
