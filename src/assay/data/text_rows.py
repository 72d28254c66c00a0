"""From texts and labels, whatever file they come from, to examples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from assay.data.labels import read_target
from assay.data.names import Note, shown
from assay.data.prepare import Options, Raw
from assay.data.split import Named, Role
from assay.data.text import clean, same_text
from assay.data.text_fit import fit_texts
from assay.errors import DataError


def labelled_texts(
    texts: Sequence[object],
    labels: np.ndarray,
    *,
    name: str,
    source: str,
    ids: Sequence[str],
    options: Options,
    target: str = "The label",
    given: np.ndarray | None = None,
    named: Mapping[Role, Named] | None = None,
    notes: Sequence[Note] = (),
) -> Raw:
    """Return texts, each with a label.

    Args:
        texts: One for each example; what is no text is refused, or left out with --skip-bad.
        labels: Numbers or strings, None where missing.
        name: Of the data set.
        source: The file, for messages.
        ids: By which a person finds each example.
        options: What was chosen.
        target: What the labels are called, for messages.
        given: Per example 0 train, 1 validation, 2 test.
        named: Columns that decide the division.
        notes: Of the reading.

    Raises:
        DataError: A text is empty, or a label is missing.
    """
    kept, whole, more = usable_texts(texts, ids, source=source, skip_bad=options.skip_bad)
    target_found = read_target(
        labels[kept], kind="text", task=options.task, where=shown(source), what=target
    )
    return Raw(
        name=name,
        source=source,
        task="text-classification",
        y=target_found.y,
        classes=target_found.classes,
        content=digest_of((options.reading, *whole), target_found.y, target_found.classes),
        groups=groups_of_texts(whole),
        fit=lambda train: fit_texts(whole, train, options, task="text-classification"),
        given=None if given is None else given[kept],
        ids=tuple(ids[at] for at in kept.tolist()),
        notes=(*notes, *more),
        named={
            role: Named(name=column.name, values=column.values[kept])
            for role, column in (named or {}).items()
        },
    )


def usable_texts(
    texts: Sequence[object], ids: Sequence[str], *, source: str, skip_bad: bool
) -> tuple[np.ndarray, list[str], tuple[Note, ...]]:
    """Return which examples have text, their clean text, and a note on the others.

    Args:
        texts: As read.
        ids: By which a person finds each example.
        source: The file, for messages.
        skip_bad: Whether to leave the others out instead of stopping.

    Raises:
        DataError: One has none.
    """
    kept: list[int] = []
    whole: list[str] = []
    for at, text in enumerate(texts):
        try:
            whole.append(clean(_written(text), f"{_first_upper(ids[at])} of {shown(source)}"))
            kept.append(at)
        except DataError as error:
            if not skip_bad:
                raise DataError(f"{str(error).removesuffix('.')}, or use --skip-bad.") from error
    if not whole:
        raise DataError(f"{shown(source)} holds no text; give examples that have some.")
    lost = len(texts) - len(kept)
    return np.array(kept, np.int64), whole, _left_out(lost) if lost else ()


def groups_of_texts(texts: Iterable[str]) -> np.ndarray:
    """Return one number per text, equal where texts differ in case and white space at most."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(same_text(text), len(seen)) for text in texts], np.int64)


def digest_of(*parts: Any) -> str:
    """Return the sha256 of what was read.

    Args:
        parts: Arrays, or lists of whatever has one way to be written.
    """
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(part.tobytes())
            continue
        for value in part:
            written = value if isinstance(value, str) else repr(value)
            coded = written.encode("utf-8", "surrogatepass")
            found.update(f"{len(coded)} ".encode() + coded)
    return found.hexdigest()


def _written(text: object) -> str:
    """Return a cell as text; a missing one is empty."""
    if text is None or text != text:
        return ""
    return text if isinstance(text, str) else str(text)


def _left_out(lost: int) -> tuple[Note, ...]:
    return (
        {
            "en": f"Examples without usable text, left out: {lost:,}.",
            "zh": f"{lost:,} 个样本没有可用的文本，已剔除。",
        },
    )


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
