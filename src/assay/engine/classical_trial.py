"""One trial of a classical opponent: the same files and the same record as a network's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from assay.canon.task import TASKS
from assay.data.batches import Normalise
from assay.data.dataset import Dataset
from assay.data.tokenizer import open_tokenizer
from assay.data.tokens import NOT_SCORED, PAD
from assay.data.windows import judged
from assay.engine import files
from assay.engine.classical import (
    METHODS,
    SQUARED_LENGTH,
    VALIDATION,
    Method,
    best_scale,
    probabilities,
    sample,
)
from assay.engine.classical_text import Tell
from assay.engine.flat import flat_shape
from assay.engine.machine import load, peak_memory_bytes, reset_peak_memory
from assay.engine.outcome import OUTCOME, Answers, write_outcome
from assay.engine.spec import Event, TrialRecord, TrialSpec
from assay.engine.trial import RECORD, check_split, make_folder, recorded
from assay.errors import StoreError
from assay.learners.masking import mask_by_example
from assay.metrics import evaluate
from assay.metrics.spans import count_spans
from assay.metrics.text import count_texts

Emit = Callable[[Event], None]

_VALUES_AT_ONCE = 2**23  # of examples predicted together


def run_classical(
    spec: TrialSpec, dataset: Dataset, folder: Path, *, emit: Emit | None = None
) -> TrialRecord:
    """Fit the method that the spec names, predict, and return the record.

    Into `folder` go `outcome.parquet` and, last, `record.json`. Nothing is drawn by chance: the
    same spec gives the same answers.

    Args:
        spec: `candidate.name` is one of `classical.METHODS`; `steps` is the number of training
            examples to learn from.
        dataset: Whose split hash is the spec's.
        folder: The trial's own; made if it is not there.
        emit: Told of start and end.

    Raises:
        StoreError: A file could not be written.
        TrialError: The data set is not the spec's.
    """
    check_split(spec, dataset)
    make_folder(folder)
    record = recorded(spec, folder)
    if record is None:
        tell = emit or _silent
        tell(Event(kind="start", candidate=spec.candidate.name, seed=spec.seed, steps=spec.steps))
        record = _failures_recorded(spec, dataset, folder)
        files.write_json(folder / RECORD, asdict(record))
        tell(_end(record))
    return record


@dataclass(frozen=True)
class _Fitted:
    """What a fitted method answers, and what that took."""

    predict: Any  # a Predict, or a Tell
    seconds: float
    cpu_seconds: float


def _failures_recorded(spec: TrialSpec, dataset: Dataset, folder: Path) -> TrialRecord:
    reset_peak_memory()
    try:
        with threadpool_limits(spec.plan.threads):
            return _complete(spec, dataset, folder)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a method that fails must not end the study
        first = next(iter(str(error).strip().splitlines()), "")
        return _record(spec, status="failed", reason=f"{type(error).__name__}: {first[:300]}")


def _complete(spec: TrialSpec, dataset: Dataset, folder: Path) -> TrialRecord:
    began = load()
    examples = _Examples(dataset, METHODS[spec.candidate.name])
    fitted = _fit(spec, dataset, examples)
    rows = {"val": dataset.val[_evenly(len(dataset.val), VALIDATION)]}
    if spec.test:
        rows["test"] = dataset.test
    answers = {}
    predicted = {part: examples.answers(fitted.predict, places) for part, places in rows.items()}
    if METHODS[spec.candidate.name].decides:
        scale = best_scale(predicted["val"], dataset.y[rows["val"]])
        predicted = {part: probabilities(scores, scale) for part, scores in predicted.items()}
    for part, places in rows.items():
        said, truth = predicted[part].astype(np.float32), dataset.y[places]
        if spec.task == "forecasting":
            said, truth = judged(said, dataset, places)
        answers[part] = Answers(example=places, truth=truth, predicted=said)
    facts = {"hash": spec.hash}
    write_outcome(folder / OUTCOME, answers, facts, TASKS[spec.task].answers)
    measured = {
        f"{part}_{name}": value
        for part, answer in answers.items()
        for name, value in evaluate(answer.predicted, answer.truth, spec.task).items()
    }
    return _record(spec, status="finished", fitted=fitted, metrics=measured, load_before=began)


def _fit(spec: TrialSpec, dataset: Dataset, examples: _Examples) -> _Fitted:
    targets = dataset.y[dataset.train]
    chosen = dataset.train[sample(targets, spec.steps, classes=len(dataset.classes))]
    x, y = examples.learned(chosen), np.ascontiguousarray(dataset.y[chosen])
    wall, cpu = time.perf_counter(), time.process_time()
    method = METHODS[spec.candidate.name]
    told = {name: dataset.preprocessing[name] for name in method.wants}
    predict = method.fits[spec.task](x, y, dataset.outputs, **told)
    return _Fitted(predict, time.perf_counter() - wall, time.process_time() - cpu)


class _Examples:
    """The rows of a data set as a method sees them: normalised, small, flat, of one length.

    A method may ask to see them as they are stored.
    """

    def __init__(self, dataset: Dataset, method: Method) -> None:
        self._dataset, self._method = dataset, method
        self._normalise = Normalise(dataset.preprocessing)
        self._shape = flat_shape(dataset.inputs, dataset.task)
        self._at_once = max(1, _VALUES_AT_ONCE // int(np.prod(self._dataset.x.shape[1:])))
        self._scale = 1.0

    def learned(self, rows: np.ndarray) -> np.ndarray:
        """Return the examples to learn from, and remember the scale that brings them to length."""
        x = np.concatenate(list(self._pieces(rows)))
        if self._method.stored:
            return x
        length = float(np.einsum("nf,nf->", x, x, dtype=np.float64)) / len(x)
        self._scale = (SQUARED_LENGTH / length) ** 0.5 if length > 0 else 1.0
        x *= np.float32(self._scale)
        return x

    def answers(self, predict: Any, rows: np.ndarray) -> np.ndarray:
        """Return what `predict` says of those rows: its answers, or the sums of token tasks."""
        if TASKS[self._dataset.task].sums:
            starts = range(0, len(rows), self._at_once)
            parts = [self._sums(predict, rows[i : i + self._at_once]) for i in starts]
            return np.concatenate(parts)
        pieces = self._pieces(rows)
        if self._method.stored:
            return np.concatenate([predict(piece) for piece in pieces])
        scale = np.float32(self._scale)
        return np.concatenate([predict(piece * scale) for piece in pieces])

    def _sums(self, tell: Tell, rows: np.ndarray) -> np.ndarray:
        """Return the columns of `metrics.tokens.COLUMNS`."""
        x, truth = self._asked(rows)
        nats, chosen, *written = tell(x[:, :0] if self._method.blind else x, truth)
        scored = truth != NOT_SCORED
        right = (chosen == truth) & scored
        sums = np.stack([np.where(scored, nats, 0).sum(1), right.sum(1), scored.sum(1)], axis=1)
        if self._dataset.task == "text-to-text":
            return np.concatenate([sums, self._texts(written[0], self._dataset.y[rows])], axis=1)
        if TASKS[self._dataset.task].answers == "tokens":
            return sums
        return np.concatenate([sums, count_spans(chosen, truth, self._dataset.classes)], axis=1)

    def _asked(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what a network is given of those rows, and what is scored of its answers."""
        x, y = self._dataset.x[rows], self._dataset.y[rows]
        if self._dataset.task == "text-to-text":
            return x, np.where(y == PAD, NOT_SCORED, y)
        if self._dataset.task == "masked-language-modeling":
            masked, labels = mask_by_example(torch.from_numpy(x).long(), self._dataset.outputs)
            return masked.numpy(), labels.numpy()
        return x, y

    def _texts(self, written: np.ndarray, meant: np.ndarray) -> np.ndarray:
        """Return the columns that compare two texts."""
        decode = open_tokenizer(self._dataset.preprocessing["tokenizer"]).decode
        said, truth = ([decode(row) for row in each.tolist()] for each in (written, meant))
        return count_texts(said, truth)

    def _pieces(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        if self._method.blind:
            yield np.empty((len(rows), 0), np.float32)
            return
        for start in range(0, len(rows), self._at_once):
            if self._method.stored:
                yield self._dataset.x[rows[start : start + self._at_once]]
                continue
            x = torch.from_numpy(self._dataset.x[rows[start : start + self._at_once]])
            yield self._small(self._normalise(x)).flatten(1).numpy()

    def _small(self, x: Tensor) -> Tensor:
        """Average what is large down to a few thousand values."""
        if tuple(x.shape[1:]) == self._shape:
            return x
        if x.ndim == 4:
            _, height, width = self._shape
            return F.adaptive_avg_pool2d(x, (height, width))
        return F.adaptive_avg_pool1d(x.transpose(1, 2), self._shape[0])


def _record(
    spec: TrialSpec,
    *,
    status: str,
    reason: str = "",
    fitted: _Fitted | None = None,
    metrics: Mapping[str, float] | None = None,
    load_before: float = 0.0,
) -> TrialRecord:
    seconds = fitted.seconds if fitted else 0.0
    return TrialRecord(
        hash=spec.hash,
        candidate=spec.candidate.name,
        seed=spec.seed,
        status="finished" if status == "finished" else "failed",
        reason=reason,
        steps=spec.steps if fitted else 0,
        best_step=spec.steps if fitted else 0,
        train_seconds=seconds,
        cpu_seconds=fitted.cpu_seconds if fitted else 0.0,
        samples_per_second=spec.steps / seconds if seconds else 0.0,
        peak_memory_bytes=peak_memory_bytes(),
        load=load_before,
        metrics=dict(metrics or {}),
        spec=json.loads(json.dumps(asdict(spec))),
    )


def _end(record: TrialRecord) -> Event:
    failed = record.status == "failed"
    score = record.metrics.get("val_accuracy", record.metrics.get("val_r2"))
    return Event(
        kind="fail" if failed else "finish",
        candidate=record.candidate,
        seed=record.seed,
        step=record.steps,
        steps=record.steps,
        score=score,
        text=record.reason,
    )


def _evenly(available: int, wanted: int) -> np.ndarray:
    count = min(available, wanted)
    return np.arange(count) * available // count


def _silent(event: Event) -> None:
    del event
