"""`--splits K`: the same comparison on K divisions of the data, joined into one answer.

Each division is a study of its own, on record like any other. What their mean scores support is
told by the corrected test over splits, see `resampling`; how the trials of one division differ by
seed is in that division's own report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from assay.compare.margin import margin_for
from assay.compare.recommend import recommend
from assay.compare.resampling import resampled_test
from assay.compare.result import CandidateResult, Estimate, PairVerdict, StudyResult
from assay.compare.statistics import adjust
from assay.data.concern import Concern
from assay.engine.spec import digest
from assay.errors import BadArgumentError
from assay.metrics import metric_for

if TYPE_CHECKING:
    from assay.compare.request import Request

Scores = Mapping[str, Sequence[float]]  # of each candidate: its mean on every split
RunOne = Callable[["Request"], StudyResult]


def run_splits(asked: Request, run_one: RunOne) -> StudyResult:
    """Run one study for each division and join what they found.

    Args:
        asked: With `splits` of 2 or more; division i takes the split seed `split_seed` + i.
        run_one: Runs, or continues, the study of one division.

    Raises:
        BadArgumentError: The data come with a test part of their own, which no seed moves.
    """
    began = time.monotonic()
    results: list[StudyResult] = []
    for number in range(asked.splits):
        results.append(run_one(replace(asked, splits=1, split_seed=asked.split_seed + number)))
        _refuse_given(results, asked)
    return replace(join(results, asked), seconds=time.monotonic() - began)


def join(results: Sequence[StudyResult], asked: Request) -> StudyResult:
    """Return one result for K divisions; candidates that failed on any of them come last.

    Raises:
        BadArgumentError: Fewer than two results.
    """
    first = results[0]
    share = _test_share(first)
    rows = [_joined(c.name, results, share, asked.confidence) for c in first.candidates]
    sign = -1.0 if first.higher_is_better else 1.0
    rows.sort(key=lambda r: (r.score is None, sign * r.score.mean if r.score else 0.0, r.name))
    ranked = [replace(row, rank=place) for place, row in enumerate(rows, start=1)]
    scores = {row.name: _means(row.name, results) for row in ranked if row.score}
    verdicts = judge_splits(
        scores,
        test_share=share,
        confidence=asked.confidence,
        correction=asked.correction,
        higher_is_better=first.higher_is_better,
    )
    metric = metric_for(asked.metric, first.data["task"], first.data["classes"])
    advice = recommend(
        ranked,
        verdicts,
        prefer=asked.prefer,
        margin=margin_for(asked.margin, share=metric.share),
        higher_is_better=metric.higher_is_better,
        require=asked.requirements,
    )
    return replace(
        first,
        id=digest([result.id for result in results])[:12],
        command=asked.command(),
        candidates=tuple(replace(r, recommended=r.name == advice.candidate) for r in ranked),
        verdicts=tuple(verdicts),
        recommendation=advice,
        settings=asked.as_json(),
        trials_run=sum(result.trials_run for result in results),
        baselines=(),
        against_baselines=(),
        concerns=(_told(results, share), *_concerns(results)),
        resolution={},
        next_hour={},
    )


def judge_splits(
    scores: Scores,
    *,
    test_share: float,
    confidence: float = 0.95,
    correction: str = "holm",
    higher_is_better: bool = True,
) -> list[PairVerdict]:
    """Return a verdict on every pair by the corrected test over splits.

    Args:
        scores: Of each candidate, its mean on every split, in one order.
        test_share: Share of the examples that a split tests on.
        confidence: Of verdicts and intervals.
        correction: Of the p values for their number.
        higher_is_better: Whether a larger score is the better one.
    """
    sign = 1.0 if higher_is_better else -1.0
    turned = {name: sign * np.asarray(values) for name, values in scores.items()}
    pairs = list(combinations(turned, 2))
    tests = [
        resampled_test(turned[a], turned[b], test_share=test_share, confidence=confidence)
        for a, b in pairs
    ]
    corrected = adjust([test.p for test in tests], correction)
    return [
        PairVerdict(
            a=a,
            b=b,
            difference=test.mean,
            low=test.low,
            high=test.high,
            p=test.p,
            p_holm=p,
            verdict=(
                "not distinguishable"
                if p >= 1 - confidence
                else "better"
                if test.mean > 0
                else "worse"
            ),
            better=test.better,
            loss=test.loss,
        )
        for (a, b), test, p in zip(pairs, tests, corrected, strict=True)
    ]


def _row(name: str, result: StudyResult) -> CandidateResult:
    return next(c for c in result.candidates if c.name == name)


def _means(name: str, results: Sequence[StudyResult]) -> list[float]:
    scores = [_row(name, result).score for result in results]
    return [score.mean for score in scores if score is not None]


def _joined(
    name: str, results: Sequence[StudyResult], share: float, confidence: float
) -> CandidateResult:
    """Return a candidate's row over all splits; cost and recipe are those of the first."""
    rows = [_row(name, result) for result in results]
    means = _means(name, results)
    whole = len(means) == len(results)
    score = None
    if whole:
        test = resampled_test(means, np.zeros(len(means)), test_share=share, confidence=confidence)
        score = Estimate(test.mean, test.low, test.high)
    return replace(
        rows[0],
        score=score,
        metrics={k: fmean(row.metrics[k] for row in rows) for k in rows[0].metrics}
        if whole
        else {},
        seeds=tuple(seed for row in rows for seed in row.seeds),
        train_seconds=fmean(row.train_seconds for row in rows),
        samples_per_second=fmean(row.samples_per_second for row in rows),
        confusion=_summed([row.confusion for row in rows]) if whole else (),
    )


def _summed(tables: Sequence[tuple[tuple[int, ...], ...]]) -> tuple[tuple[int, ...], ...]:
    if not tables[0]:
        return ()
    return tuple(tuple(int(n) for n in row) for row in np.sum(np.asarray(tables), axis=0))


def _test_share(result: StudyResult) -> float:
    sizes = result.data["sizes"]
    return float(sizes["test"] / (sizes["test"] + sizes["train"]))


def _refuse_given(results: Sequence[StudyResult], asked: Request) -> None:
    """A test part that came with the data is the same for every seed: nothing to repeat."""
    if len(results) == 2 and results[0].data["test_hash"] == results[1].data["test_hash"]:
        raise BadArgumentError(
            "`splits` needs data that can be divided anew. Received "
            f"splits={asked.splits} for {results[0].data['name']}, whose test part is given; leave "
            "--splits out."
        )


def _told(results: Sequence[StudyResult], share: float) -> Concern:
    count, ids = len(results), ", ".join(result.id for result in results)
    return Concern(
        kind="splits",
        severity="note",
        en=f"Joined from {count} divisions of the data, each testing on {share:.0%} of what it "
        f"trains or tests on (runs {ids}). Intervals and verdicts are over divisions, by the "
        "corrected test of Nadeau and Bengio (2003).",
        zh=f"由 {count} 次数据划分合并而成，每次以训练与测试样本的 {share:.0%} 作测试"
        f"（运行 {ids}）。区间与结论针对划分而言，采用 Nadeau 与 Bengio（2003）的校正检验。",
    )


def _concerns(results: Sequence[StudyResult]) -> tuple[Concern, ...]:
    """Return what was noticed on any division, once each."""
    return tuple(dict.fromkeys(c for result in results for c in result.concerns))
