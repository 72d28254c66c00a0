"""From everything that the trials of a study left behind to what the report says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from assay.compare import findings
from assay.compare.baselines import against_baselines, label, verdict_on_baselines
from assay.compare.findings import Trained
from assay.compare.margin import margin_for
from assay.compare.outcomes import constant_metric, read_outcomes
from assay.compare.racing import Race
from assay.compare.recommend import recommend
from assay.compare.request import Request
from assay.compare.resolution import next_hour, resolution
from assay.compare.result import CandidateResult, PairVerdict, StudyResult, Tuned, TunedSetting
from assay.compare.suspicion import suspicions
from assay.compare.tuning import TuningResult
from assay.compare.verdicts import judge
from assay.data.check import suspicious_labels
from assay.data.concern import Concern
from assay.data.dataset import Dataset
from assay.engine.machine import machine, processor, versions
from assay.metrics import Metric
from assay.store.place import without_password

MOST_JUDGES = 12  # trials whose probabilities look for suspicious labels
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that an answer is made of.

    Attributes:
        networks: The candidates with their trials.
        opponents: The baselines, likewise.
        race: What decided on the seeds, in a sequential study.
        tuning: What was tried for each candidate before its trials.
        concerns: Of the data, noticed before any training.
        trials_run: By this process.
        at_once: Trials that run beside each other.
        outcomes: Returns the folder of a trial by its hash.
    """

    id: str
    created: str
    request: Request
    dataset: Dataset
    metric: Metric
    networks: Sequence[Trained]
    opponents: Sequence[Trained]
    race: Race | None
    tuning: tuple[TuningResult, ...]
    concerns: tuple[Concern, ...]
    trials_run: int
    at_once: int
    folder: Path
    outcomes: Callable[[str], Path]


def answer(found: Evidence, began: float) -> StudyResult:
    """Return the result of a study.

    Args:
        found: Of its trials.
        began: On the monotonic clock.
    """
    asked, data = found.request, found.dataset
    rows = _ranked(found.networks, found)
    baselines = [
        replace(row, label={"en": label(row.name, "en"), "zh": label(row.name, "zh")})
        for row in _ranked(found.opponents, found)
    ]
    tables = findings.score_tables(found.networks)
    ordered = {row.name: tables[row.name] for row in rows if row.name in tables}
    verdicts = _verdicts(ordered, found)
    against = _against(ordered, found)
    advice = recommend(
        rows,
        verdicts,
        prefer=asked.prefer,
        margin=margin_for(asked.margin, share=found.metric.share),
        higher_is_better=found.metric.higher_is_better,
        require=asked.requirements,
    )
    beaten = verdict_on_baselines(
        against, list(ordered), [b.name for b in baselines if b.score is not None]
    )
    seen = resolution(ordered, confidence=asked.confidence, points=found.metric.share)
    return StudyResult(
        id=found.id,
        created=found.created,
        command=told(asked).command(),
        data=data_facts(data),
        metric=found.metric.name,
        higher_is_better=found.metric.higher_is_better,
        budget=asked.budget,
        planned_steps=_planned_steps(found.networks),
        candidates=tuple(replace(r, recommended=r.name == advice.candidate) for r in rows),
        verdicts=verdicts,
        recommendation=advice,
        hardest=findings.hardest(found.networks, data),
        settings=told(asked).as_json(),
        versions=versions(),
        machine=_machine(found.networks),
        seconds=time.monotonic() - began,
        trials_run=found.trials_run,
        folder=str(found.folder),
        baselines=tuple(baselines),
        against_baselines=against,
        concerns=_concerns(found, ordered, against, beaten),
        resolution={"en": seen.sentence("en"), "zh": seen.sentence("zh")} if seen else {},
        next_hour=_next_hour(ordered, found, advice.candidate),
        against={"en": beaten.en, "zh": beaten.zh} if beaten else {},
        tuning=tuple(_tuned(result) for result in found.tuning),
        race={"en": found.race.why("en"), "zh": found.race.why("zh")} if found.race else {},
        dropped=found.race.dropped if found.race else {},
    )


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """Return what a result says of its data."""
    return {
        "name": dataset.name,
        "source": dataset.source,
        "task": dataset.task,
        "inputs": list(dataset.inputs),
        "classes": list(dataset.classes),
        "sizes": {part: len(getattr(dataset, part)) for part in ("train", "val", "test")},
        "content_hash": dataset.content_hash,
        "split_hash": dataset.split_hash,
        "split_seed": dataset.split_seed,
        "test_hash": sha256(dataset.test.tobytes()).hexdigest(),
        "notes": [dict(note) for note in dataset.notes],
        "folder": str(dataset.folder),
    }


