"""Pairs are told apart when, and only when, the numbers carry it."""

from itertools import combinations

import numpy as np
import pytest

from assay.compare.verdicts import beaten_by, judge
from assay.metrics.regression import rmse


def flips(rng, accuracy, examples=400):
    return (rng.random((3, examples)) < accuracy).astype(float)


def test_every_pair_gets_a_verdict_in_the_order_given():
    rng = np.random.default_rng(0)
    scores = {name: flips(rng, 0.9) for name in ("c", "a", "b")}
    assert [(v.a, v.b) for v in judge(scores)] == [("c", "a"), ("c", "b"), ("a", "b")]


def test_a_clear_difference_is_better_from_one_side_and_worse_from_the_other():
    rng = np.random.default_rng(1)
    good, bad = flips(rng, 0.95), flips(rng, 0.6)
    assert judge({"good": good, "bad": bad})[0].verdict == "better"
    assert judge({"bad": bad, "good": good})[0].verdict == "worse"
    assert beaten_by("bad", judge({"good": good, "bad": bad})) == ["good"]
    assert beaten_by("bad", judge({"bad": bad, "good": good})) == ["good"]
    assert beaten_by("good", judge({"good": good, "bad": bad})) == []


def test_of_twelve_equal_candidates_few_studies_find_any_difference():
    rng, studies = np.random.default_rng(2), 100
    found = 0
    for _ in range(studies):
        scores = {str(i): flips(rng, 0.9, examples=150) for i in range(12)}
        found += any(v.verdict != "not distinguishable" for v in judge(scores))
    assert found / studies <= 0.09  # 5 in 100, and what chance adds in 100 studies


def test_p_values_are_corrected_for_the_number_of_pairs():
    rng = np.random.default_rng(3)
    scores = {str(i): flips(rng, 0.9) for i in range(4)}
    verdicts = judge(scores)
    assert len(verdicts) == len(list(combinations(scores, 2)))
    assert min(verdicts, key=lambda v: v.p).p_holm == pytest.approx(
        min(1.0, 6 * min(v.p for v in verdicts))
    )


def test_the_correction_and_the_confidence_decide_what_is_told_apart():
    rng = np.random.default_rng(5)
    scores = {str(i): flips(rng, 0.9 - 0.02 * i, 2_000) for i in range(6)}
    found = {
        correction: sum(
            v.verdict != "not distinguishable" for v in judge(scores, correction=correction)
        )
        for correction in ("holm", "bh", "none")
    }
    assert found["holm"] < found["bh"] <= found["none"]
    lax = judge(scores, confidence=0.6)
    assert sum(v.verdict != "not distinguishable" for v in lax) > found["holm"]
    assert all(
        one.high - one.low < v.high - v.low for one, v in zip(lax, judge(scores), strict=True)
    )


def test_a_verdict_says_how_likely_and_how_costly():
    rng = np.random.default_rng(6)
    (v,) = judge({"a": flips(rng, 0.92), "b": flips(rng, 0.9)})
    assert v.better > 0.5
    assert 0.0 < v.loss < 0.02


def test_a_root_mean_square_is_compared_in_its_own_unit():
    rng = np.random.default_rng(4)
    truth = np.zeros(300)
    tables = {
        name: -np.stack([rmse(rng.normal(0, size, 300), truth).examples for _ in range(3)])
        for name, size in (("a", 2.0), ("b", 5.0))
    }
    (verdict,) = judge(tables)
    assert verdict.difference == pytest.approx(3.0, abs=0.4)
    assert verdict.low < verdict.difference < verdict.high
    assert verdict.verdict == "better"
    (mirrored,) = judge({"b": tables["b"], "a": tables["a"]})
    assert mirrored.loss - verdict.loss == pytest.approx(verdict.difference)


def test_errors_of_zero_on_both_sides_are_equal():
    zeros = np.zeros((2, 10))
    (verdict,) = judge({"a": zeros, "b": zeros})
    assert (verdict.difference, verdict.verdict) == (0.0, "not distinguishable")


def test_a_single_candidate_has_no_verdict():
    assert judge({"alone": np.ones((1, 5))}) == []
