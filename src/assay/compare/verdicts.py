"""What the numbers support, pair by pair: better, worse, or not distinguishable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from assay.compare.mcnemar import mcnemar, right_or_wrong
from assay.compare.result import PairVerdict
from assay.compare.statistics import Difference, adjust, paired_tests

Verdict = Literal["better", "worse", "not distinguishable"]
Correction = Literal["holm", "bh", "none"]


def judge(
    scores: Mapping[str, np.ndarray],
    *,
    confidence: float = 0.95,
    correction: Correction = "holm",
) -> list[PairVerdict]:
    """Return a verdict on every pair, the p values corrected for the number of pairs.

    Args:
        scores: For every candidate a table of seeds by test examples; larger is better.
        confidence: A pair is told apart when its corrected p is below 1 - confidence, which lies
            between 0 and 1; each interval holds its truth with this share.
        correction: "holm" bounds the chance of any false difference, "bh" the share of false ones
            among those declared, "none" corrects nothing.

    Raises:
        BadArgumentError: Another correction.
    """
    tests = paired_tests(scores, confidence=confidence)
    corrected = adjust([test.p for test in tests.values()], correction)
    found = [
        verdict_of(pair, test, test.p, p, 1 - confidence)
        for (pair, test), p in zip(tests.items(), corrected, strict=True)
    ]
    return _with_mcnemar(found, scores)


def _with_mcnemar(found: list[PairVerdict], scores: Mapping[str, np.ndarray]) -> list[PairVerdict]:
    """Add McNemar's test to the pairs of one seed each whose answers are right or wrong."""
    once = {
        name: table[0]
        for name, table in scores.items()
        if len(table) == 1 and right_or_wrong(table)
    }
    return [
        replace(v, mcnemar=mcnemar(once[v.a], once[v.b])) if {v.a, v.b} <= once.keys() else v
        for v in found
    ]


def beaten_by(name: str, verdicts: list[PairVerdict]) -> list[str]:
    """Return the candidates that have been shown better than `name`."""
    above = [v.a for v in verdicts if v.b == name and v.verdict == "better"]
    return above + [v.b for v in verdicts if v.a == name and v.verdict == "worse"]


def verdict_of(
    pair: tuple[str, str], test: Difference, p: float, corrected: float, level: float
) -> PairVerdict:
    """Return what a test says of a pair.

    Args:
        pair: Names; positive differences favour the first.
        test: Whose interval and effects are told.
        p: Before it was corrected.
        corrected: For the number of pairs; below `level` the pair is told apart.
        level: The error rate.
    """
    return PairVerdict(
        a=pair[0],
        b=pair[1],
        difference=test.mean,
        low=test.low,
        high=test.high,
        p=p,
        p_holm=corrected,
        verdict=_word(test.mean, corrected, level),
        better=test.better,
        loss=test.loss,
    )


def _word(difference: float, p: float, level: float) -> Verdict:
    if p >= level:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"
