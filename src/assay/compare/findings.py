"""From the records and predictions of trials to what a study found."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

import numpy as np

from assay.compare.result import CandidateResult, Estimate, Hard, SeedResult
from assay.compare.statistics import hierarchical_interval
from assay.data.dataset import Dataset
from assay.data.names import shown
from assay.data.tokenizer import open_tokenizer
from assay.data.windows import judged
from assay.engine.spec import Candidate, Measurement, TrialRecord, TrialSpec
from assay.metrics import Metric

SHOWN_HARD = 12
SHOWN_TEXT = 80  # characters of a text


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A candidate with everything its trials left behind."""

    candidate: Candidate
    specs: tuple[TrialSpec, ...]  # by seed; empty when it could not be planned
    records: tuple[TrialRecord, ...]  # in the same order
    predicted: np.ndarray  # (seeds that finished, test examples, ...): labels, values or sums
    scores: np.ndarray  # seeds by examples: what the metric makes of them; more is better
    cost: Measurement | None
    failure: str = ""  # why it could not be planned


def score_tables(trained: Sequence[Trained]) -> dict[str, np.ndarray]:
    """Return for each candidate that finished a table of seeds by test examples; more is better."""
    return {t.candidate.name: t.scores for t in trained if len(t.scores)}


def rank(
    trained: Sequence[Trained], dataset: Dataset, metric: Metric, confidence: float = 0.95
) -> list[CandidateResult]:
    """Return the candidates, the best first, the failed last.

    Args:
        trained: In any order.
        dataset: That they were trained on.
        metric: What `Trained.scores` are of.
        confidence: Of the intervals.
    """
    rows = [_row(t, dataset, metric, confidence) for t in trained]
    sign = -1.0 if metric.higher_is_better else 1.0
    rows.sort(key=lambda r: (r.score is None, sign * r.score.mean if r.score else 0.0, r.name))
    return [replace(row, rank=place) for place, row in enumerate(rows, start=1)]


def hardest(trained: Sequence[Trained], dataset: Dataset) -> tuple[Hard, ...]:
    """Return the test examples that most trials of all candidates got wrong, the worst first."""
    every = [t.predicted for t in trained if len(t.predicted)]
    if not every:
        return ()
    predicted = np.vstack(every)
    wrong = _wrong(predicted, dataset).mean(axis=0)
    worst = np.argsort(-wrong, kind="stable")[:SHOWN_HARD]
    return tuple(
        _hard(dataset, int(i), predicted[:, i], float(wrong[i])) for i in worst if wrong[i]
    )


def _wrong(predicted: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return how wrong each trial is on each test example, (trials, N)."""
    truth = dataset.y[dataset.test]
    if dataset.answers == "label":
        return predicted != truth
    if dataset.answers == "value":
        return np.abs(predicted - truth)
    if dataset.answers == "values":
        _, came = judged(predicted[0], dataset, dataset.test)
        return np.abs(predicted - came[:, :-1]).mean(axis=2)
    return _share_wrong(predicted)


def _share_wrong(sums: np.ndarray) -> np.ndarray:
    """Return the share of an example's tokens that are wrong, from the columns right and tokens."""
    return 1 - sums[..., 1] / np.maximum(sums[..., 2], 1)


def _row(trained: Trained, dataset: Dataset, metric: Metric, confidence: float) -> CandidateResult:
    done = [r for r in trained.records if r.status == "finished"]
    plan = trained.specs[0].plan if trained.specs else None
    return CandidateResult(
        name=trained.candidate.name,
        family=trained.candidate.family,
        adaptation=dict(trained.candidate.adaptation),
        rank=0,
        score=_estimate(trained.scores, metric, confidence) if len(trained.scores) else None,
        metrics=_means([r.metrics for r in done]),
        seeds=_seeds(trained, metric),
        cost=trained.cost,
        train_seconds=_mean([r.train_seconds for r in done]),
        samples_per_second=_mean([r.samples_per_second for r in done]),
        confusion=_confusion(trained.predicted, dataset) if len(trained.predicted) else (),
        recipe=asdict(trained.candidate.recipe),
        plan=asdict(plan) if plan else {},
    )


def _estimate(table: np.ndarray, metric: Metric, confidence: float) -> Estimate:
    """Return the metric with its interval, which stays within what the metric can be."""
    found = hierarchical_interval(table, confidence=confidence)
    if not metric.higher_is_better:
        found = Estimate(-found.mean, -found.high, -found.low)
    least, most = metric.bounds
    return Estimate(found.mean, max(found.low, least), min(found.high, most))


def _seeds(trained: Trained, metric: Metric) -> tuple[SeedResult, ...]:
    if trained.failure:
        return (SeedResult(seed=0, hash="", status="failed", reason=trained.failure),)
    sign = 1.0 if metric.higher_is_better else -1.0
    scores = iter(sign * trained.scores.mean(axis=1) if len(trained.scores) else ())
    return tuple(
        SeedResult(
            seed=r.seed,
            hash=r.hash,
            status=r.status,
            reason=r.reason,
            score=float(next(scores)) if r.status == "finished" else math.nan,
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
    """Return how often each class was taken for each, over all seeds; none of other answers."""
    if dataset.answers != "label":
        return ()
    size = len(dataset.classes)
    truth = np.broadcast_to(dataset.y[dataset.test], predicted.shape)
    counts = np.bincount((truth * size + predicted).ravel(), minlength=size * size)
    return tuple(tuple(int(n) for n in row) for row in counts.reshape(size, size))


def _hard(dataset: Dataset, place: int, predicted: np.ndarray, wrong: float) -> Hard:
    row = int(dataset.test[place])
    if dataset.answers == "label":
        truth = dataset.classes[int(dataset.y[row])]
        wrongly = predicted[predicted != dataset.y[row]]
        answer = dataset.classes[int(np.bincount(wrongly.astype(np.int64)).argmax())]
    elif dataset.answers == "value":
        truth, answer = f"{float(dataset.y[row]):.4g}", f"{float(predicted.mean()):.4g}"
    elif dataset.answers == "values":
        truth, answer = "", f"{float(predicted.mean()):.4g}"
    else:
        truth, answer = "", f"{_share_wrong(predicted).mean():.0%} of the tokens wrong"
    name = dataset.ids[row] if dataset.ids else f"example {row}"
    if dataset.kind == "tokens":
        name = f"{name}: {_text(dataset, row)}"
    png = _png(dataset.x[row]) if dataset.kind == "image" else ""
    return Hard(id=name, truth=truth, predicted=answer, wrong=wrong, png=png)


def _text(dataset: Dataset, row: int) -> str:
    """Return the beginning of what an example says."""
    tokenizer = open_tokenizer(dataset.preprocessing["tokenizer"])
    words = tokenizer.decode(dataset.x[row].tolist()).split()
    return shown(" ".join(words), most=SHOWN_TEXT)


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
