"""From what finished trials answered to tables of seeds by examples, for any metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from assay.data.concern import Concern
from assay.errors import BadArgumentError, StoreError
from assay.metrics import Metric

if TYPE_CHECKING:
    from assay.engine.outcome import Answers

Found = TypeVar("Found")


def read_outcomes(folders: Sequence[Path], part: str = "test") -> list[Answers]:
    """Return what finished trials answered on one part, probabilities included.

    Args:
        folders: The trials' own.
        part: "test" or "val".

    Raises:
        StoreError: A file is missing or damaged.
    """
    from assay.engine.outcome import read_outcome

    return [_read(folder, lambda path: read_outcome(path, part)) for folder in folders]


def read_predicted(folders: Sequence[Path], part: str = "test") -> np.ndarray:
    """Return the labels or values that finished trials predicted for one part, a row each.

    Args:
        folders: The trials' own.
        part: "test" or "val".

    Raises:
        StoreError: A file is missing or damaged.
    """
    from assay.engine import outcome

    rows = [_read(folder, lambda path: outcome.read_predicted(path, part)) for folder in folders]
    return np.stack(rows) if rows else np.empty((0, 0))


def score_table(folders: Sequence[Path], metric: Metric, part: str = "test") -> np.ndarray:
    """Return a table of seeds by examples, for `compare/statistics`: larger is better.

    The mean of a row is the metric of that seed, negative where smaller is better. One trial's
    probabilities are held at a time.

    Args:
        folders: The finished trials of one candidate.
        metric: Whose contributions, or pseudo-values, are the cells.
        part: "test" or "val".

    Raises:
        StoreError: A file is missing or damaged.
        BadArgumentError: The metric failed, or is not finite on these predictions.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    rows = []
    for folder in folders:
        (answers,) = read_outcomes([folder], part)
        rows.append(sign * _finite(metric, metric.per_example(answers.predicted, answers.truth)))
    return np.stack(rows) if rows else np.empty((0, 0))


def constant_metric(metric: Metric, tables: Mapping[str, np.ndarray]) -> Concern | None:
    """Return a warning where several candidates were scored and the metric is the same for all.

    Args:
        metric: That made the tables.
        tables: For each candidate seeds by examples, as `score_table` returns them.
    """
    values = np.concatenate([table.mean(axis=1) for table in tables.values()] or [np.empty(0)])
    if len(tables) < 2 or np.ptp(values) > 1e-12 * max(1.0, float(np.abs(values).max())):
        return None
    value = f"{abs(values[0]):.4g}"
    return Concern(
        kind="constant-metric",
        severity="warning",
        en=f"{_upper(metric.en)} is {value} for every trial of every candidate, so it cannot tell "
        "them apart; choose another with --metric.",
        zh=f"所有候选模型的每次试验中，{metric.zh}都是 {value}，无法区分它们；"
        "请用 --metric 换一个指标。",
    )


def _finite(metric: Metric, values: np.ndarray) -> np.ndarray:
    if np.isfinite(values).all():
        return values
    raise BadArgumentError(
        f"`metric` must be finite on the predictions it judges. {_upper(metric.en)} is not, for "
        f"{len(values):,} examples; choose another with --metric."
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _read(folder: Path, read: Callable[[Path], Found]) -> Found:
    from assay.engine.outcome import OUTCOME

    path = folder / OUTCOME
    try:
        return read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise StoreError(
            f"A finished trial keeps its predictions in {OUTCOME}. {path} cannot be read "
            f"({reason}); remove the folder {folder} and run the same command again."
        ) from error
