"""Intervals hold what they promise, tests err no oftener than they say."""

import time

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from assay.compare.statistics import hierarchical_interval, holm, paired_test

STUDIES = 1_000
COVERED = 500  # each bootstraps, which takes longer
SEEDS, EXAMPLES = 3, 270


def right_or_wrong(rng, *, seeds=SEEDS, examples=None, easy=3.0, by_seed=0.2):
    """Each example has its difficulty, each seed its luck, and chance does the rest."""
    difficulty = easy + 2.0 * rng.standard_normal(EXAMPLES) if examples is None else examples
    luck = by_seed * rng.standard_normal((seeds, 1))
    return (difficulty + luck + rng.standard_normal((seeds, len(difficulty))) > 0).astype(float)


def truth(easy, by_seed):
    return float(ndtr(easy / np.sqrt(2.0**2 + by_seed**2 + 1.0)))


@pytest.mark.parametrize(("easy", "by_seed"), [(3.0, 0.0), (3.0, 0.3), (1.0, 0.2), (5.0, 0.2)])
def test_an_interval_holds_the_truth_in_95_of_100_studies(easy: float, by_seed: float):
    rng = np.random.default_rng(7)
    held = 0
    for study in range(COVERED):
        found = hierarchical_interval(right_or_wrong(rng, easy=easy, by_seed=by_seed), study)
        held += found.low <= truth(easy, by_seed) <= found.high
    assert 0.93 <= held / COVERED <= 0.985  # over 0.97 only where seeds do not differ at all


def test_an_interval_of_squared_errors_holds_the_truth_in_95_of_100_studies():
    rng, held = np.random.default_rng(8), 0
    for study in range(COVERED):
        error = rng.standard_normal(EXAMPLES) + 0.5 * rng.standard_normal((SEEDS, EXAMPLES))
        found = hierarchical_interval(error**2, study)
        held += found.low <= 1.25 <= found.high
    assert 0.93 <= held / COVERED <= 0.97


@pytest.mark.parametrize("by_seed", [0.0, 0.2, 0.5])
def test_equal_candidates_are_called_different_in_at_most_5_of_100_studies(by_seed: float):
    rng, wrong = np.random.default_rng(9), 0
    for _ in range(STUDIES):
        examples = 3.0 + 2.0 * rng.standard_normal(EXAMPLES)
        a, b = (right_or_wrong(rng, examples=examples, by_seed=by_seed) for _ in range(2))
        wrong += paired_test(a, b).p <= 0.05
    assert wrong / STUDIES <= 0.05


def test_a_real_difference_is_found_in_most_studies():
    rng, found = np.random.default_rng(10), 0
    for _ in range(200):
        examples = 3.0 + 2.0 * rng.standard_normal(EXAMPLES)
        a, b = right_or_wrong(rng, examples=examples), right_or_wrong(rng, examples=examples - 1.0)
        result = paired_test(a, b)
        found += result.p <= 0.05 and result.mean > 0 and result.low > 0
    assert found / 200 >= 0.8


def test_pairing_over_examples_finds_what_unpaired_scores_would_hide():
    rng = np.random.default_rng(11)
    difficulty = 3.0 * rng.standard_normal(400)
    a = difficulty + 0.1 * rng.standard_normal((3, 400)) + 0.1
    b = difficulty + 0.1 * rng.standard_normal((3, 400))
    assert paired_test(a, b).p < 0.01
    assert paired_test(a, b[:, ::-1]).p > 0.2  # the same scores, other examples


def test_one_seed_of_each_is_the_paired_t_test():
    rng = np.random.default_rng(12)
    a, b = rng.standard_normal((2, 1, 50))
    theirs = ttest_1samp((a - b)[0], 0.0)
    ours = paired_test(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_a_single_seed_borrows_its_spread_from_the_other_side():
    rng = np.random.default_rng(13)
    several = rng.standard_normal((3, 200)) + np.array([[0.0], [1.0], [2.0]])
    alone = several[1:2] + 0.5
    assert paired_test(alone, several).p > 0.1  # three seeds differ by far more than this
    assert paired_test(alone, several[1:2]).p < 1e-6  # these two networks do differ


def test_swapping_the_sides_mirrors_the_answer():
    rng = np.random.default_rng(14)
    a, b = right_or_wrong(rng), right_or_wrong(rng, seeds=2)
    one, other = paired_test(a, b), paired_test(b, a)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_the_same_predictions_are_equal_for_sure():
    table = right_or_wrong(np.random.default_rng(15))[:1]
    assert paired_test(table, table).p == 1.0


def test_three_examples_prove_nothing():
    assert paired_test(np.ones((3, 3)), np.zeros((3, 3))).p >= 0.25


def test_a_perfect_score_on_few_examples_is_not_certain():
    few, many = (hierarchical_interval(np.ones((3, n))) for n in (30, 3_000))
    assert few.mean == few.high == 1.0
    assert 0.80 < few.low < 0.95
    assert few.low < many.low < 1.0


def test_an_interval_stays_within_what_accuracy_can_be():
    table = np.zeros((2, 12))
    table[:, 0] = 1.0
    found = hierarchical_interval(table)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0


def test_more_seeds_narrow_an_interval():
    rng = np.random.default_rng(16)
    table = rng.standard_normal((12, 300)) + rng.standard_normal((12, 1))
    few, many = hierarchical_interval(table[:3]), hierarchical_interval(table)
    assert many.high - many.low < few.high - few.low


def test_an_interval_repeats():
    table = right_or_wrong(np.random.default_rng(17))
    assert hierarchical_interval(table, 5) == hierarchical_interval(table, 5)
    assert hierarchical_interval(table, 5) != hierarchical_interval(table, 6)


def test_holm_equals_statsmodels():
    rng = np.random.default_rng(18)
    for size in (1, 2, 66):
        ps = rng.random(size) ** 3
        assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))
    assert holm([]) == []


@pytest.mark.parametrize("kind", ["right or wrong", "squared errors"])
def test_ten_thousand_examples_of_three_seeds_take_little_time(kind: str):
    rng = np.random.default_rng(19)
    table = rng.random((3, 10_000))
    table = (table < 0.9).astype(float) if kind == "right or wrong" else table
    hierarchical_interval(table)
    began = time.process_time()
    hierarchical_interval(table)
    assert time.process_time() - began < 0.1
