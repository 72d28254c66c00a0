"""What the numbers support, pair by pair: better, worse, or not distinguishable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from assay.compare.result import PairVerdict
from assay.compare.statistics import Difference, adjust, paired_tests

Verdict = Literal["better", "worse", "not distinguishable"]
Correction = Literal["holm", "bh", "none"]


def judge(
    scores: Mapping[str, np.ndarray],
    *,
    confidence: float = 0.95,
    correction: Correction = "holm",
    squared_errors: bool = False,
) -> list[PairVerdict]:
    """Return a verdict on every pair, the p values corrected for the number of pairs.

    Args:
        scores: For every candidate a table of seeds by test examples; larger is better.
        confidence: A pair is told apart when its corrected p is below 1 - confidence, which lies
            between 0 and 1; each interval holds its truth with this share.
        correction: "holm" bounds the chance of any false difference, "bh" the share of false ones
            among those declared, "none" corrects nothing.
        squared_errors: Scores are negative squared errors: differences are given as those of the
            root mean square, which is what the ranking shows.

    Raises:
        BadArgumentError: Another correction.
    """
    tests = paired_tests(scores, confidence=confidence)
    corrected = adjust([test.p for test in tests.values()], correction)
    means = {name: float(np.mean(table)) for name, table in scores.items()}
    return [
        _verdict(
            (a, b), test, p, 1 - confidence, per_root(means[a], means[b]) if squared_errors else 1.0
        )
        for ((a, b), test), p in zip(tests.items(), corrected, strict=True)
    ]


def beaten_by(name: str, verdicts: list[PairVerdict]) -> list[str]:
    """Return the candidates that have been shown better than `name`."""
    above = [v.a for v in verdicts if v.b == name and v.verdict == "better"]
    return above + [v.b for v in verdicts if v.a == name and v.verdict == "worse"]


def per_root(a: float, b: float) -> float:
    """Return what turns a difference of mean squares into one of their roots.

    Args:
        a: Mean of one candidate's negative squared errors.
        b: Of the other's.
    """
    roots = abs(a) ** 0.5 + abs(b) ** 0.5
    return 1.0 / roots if roots > 0 else 0.0


def _verdict(
    pair: tuple[str, str], test: Difference, p: float, level: float, scale: float
) -> PairVerdict:
    return PairVerdict(
        a=pair[0],
        b=pair[1],
        difference=test.mean * scale,
        low=test.low * scale,
        high=test.high * scale,
        p=test.p,
        p_holm=p,
        verdict=_word(test.mean, p, level),
        better=test.better,
        loss=test.loss * scale,
    )


def _word(difference: float, p: float, level: float) -> Verdict:
    if p >= level:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"
