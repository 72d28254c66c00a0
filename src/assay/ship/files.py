"""Files of the user's to answers: images, folders of images, tables, arrays and texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from assay.canon.task import TASKS
from assay.data.arrays import open_npz
from assay.data.encode import encode_arrays
from assay.data.names import listed, shown
from assay.data.series_long import read_long
from assay.data.table import read_table
from assay.data.text_files import sentences_in, texts_in
from assay.errors import BadArgumentError, DataError, MissingPathError
from assay.ship.blanks import fill_blanks

if TYPE_CHECKING:
    from assay.ship.predictor import Predictor

TABLES = (".csv", ".tsv", ".parquet")
ARRAYS = ".npz"
T = TypeVar("T")
AT_ONCE = 256  # images decoded and scored together


@dataclass(frozen=True)
class Answer:
    """What a model says of one example.

    Attributes:
        source: Which one: a path, or a path and a row.
        label: The most probable class, the answer to a text, or it with its blanks filled; empty
            for values and tags.
        probabilities: The most probable classes, the likeliest first; empty for regression.
        value: Of a regression or forecast; None for others.
        words: Of a tagged sentence.
        tags: One for each word; "-" beyond the length of training.
    """

    source: str
    label: str
    probabilities: dict[str, float]
    value: float | None = None
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def predict_files(
    predictor: Predictor, files: Sequence[str | Path], *, top: int = 3
) -> Iterator[Answer]:
    """Yield an answer for every example in `files`, in order.

    Args:
        predictor: The model.
        files: Images, folders of images (searched to the bottom), .csv, .tsv, .parquet, .npz; for
            texts .txt, each one text, .jsonl and tables with the column of training; for tags
            .conll and its like too; for forecasts tables with the history.
        top: Classes to name, at most.

    Raises:
        BadArgumentError: A file is not of the kind that the model reads.
        DataError: A file cannot be read.
        MissingPathError: There is no such file; all are looked for before the first answer.
    """
    if top < 1:
        raise BadArgumentError(f"`top` must be at least 1. Received top={top}.")
    paths = [Path(file) for file in files]
    for path in paths:
        _require(path)
    return _answers(predictor, paths, top)


def _answers(predictor: Predictor, paths: Sequence[Path], top: int) -> Iterator[Answer]:
    task = predictor.artifact.task
    if task == "token-classification":
        yield from _of_sentences(predictor, paths)
        return
    if TASKS[task].reads == "tokens":
        yield from _of_texts(predictor, paths, top)
        return
    if task == "forecasting":
        yield from _of_histories(predictor, paths)
        return
    for names, encoded in _encoded(predictor, paths):
        scores = predictor.score(encoded)
        for name, row in zip(names, scores, strict=True):
            yield _answer(predictor, name, row, top)


def _of_texts(predictor: Predictor, paths: Sequence[Path], top: int) -> Iterator[Answer]:
    task, column = predictor.artifact.task, predictor.artifact.preprocessing.get("column")
    if task == "language-modeling":
        predictor.predict([])  # which says what to use instead
    for path in paths:
        texts = texts_in(path, column=column, pairs=task == "text-to-text")
        for names, group in _groups(texts):
            if task == "text-classification":
                rows = zip(names, predictor.predict_proba(group), strict=True)
                yield from (_answer(predictor, name, row, top) for name, row in rows)
                continue
            said: Iterable[str] = (
                fill_blanks(
                    group,
                    predictor.artifact.preprocessing,
                    predictor.model,
                    names=[*map(shown, names)],
                )
                if task == "masked-language-modeling"
                else predictor.predict(group)
            )
            yield from (Answer(name, text, {}) for name, text in zip(names, said, strict=True))


def _of_sentences(predictor: Predictor, paths: Sequence[Path]) -> Iterator[Answer]:
    column = predictor.artifact.preprocessing.get("column")
    for path in paths:
        for names, group in _groups(sentences_in(path, column=column)):
            for name, words, tags in zip(names, group, predictor.predict(group), strict=True):
                told = tuple(tag or "-" for tag in tags)
                yield Answer(name, "", {}, words=tuple(words), tags=told)


def _groups(named: Sequence[tuple[str, T]]) -> Iterator[tuple[list[str], list[T]]]:
    """Yield names and what they name, a group at a time."""
    for start in range(0, len(named), AT_ONCE):
        group = named[start : start + AT_ONCE]
        yield [name for name, _ in group], [each for _, each in group]


def _of_histories(predictor: Predictor, paths: Sequence[Path]) -> Iterator[Answer]:
    for path in paths:
        if path.suffix.lower() not in TABLES:
            raise BadArgumentError(
                f"A forecast reads a table of what came before: {', '.join(TABLES)}. Received "
                f"{shown(str(path))!r}; give such a file."
            )
        found, values = predictor.history(read_table(path), where=str(path))
        for series, periods, row in zip(found.names, found.periods, values, strict=True):
            for period, value in zip(periods, row, strict=True):
                yield Answer(" ".join(filter(None, [series, period])), "", {}, float(value))


def _answer(predictor: Predictor, name: str, score: np.ndarray, top: int) -> Answer:
    if not predictor.classes:
        return Answer(name, "", {}, float(score))
    order = np.argsort(-score, kind="stable")[:top]
    probabilities = {predictor.classes[at]: float(score[at]) for at in order}
    return Answer(name, predictor.classes[order[0]], probabilities)


def _encoded(
    predictor: Predictor, paths: Sequence[Path]
) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    """Yield examples with their names, a piece at a time, in the order given."""
    for whole, group in groupby(paths, key=_holds_many):
        if whole:
            for path in group:
                yield _table_or_arrays(predictor, path)
        else:
            yield from _images(predictor, group)


def _holds_many(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (*TABLES, ARRAYS)


def _images(
    predictor: Predictor, paths: Iterable[Path]
) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    facts = predictor.artifact.preprocessing
    if facts["kind"] != "image":
        tables = facts["kind"] == "table" or "series_column" in facts
        raise BadArgumentError(
            f"This model reads {', '.join((*(TABLES if tables else ()), ARRAYS))} files, not "
            f"images. Received {shown(next(iter(paths)))!r}; give the "
            f"{'rows' if facts['kind'] == 'table' else 'sequences'} in such a file."
        )
    files = (file for path in paths for file in _below(path))
    while piece := list(islice(files, AT_ONCE)):
        yield [str(file) for file in piece], predictor.encode(piece)


def _below(path: Path) -> Iterator[Path]:
    """Yield the file, or every file below the folder in the order of names."""
    if not path.is_dir():
        yield path
        return
    empty = True
    for here, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            empty = False
            yield Path(here, name)
    if empty:
        raise DataError(f"The folder {shown(path)!r} holds no files; put images into it.")


def _table_or_arrays(predictor: Predictor, path: Path) -> tuple[Sequence[str], np.ndarray]:
    if path.suffix.lower() == ARRAYS:
        encoded = encode_arrays(_only_x(path), predictor.artifact.preprocessing)
        return [f"{path} example {at}" for at in range(len(encoded))], encoded
    facts = predictor.artifact.preprocessing
    if facts["kind"] == "sequence" and "series_column" in facts:
        x, names = read_long(read_table(path), facts, shown(path))
        return [f"{path} {name}" for name in names], predictor.encode(x)
    if facts["kind"] != "table":
        give = "images or a .npz with x" if facts["kind"] == "image" else "a .npz with x"
        raise BadArgumentError(
            f"This model reads {facts['kind']}s. Received the table {shown(path)!r}; give {give}."
        )
    encoded = predictor.encode(read_table(path))
    return [f"{path} row {at + 1}" for at in range(len(encoded))], encoded


def _only_x(path: Path) -> np.ndarray:
    """Return the array to predict: x, or the only one there is."""
    arrays = open_npz(path)
    if "x" in arrays:
        return arrays["x"]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise DataError(
        f"A .npz to predict must hold x. {shown(path)} holds {listed(sorted(arrays))}; "
        "rename the array."
    )


def _require(path: Path) -> None:
    try:
        path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the name
        reason = getattr(error, "strerror", None) or "not a valid path"
        raise MissingPathError(
            f"There is no file {shown(path)!r} to predict ({reason}); check the name."
        ) from error
    if not (path.is_file() or path.is_dir()):
        raise DataError(
            f"What is to be predicted must be a file or a folder. {shown(path)!r} is neither; "
            "a pipe or device is not opened."
        )
