"""From the values of a target to a task, labels and class names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assay.data.dataset import Task
from assay.data.names import shown
from assay.errors import BadArgumentError, DataError

FEW = 20  # whole numbers with at most so many different values are classes


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be predicted."""

    task: Task
    y: np.ndarray  # int64 labels or float64 values
    classes: tuple[str, ...]


def read_target(
    values: np.ndarray, *, kind: str, task: Task | None, where: str, what: str = "The target"
) -> Target:
    """Return the target, its task recognised where none was named.

    Args:
        values: Numbers or strings, one for each example.
        kind: Of the examples: image, sequence, text or table.
        task: What the caller named.
        where: The file, for messages.
        what: The target, for messages.

    Raises:
        BadArgumentError: The task does not fit the examples.
        DataError: The values cannot be a target.
    """
    fitting = _fitting(kind)
    if task is not None and task not in fitting:
        raise BadArgumentError(
            f"`task` must fit the data. {where} holds {kind} examples, which can be "
            f"{' or '.join(fitting)}; received {task!r}."
        )
    numbers = _as_numbers(values)
    _refuse_missing(values, numbers, where=where, what=what)
    chosen = task or _recognised(numbers, kind)
    if not chosen.endswith("regression"):
        return _labels(values, numbers, task=chosen, kind=kind, where=where, what=what, named=task)
    if numbers is None:
        raise DataError(_text_instead(values, where=where, what=what, other=fitting[0]))
    return Target(task=chosen, y=numbers, classes=())


def _fitting(kind: str) -> tuple[Task, ...]:
    if kind == "table":
        return ("tabular-classification", "tabular-regression")
    if kind == "sequence":
        return ("sequence-classification", "sequence-regression")
    if kind == "text":
        return ("text-classification",)
    return ("image-classification",)


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    """Return float64, or None where the values are not numbers."""
    return values.astype(np.float64) if values.dtype.kind in "iufb" else None


def _recognised(numbers: np.ndarray | None, kind: str) -> Task:
    if kind in ("image", "text") or numbers is None:
        return _fitting(kind)[0]
    whole = bool((numbers == np.rint(numbers)).all())
    few = whole and (kind == "sequence" or len(np.unique(numbers)) <= FEW)
    return _fitting(kind)[0 if few else 1]


def _refuse_missing(
    values: np.ndarray, numbers: np.ndarray | None, *, where: str, what: str
) -> None:
    if numbers is None:
        lost = np.array([v is None or v != v for v in values.tolist()], bool)
        word = "missing"
    else:
        lost = ~np.isfinite(numbers)
        word = "missing or infinite"
    if lost.any():
        raise DataError(
            f"{what} must be known for every example. In {where} it is {word} in "
            f"{int(lost.sum()):,} of {len(values):,} rows, first in row "
            f"{int(np.argmax(lost)) + 1}; fill it in or remove those rows."
        )


def _labels(
    values: np.ndarray,
    numbers: np.ndarray | None,
    *,
    task: Task,
    kind: str,
    where: str,
    what: str,
    named: Task | None,
) -> Target:
    whole = numbers is not None and bool((numbers == np.rint(numbers)).all())
    if kind != "table" and numbers is not None and not whole:
        raise DataError(
            f"{what} of {kind} examples must be classes: whole numbers or names. In {where} row "
            f"{int(np.argmax(numbers != np.rint(numbers))) + 1} has a fraction; give labels."
        )
    if numbers is None or values.dtype.kind == "b":
        found, y = np.unique(np.array([str(v) for v in values.tolist()]), return_inverse=True)
        names = [str(name) for name in found]
    else:
        levels, y = np.unique(numbers, return_inverse=True)
        names = [str(int(v)) if v == int(v) else repr(float(v)) for v in levels]
    return Target(task=task, y=y.astype(np.int64), classes=tuple(shown(name) for name in names))


def _text_instead(values: np.ndarray, *, where: str, what: str, other: Task) -> str:
    for at, value in enumerate(values.tolist()):
        try:
            float(value)
        except (TypeError, ValueError):
            return (
                f"{what} of a regression must be numbers. In {where} row {at + 1} has "
                f"{shown(value, most=40)!r}; correct it, or use --task {other}."
            )
    return f"{what} of a regression must be numbers. In {where} it is text; convert it."
