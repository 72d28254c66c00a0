"""What the numbers support, pair by pair: better, worse, or not distinguishable."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import numpy as np

from assay.compare.result import PairVerdict
from assay.compare.statistics import LEVEL, Difference, holm, paired_test

Verdict = Literal["better", "worse", "not distinguishable"]


def judge(scores: Mapping[str, np.ndarray], *, squared_errors: bool = False) -> list[PairVerdict]:
    """Return a verdict on every pair, the p values corrected for the number of pairs.

    Args:
        scores: For every candidate a table of seeds by test examples; larger is better.
        squared_errors: Scores are negative squared errors: differences are given as those of the
            root mean square, which is what the ranking shows.
    """
    pairs = list(combinations(scores, 2))
    tests = [paired_test(scores[a], scores[b]) for a, b in pairs]
    corrected = holm([test.p for test in tests])
    return [
        _verdict(a, b, test, p_holm, _per_root(scores[a], scores[b]) if squared_errors else 1.0)
        for (a, b), test, p_holm in zip(pairs, tests, corrected, strict=True)
    ]


def beaten_by(name: str, verdicts: list[PairVerdict]) -> list[str]:
    """Return the candidates that have been shown better than `name`."""
    above = [v.a for v in verdicts if v.b == name and v.verdict == "better"]
    return above + [v.b for v in verdicts if v.a == name and v.verdict == "worse"]


def _verdict(a: str, b: str, test: Difference, p_holm: float, scale: float) -> PairVerdict:
    return PairVerdict(
        a=a,
        b=b,
        difference=test.mean * scale,
        low=test.low * scale,
        high=test.high * scale,
        p=test.p,
        p_holm=p_holm,
        verdict=_word(test.mean, p_holm),
    )


def _word(difference: float, p: float) -> Verdict:
    if p >= LEVEL:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


def _per_root(a: np.ndarray, b: np.ndarray) -> float:
    """Return what turns a difference of mean squares into one of their roots."""
    roots = float(np.sqrt(-a.mean()) + np.sqrt(-b.mean()))
    return 1.0 / roots if roots > 0 else 0.0
