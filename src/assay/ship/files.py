"""Files of the user's to answers: images, folders of images, tables and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay.data.arrays import open_npz
from assay.data.names import shown
from assay.errors import BadArgumentError, DataError, MissingPathError

if TYPE_CHECKING:
    from assay.ship.predictor import Predictor

TABLES = (".csv", ".tsv", ".parquet")
AT_ONCE = 256  # images decoded and scored together


@dataclass(frozen=True)
class Answer:
    """What a model says of one example.

    Attributes:
        source: Which one: a path, or a path and a row.
        label: The most probable class; empty for regression.
        probabilities: The most probable classes, the likeliest first; empty for regression.
        value: Of a regression; None for classification.
    """

    source: str
    label: str
    probabilities: dict[str, float]
    value: float | None = None


def predict_files(
    predictor: Predictor, files: Sequence[str | Path], *, top: int = 3
) -> Iterator[Answer]:
    """Yield an answer for every example in `files`, in order.

    Args:
        predictor: The model.
        files: Images, folders of images (searched to the bottom), .csv, .tsv, .parquet, .npz.
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
    for names, encoded in _encoded(predictor, paths):
        scores = predictor.score(encoded)
        for name, row in zip(names, scores, strict=True):
            yield _answer(predictor, name, row, top)


def _answer(predictor: Predictor, name: str, score: np.ndarray, top: int) -> Answer:
    if not predictor.classes:
        return Answer(name, "", {}, float(score))
    order = np.argsort(-score, kind="stable")[:top]
    probabilities = {predictor.classes[at]: float(score[at]) for at in order}
    return Answer(name, predictor.classes[order[0]], probabilities)


def _encoded(
    predictor: Predictor, paths: Sequence[Path]
) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    """Yield examples with their names, a piece at a time."""
    arrays = [path for path in paths if path.suffix.lower() == ".npz"]
    if arrays:
        yield from _mixed(predictor, paths)
    elif predictor.artifact.preprocessing["kind"] == "image":
        yield from _images(predictor, paths)
    else:
        yield from _mixed(predictor, paths)


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
