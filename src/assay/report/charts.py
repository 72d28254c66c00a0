"""What the charts show, as plain values: the page and the PNG plots both draw from these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from assay.compare.result import CandidateResult, PairVerdict, SeedResult, StudyResult

COLORS = (  # one per candidate, by rank; told apart by people with the common colour blindnesses
    ("#0b7a75", "#2dc7bd"),  # on paper, on dark
    ("#d95f30", "#ff9366"),
    ("#5765c4", "#98a4ff"),
    ("#b58500", "#e8bd4a"),
    ("#a8417f", "#f08cc4"),
    ("#3c8a3f", "#7fd083"),
    ("#3a8fc9", "#78c4f7"),
    ("#b23b3b", "#ff8a8a"),
    ("#7a6a52", "#c9b594"),
    ("#67727e", "#a9b5c1"),
)
SHOWN_CURVES = 4  # candidates highlighted in the learning curves before the reader chooses
SHOWN_CLASSES = 24  # of a confusion matrix


def ranked(result: StudyResult) -> list[CandidateResult]:
    """Return the candidates that have a score, by rank."""
    return [c for c in result.candidates if c.score]


def front(points: Sequence[tuple[float, float]], *, higher_is_better: bool) -> list[int]:
    """Return which (cost, quality) points no other beats on both axes, by rising cost."""
    sign = 1 if higher_is_better else -1
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1]))
    best, kept = -math.inf, []
    for i in order:
        if sign * points[i][1] > best:
            best = sign * points[i][1]
            kept.append(i)
    return kept


def cost_points(result: StudyResult, cost: str) -> dict[str, Any]:
    """Return quality against one cost: points, and the front's indices into them.

    Args:
        result: What the study found.
        cost: A field of Measurement, such as latency_p50_ms.
    """
    points = [
        {
            "name": c.name,
            "color": index,
            "x": getattr(c.cost, cost),
            "y": c.score.mean,
            "low": c.score.low,
            "high": c.score.high,
            "recommended": c.recommended,
        }
        for index, c in enumerate(result.candidates)
        if c.score and c.cost and getattr(c.cost, cost) > 0
    ]
    pairs = [(p["x"], p["y"]) for p in points]
    return {"points": points, "front": front(pairs, higher_is_better=result.higher_is_better)}


def curves(result: StudyResult) -> list[dict[str, Any]]:
    """Return each candidate's validation curve: the mean over seeds, lowest and highest."""
    found = []
    for index, candidate in enumerate(result.candidates):
        rows = _curve_rows(candidate.seeds)
        if rows:
            keys = ("steps", "seconds", "mean", "low", "high")
            columns = dict(zip(keys, zip(*rows, strict=True), strict=True))
            found.append({"name": candidate.name, "color": index, "on": False, **columns})
    _switch_on(found, result.recommendation.candidate)
    return found


def _switch_on(found: list[dict[str, Any]], recommended: str | None) -> None:
    for place, curve in enumerate(found):
        curve["on"] = place < SHOWN_CURVES or curve["name"] == recommended


def _curve_rows(seeds: Iterable[SeedResult]) -> list[tuple[float, ...]]:
    """Return (step, seconds, mean, low, high) for each step at which a seed was evaluated."""
    at: dict[int, list[tuple[float, float]]] = {}
    for seed in seeds:
        for point in seed.curve:
            if math.isfinite(point.val_score):
                at.setdefault(point.step, []).append((point.seconds, point.val_score))
    return [_curve_row(step, at[step]) for step in sorted(at)]


def _curve_row(step: int, found: list[tuple[float, float]]) -> tuple[float, ...]:
    seconds, scores = [f[0] for f in found], [f[1] for f in found]
    mean = sum(scores) / len(scores)
    return (
        step,
        round(sum(seconds) / len(seconds), 4),
        *(round(v, 6) for v in (mean, min(scores), max(scores))),
    )


