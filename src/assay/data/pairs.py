"""Pairs of texts: what is read and what is to be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assay.data.names import Note, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.text import TextFile, check_options, clean
from assay.data.text_fit import fit_pairs
from assay.data.text_names import LABELS, by_name
from assay.data.text_rows import digest_of, groups_of_texts
from assay.errors import BadArgumentError, DataError

SIDES = (
    ("source", "target"),
    ("src", "tgt"),
    ("input", "output"),
    ("question", "answer"),
    ("en", "zh"),
    ("zh", "en"),
)
FEW = 10  # lines that do not tell labels from text


def pair_file(path: Path, options: Options) -> Source:
    """Return a .tsv of two columns as pairs.

    Raises:
        BadArgumentError: An option was named that pairs do not have.
    """
    check_options(options)
    asked = [n for n in ("target", "text", "group", "time") if getattr(options, n) is not None]
    if asked:
        raise BadArgumentError(
            f"`{asked[0]}` names a column of a table. {shown(path)!r} is read as pairs, which are "
            "its first and its second column; leave it out."
        )
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read(path, options)
    )


def is_pair_file(path: Path, most: int = 20) -> bool:
    """Return whether the first lines have two cells each, and the second is no label.

    A label is called so in the first line, or is one of few.

    Args:
        path: A .tsv.
        most: Lines to look at.
    """
    rows: list[list[str]] = []
    for number, line in TextFile(path).lines():
        if line.strip():
            rows.append(line.split("\t"))
        if number >= most:
            break
    if not rows or any(len(row) != 2 for row in rows):
        return False
    if by_name(rows[0], LABELS) and not side_names(rows[0]):
        return False
    return len(rows) < FEW or len({row[1] for row in rows}) > len(rows) / 4


def pairs(
    sources: Sequence[str],
    answers: Sequence[str],
    *,
    ids: Sequence[str],
    name: str,
    source: str,
    options: Options,
    notes: Sequence[Note] = (),
) -> Raw:
    """Return pairs as examples; equal sources stay in one part.

    Args:
        sources: What is read.
        answers: What is to be written.
        ids: By which a person finds each pair.
        name: Of the data set.
        source: The file, for messages.
        options: What was chosen.
        notes: Of the reading.

    Raises:
        DataError: A side is empty.
    """
    if not options.skip_bad:
        _refuse_half(sources, answers, ids, source)
    both = zip(sources, answers, strict=True)
    known = [at for at, sides in enumerate(both) if all(map(str.strip, sides))]
    lost = len(ids) - len(known)
    read = [clean(sources[at], f"{_upper(ids[at])} of {shown(source)}") for at in known]
    written = [clean(answers[at], f"{_upper(ids[at])} of {shown(source)}") for at in known]
    if len(np.unique(groups_of_texts(read))) < 10:
        raise DataError(
            f"{shown(source)} must hold at least 10 pairs with different sources. Received "
            f"{len(np.unique(groups_of_texts(read)))}; add pairs."
        )
    left = {
        "en": f"Pairs without text on both sides, left out: {lost:,}.",
        "zh": f"{lost:,} 对样本缺少一侧文本，已剔除。",
    }
    return Raw(
        name=name,
        source=source,
        task="text-to-text",
        y=np.zeros((len(read), 1), np.int32),
        classes=(),
        content=digest_of((options.reading, *read), written),
        groups=groups_of_texts(read),
        fit=lambda train: fit_pairs(read, written, train, options),
        ids=tuple(ids[at] for at in known),
        notes=(*notes, *((left,) if lost else ())),
    )


def side_names(names: Sequence[str]) -> tuple[str, str] | None:
    """Return which columns or keys are the two sides of a pair, if any are.

    Args:
        names: Of columns or keys.
    """
    by_name = {name.strip().lower(): name for name in names}
    for first, second in SIDES:
        if first in by_name and second in by_name:
            return by_name[first], by_name[second]
    return None


def pair_lines(file: TextFile) -> tuple[list[str], list[str], list[str]]:
    """Return the sources, the answers and the line of each pair of a .tsv of two columns.

    Raises:
        DataError: A line has not two cells, or there is no pair.
    """
    path = file.path
    sources: list[str] = []
    answers: list[str] = []
    ids: list[str] = []
    for number, line in file.lines():
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 2:
            raise DataError(
                f"Every line of {shown(path)} must be a pair: two texts parted by one tab. Line "
                f"{number} has {len(cells)} cell{'s' * (len(cells) > 1)}; correct it."
            )
        if not ids and side_names(cells) == tuple(cells):
            continue
        sources.append(cells[0])
        answers.append(cells[1])
        ids.append(f"line {number}")
    if not ids:
        raise DataError(f"{shown(path)} holds no pairs; give two texts on each line.")
    return sources, answers, ids


def _read(path: Path, options: Options) -> Raw:
    file = TextFile(path)
    sources, answers, ids = pair_lines(file)
    return pairs(
        sources,
        answers,
        ids=ids,
        name=path.stem,
        source=str(path),
        options=options,
        notes=file.notes,
    )


def _refuse_half(
    sources: Sequence[str], answers: Sequence[str], ids: Sequence[str], source: str
) -> None:
    for at, (read, written) in enumerate(zip(sources, answers, strict=True)):
        if not read.strip() or not written.strip():
            side = "source" if not read.strip() else "target"
            raise DataError(
                f"Both sides of every pair in {shown(source)} must have text. {_upper(ids[at])} "
                f"has an empty {side}; fill it in, remove the line or use --skip-bad."
            )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