def told(request: Request) -> Request:
    """Return the request as it is written down and shown: without the password of a server."""
    return replace(request, store=request.store and without_password(request.store))


def _ranked(trained: Sequence[Trained], found: Evidence) -> list[CandidateResult]:
    return findings.rank(trained, found.dataset, found.metric, found.request.confidence)


def _verdicts(tables: dict[str, np.ndarray], found: Evidence) -> tuple[PairVerdict, ...]:
    if found.race:
        failed = {
            t.candidate.name: sum(r.status == "failed" for r in t.records) for t in found.networks
        }
        return tuple(found.race.verdicts(tables, failed=failed))
    asked = found.request
    return tuple(
        judge(
            tables,
            confidence=asked.confidence,
            correction=asked.correction,
        )
    )


def _against(tables: dict[str, np.ndarray], found: Evidence) -> tuple[PairVerdict, ...]:
    asked = found.request
    return against_baselines(
        tables,
        findings.score_tables(found.opponents),
        confidence=asked.confidence,
        correction=asked.correction,
    )


def _concerns(
    found: Evidence,
    tables: dict[str, np.ndarray],
    against: Sequence[PairVerdict],
    beaten: Concern | None,
) -> tuple[Concern, ...]:
    """Return everything that was noticed, the gravest first."""
    constant = constant_metric(found.metric, tables)
    every = (
        *suspicions(found.networks, found.dataset, against=against),
        *((beaten,) if beaten and beaten.severity == "warning" else ()),
        *((constant,) if constant else ()),
        *found.concerns,
        *_labels(found),
    )
    return tuple(sorted(every, key=lambda concern: _ORDER.index(concern.severity)))


def _labels(found: Evidence) -> tuple[Concern, ...]:
    """Return a note on test examples whose labels the networks contradict together."""
    data = found.dataset
    if data.answers != "label":
        return ()
    done = [r.hash for t in found.networks for r in t.records if r.status == "finished"]
    if not done:
        return ()
    judges = read_outcomes([found.outcomes(trial) for trial in done[:MOST_JUDGES]])
    names = [data.ids[i] if data.ids else f"example {i}" for i in data.test]
    probs = np.mean([each.predicted for each in judges], axis=0)
    return suspicious_labels(probs, data.y[data.test], names, data.classes)


def _next_hour(
    tables: dict[str, np.ndarray], found: Evidence, recommended: str | None
) -> dict[str, str]:
    seconds = [r.train_seconds for t in found.networks for r in t.records if r.status == "finished"]
    if recommended is None or not seconds or not fmean(seconds):
        return {}
    return next_hour(
        tables,
        fmean(seconds),
        at_once=found.at_once,
        confidence=found.request.confidence,
        correction=found.request.correction,
        leader=recommended,
    )


def _tuned(result: TuningResult) -> Tuned:
    return Tuned(
        candidate=result.candidate,
        chosen=result.chosen,
        scaling=result.scaling,
        shares=tuple(rung.share for rung in result.rungs),
        settings=tuple(TunedSetting(**asdict(tried)) for tried in result.settings),
    )


def _machine(trained: Sequence[Trained]) -> dict[str, Any]:
    """Return what is to be said of this computer, and of the accelerator that trained."""
    name = next((spec.machine for t in trained for spec in t.specs), processor())
    return {**machine(), "processor": name}


def _planned_steps(trained: Sequence[Trained]) -> tuple[int, ...]:
    """Return the fewest and the most steps that the budget came to; none without networks."""
    steps = [spec.steps for t in trained for spec in t.specs]
    return (min(steps), max(steps)) if steps else ()
