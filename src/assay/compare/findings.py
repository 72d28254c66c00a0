"""From the records and predictions of trials to what a study found."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from assay.compare.result import CandidateResult, Estimate, Hard, SeedResult
from assay.compare.statistics import hierarchical_interval
from assay.data.dataset import Dataset
from assay.engine.spec import Candidate, Measurement, TrialRecord, TrialSpec
from assay.errors import StoreError

SHOWN_HARD = 12
OUTCOME = "outcome.safetensors"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A candidate with everything its trials left behind."""

    candidate: Candidate
    specs: tuple[TrialSpec, ...]  # by seed; empty when it could not be planned
    records: tuple[TrialRecord, ...]  # in the same order
    predicted: np.ndarray  # (seeds that finished, test examples): labels, or values
    cost: Measurement | None
    failure: str = ""  # why it could not be planned


def read_predictions(folders: Sequence[Path], *, regression: bool) -> np.ndarray:
    """Return what finished trials predicted for the test part, a row each.

    Raises:
        StoreError: A file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    rows = []
    for path in (folder / OUTCOME for folder in folders):
        try:
            found = load_file(path)
            rows.append(found["test_values"] if regression else found["test_probs"].argmax(axis=1))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise StoreError(
                f"A finished trial keeps its predictions in {OUTCOME}. {path} cannot be read "
                f"({type(error).__name__}); remove the folder {path.parent} and run the same "
                "command again."
            ) from error
    return np.stack(rows) if rows else np.empty((0, 0))


def score_tables(trained: Sequence[Trained], dataset: Dataset) -> dict[str, np.ndarray]:
    """Return for each candidate that finished a table of seeds by test examples; more is better."""
    truth = dataset.y[dataset.test]
    return {
        t.candidate.name: _scores(t.predicted, truth, regression=not dataset.classes)
        for t in trained
        if len(t.predicted)
    }


def rank(trained: Sequence[Trained], dataset: Dataset) -> list[CandidateResult]:
    """Return the candidates, the best first, the failed last."""
    tables = score_tables(trained, dataset)
    rows = [_row(t, dataset, tables.get(t.candidate.name)) for t in trained]
    sign = -1.0 if dataset.classes else 1.0  # accuracy: more is better; errors: less
    rows.sort(key=lambda r: (r.score is None, sign * r.score.mean if r.score else 0.0, r.name))
    return [replace(row, rank=place) for place, row in enumerate(rows, start=1)]


def hardest(trained: Sequence[Trained], dataset: Dataset) -> tuple[Hard, ...]:
    """Return the test examples that most trials of all candidates got wrong, the worst first."""
    every = [t.predicted for t in trained if len(t.predicted)]
    if not every:
        return ()
    predicted, truth = np.vstack(every), dataset.y[dataset.test]
    if dataset.classes:
        wrong = (predicted != truth).mean(axis=0)
    else:
        wrong = np.abs(predicted - truth).mean(axis=0)
    worst = np.argsort(-wrong, kind="stable")[:SHOWN_HARD]
    return tuple(
        _hard(dataset, int(i), predicted[:, i], float(wrong[i])) for i in worst if wrong[i]
    )


def _scores(predicted: np.ndarray, truth: np.ndarray, *, regression: bool) -> np.ndarray:
    if regression:
        return -np.square(predicted.astype(np.float64) - truth.astype(np.float64))
    return (predicted == truth).astype(np.float64)


def _row(trained: Trained, dataset: Dataset, table: np.ndarray | None) -> CandidateResult:
    done = [r for r in trained.records if r.status == "finished"]
    plan = trained.specs[0].plan if trained.specs else None
    return CandidateResult(
        name=trained.candidate.name,
        family=trained.candidate.family,
        adaptation=dict(trained.candidate.adaptation),
        rank=0,
        score=None if table is None else _estimate(table, regression=not dataset.classes),
        metrics=_means([r.metrics for r in done]),
        seeds=_seeds(trained, dataset),
        cost=trained.cost,
        train_seconds=_mean([r.train_seconds for r in done]),
        samples_per_second=_mean([r.samples_per_second for r in done]),
        confusion=_confusion(trained.predicted, dataset) if len(trained.predicted) else (),
        recipe=asdict(trained.candidate.recipe),
        plan=asdict(plan) if plan else {},
    )


def _estimate(table: np.ndarray, *, regression: bool) -> Estimate:
    """Return the accuracy, or the root mean square error, with its interval."""
    found = hierarchical_interval(table)
    if not regression:
        return found
    low, high = (math.sqrt(max(-bound, 0.0)) for bound in (found.high, found.low))
    return Estimate(math.sqrt(max(-found.mean, 0.0)), low, high)


def _seeds(trained: Trained, dataset: Dataset) -> tuple[SeedResult, ...]:
    if trained.failure:
        return (SeedResult(seed=0, hash="", status="failed", reason=trained.failure),)
    headline = "test_accuracy" if dataset.classes else "test_rmse"
    return tuple(
        SeedResult(
            seed=r.seed,
            hash=r.hash,
            status=r.status,
            reason=r.reason,
            score=float(r.metrics.get(headline, math.nan)),
            metrics=dict(r.metrics),
            train_seconds=r.train_seconds,
            samples_per_second=r.samples_per_second,
            steps=r.steps,
            best_step=r.best_step,
            curve=r.curve,
        )
        for r in trained.records
    )


def _confusion(predicted: np.ndarray, dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """Return how often each class was taken for each, over all seeds; none for regression."""
    size = len(dataset.classes)
    if not size:
        return ()
    truth = np.broadcast_to(dataset.y[dataset.test], predicted.shape)
    counts = np.bincount((truth * size + predicted).ravel(), minlength=size * size)
    return tuple(tuple(int(n) for n in row) for row in counts.reshape(size, size))


def _hard(dataset: Dataset, place: int, predicted: np.ndarray, wrong: float) -> Hard:
    row = int(dataset.test[place])
    if dataset.classes:
        truth = dataset.classes[int(dataset.y[row])]
        wrongly = predicted[predicted != dataset.y[row]]
        answer = dataset.classes[int(np.bincount(wrongly.astype(np.int64)).argmax())]
    else:
        truth, answer = f"{float(dataset.y[row]):.4g}", f"{float(predicted.mean()):.4g}"
    name = dataset.ids[row] if dataset.ids else f"example {row}"
    png = _png(dataset.x[row]) if dataset.kind == "image" else ""
    return Hard(id=name, truth=truth, predicted=answer, wrong=wrong, png=png)


def _png(image: np.ndarray) -> str:
    """Return a (C, H, W) image of bytes as a base64 PNG."""
    from PIL import Image

    grey = image.shape[0] != 3
    pixels = np.ascontiguousarray(image[0] if grey else np.moveaxis(image, 0, -1))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in metrics for name in each)
    return {name: fmean(each[name] for each in metrics if name in each) for name in names}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0