def verdict_of(pair: PairVerdict, row: str) -> str:
    """Return the pair's verdict as seen from `row`, which is one of the two."""
    if row == pair.a or pair.verdict == "not distinguishable":
        return pair.verdict
    return "worse" if pair.verdict == "better" else "better"


def loss_of(pair: PairVerdict, row: str) -> float:
    """Return what choosing `row`, one of the two, loses on average.

    Turned around it is E[max(d, 0)] = E[d] + E[max(-d, 0)], the difference and the other's loss.
    """
    return pair.loss if row == pair.a else max(pair.difference + pair.loss, 0.0)


def better_of(pair: PairVerdict, row: str) -> float:
    """Return the probability that `row`, one of the two, is truly better."""
    return pair.better if row == pair.a else 1 - pair.better


def versus(result: StudyResult) -> dict[str, str]:
    """Return each candidate's verdict against the recommended one."""
    chosen, found = result.recommendation.candidate, {}
    for pair in result.verdicts:
        if chosen in (pair.a, pair.b):
            other = pair.b if pair.a == chosen else pair.a
            found[other] = verdict_of(pair, other)
    return found


def verdict_matrix(result: StudyResult) -> tuple[list[str], list[list[str]]]:
    """Return the names by rank, and the verdict of each row against each column ("" is none)."""
    names = [c.name for c in ranked(result)]
    at = {frozenset((v.a, v.b)): v for v in result.verdicts}
    cells = [
        [verdict_of(pair, row) if (pair := at.get(frozenset((row, col)))) else "" for col in names]
        for row in names
    ]
    return names, cells


def beaten_by(result: StudyResult) -> dict[str, int]:
    """Return how many networks have been shown to beat each baseline."""
    found = dict.fromkeys((c.name for c in result.baselines), 0)
    for pair in result.against_baselines:
        if pair.verdict == "better" and pair.b in found:
            found[pair.b] += 1
    return found


def unbeaten(result: StudyResult) -> bool:
    """Return whether no network has been shown to beat every baseline."""
    opponents = {c.name for c in result.baselines if c.score}
    wins = {(v.a, v.b) for v in result.against_baselines if v.verdict == "better"}
    return bool(opponents) and not any(
        all((c.name, opponent) in wins for opponent in opponents) for c in ranked(result)
    )


def best_baseline(result: StudyResult) -> CandidateResult | None:
    """Return the best baseline that finished."""
    return next((c for c in result.baselines if c.score), None)


def confusion(result: StudyResult) -> dict[str, Any]:
    """Return the matrices to show, with no more than SHOWN_CLASSES classes each."""
    classes = [str(c) for c in result.data.get("classes", ())]
    found = [
        {"name": c.name, **_confusion_part(c.confusion, classes)}
        for c in ranked(result)
        if c.confusion and len(c.confusion) == len(classes)
    ]
    names = [f["name"] for f in found]
    chosen = result.recommendation.candidate
    start = names.index(chosen) if chosen in names else 0
    return {"matrices": found, "start": start, "total": len(classes)}


def _confusion_part(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> dict[str, Any]:
    """Keep the classes with most mistakes, in their own order, where there are too many."""
    size = len(classes)
    wrong = [_mistakes(matrix, k) for k in range(size)]
    worst = sorted(range(size), key=lambda k: -wrong[k])[:SHOWN_CLASSES]
    kept = sorted(worst)
    pairs = [(matrix[t][p], t, p) for t in range(size) for p in range(size) if t != p]
    return {
        "classes": [classes[k] for k in kept],
        "counts": [[matrix[t][p] for p in kept] for t in kept],
        "of": [sum(matrix[t]) for t in kept],
        "top": [[classes[t], classes[p], n] for n, t, p in sorted(pairs, key=_by_count)[:6] if n],
    }


def _by_count(pair: tuple[int, int, int]) -> tuple[int, int, int]:
    return -pair[0], pair[1], pair[2]


def _mistakes(matrix: Sequence[Sequence[int]], k: int) -> int:
    return sum(matrix[k]) + sum(row[k] for row in matrix) - 2 * matrix[k][k]
