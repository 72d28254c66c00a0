"""Intervals hold what they promise, tests err no oftener than they say."""

import re
import time

import numpy as np
import pytest
from pandas import DataFrame
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import bootstrap, chi2, skew, ttest_1samp, ttest_ind, ttest_rel
from scipy.stats import t as student
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import CompareMeans

from assay.compare.moments import Moments, joint_freedom, satterthwaite
from assay.compare.statistics import (
    adjust,
    differences,
    hierarchical_interval,
    paired_test,
    paired_tests,
    t_below,
    t_quantile,
)
from assay.errors import BadArgumentError

STUDIES = 500
SEEDS, EXAMPLES = 3, 270
STUDIES_OF_NORMALS = 20_000


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
    for _ in range(STUDIES):
        found = hierarchical_interval(right_or_wrong(rng, easy=easy, by_seed=by_seed))
        held += found.low <= truth(easy, by_seed) <= found.high
    assert 0.93 <= held / STUDIES <= 0.98


def test_an_interval_of_squared_errors_holds_the_truth_in_95_of_100_studies():
    rng, held = np.random.default_rng(8), 0
    for _ in range(STUDIES):
        error = rng.standard_normal(EXAMPLES) + 0.5 * rng.standard_normal((SEEDS, EXAMPLES))
        found = hierarchical_interval(error**2)
        held += found.low <= 1.25 <= found.high
    assert 0.93 <= held / STUDIES <= 0.97


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


def test_one_seed_against_several_is_crawford_and_howells_test():
    rng = np.random.default_rng(26)
    alone, several = np.full((1, 50), 1.7), np.repeat(rng.standard_normal((4, 1)), 50, axis=1)
    by_seed = several[:, 0]
    t = (1.7 - by_seed.mean()) / (by_seed.std(ddof=1) * (1 + 1 / 4) ** 0.5)
    ours = paired_test(alone, several)
    assert ours.freedom == pytest.approx(3.0)
    assert ours.p == pytest.approx(2 * student.sf(abs(t), 3))


def test_a_borrowed_spread_brings_its_chance_once():
    rng = np.random.default_rng(27)
    tables = rng.standard_normal((400, 4, 100))  # all is chance: 1/100 for the one, 1/300 for three
    found = np.mean([paired_test(table[:1], table[1:]).variance for table in tables])
    assert found == pytest.approx(4 / 300, rel=0.15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-160, 1e-15, 1.0, 1e100])
def test_no_size_of_scores_breaks_the_search_for_p(size: float):
    rng = np.random.default_rng(28)
    near = 1.0 + 1e-16 * rng.standard_normal((2, 40))  # two seeds that all but agree
    tables = {
        "near": near * size,
        "far": (near + 5.0) * size,
        "loose": rng.standard_normal((2, 40)) * size,
        "one": np.full((1, 40), size),
    }
    assert all(0.0 <= test.p <= 1.0 for test in paired_tests(tables).values())


@pytest.mark.filterwarnings("error")
def test_differences_of_nearly_nothing_are_equal():
    level = np.random.default_rng(29).integers(-8, 9, (4, 64)) / 8.0
    for power in range(36, 49):
        other = np.roll(level, 1, axis=1)
        other[0, 0] += 2.0**-power  # the means differ by so much / 256, exactly
        assert paired_test(level, other).p == pytest.approx(1.0, abs=1e-6)


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


def test_a_higher_confidence_widens_an_interval_and_changes_no_p():
    rng = np.random.default_rng(17)
    a, b = right_or_wrong(rng), right_or_wrong(rng)
    usual, sure = paired_test(a, b), paired_test(a, b, confidence=0.99)
    assert sure.low < usual.low < usual.high < sure.high
    assert sure.p == usual.p
    assert hierarchical_interval(a, confidence=0.5).low > hierarchical_interval(a).low


def test_seeds_that_are_all_the_noise_make_it_welchs_t_test():
    rng = np.random.default_rng(20)
    a, b = rng.standard_normal((6, 1)), 2.0 * rng.standard_normal((4, 1)) + 0.3
    theirs = ttest_ind(a[:, 0], b[:, 0], equal_var=False)
    ours = paired_test(np.repeat(a, 50, axis=1), np.repeat(b, 50, axis=1))
    assert ours.p == pytest.approx(theirs.pvalue)
    # the interval is between those of Welch's two forms, of 1938, which is SciPy's, and of 1947
    first, error = theirs.df, ours.variance**0.5
    of_a, of_b = a.var(ddof=1) / 6, b.var(ddof=1) / 4
    last = (of_a + of_b) ** 2 / (of_a**2 / 7 + of_b**2 / 5) - 2
    assert tuple(theirs.confidence_interval()) == pytest.approx(
        tuple(ours.mean + sign * student.ppf(0.975, first) * error for sign in (-1, 1))
    )
    assert first < ours.freedom < last
    assert ours.high - ours.mean == pytest.approx(student.ppf(0.975, ours.freedom) * error)


def test_shared_seeds_that_are_all_the_noise_make_it_the_paired_t_test():
    rng = np.random.default_rng(21)
    luck = 3.0 * rng.standard_normal((5, 1))
    a, b = luck + 0.1 * rng.standard_normal((5, 1)), luck + 0.1 * rng.standard_normal((5, 1)) + 0.2
    tables = np.repeat(a, 50, axis=1), np.repeat(b, 50, axis=1)
    assert paired_test(*tables, seeds_shared=True).p == pytest.approx(
        ttest_rel(a[:, 0], b[:, 0]).pvalue
    )
    assert paired_test(*tables).p > 0.5  # unpaired, the luck hides the difference


def test_shared_seeds_must_be_as_many_on_either_side():
    text = (
        "`seeds_shared` must be given with as many seeds of one candidate as of the other. "
        "Received 2 and 3; leave it out."
    )
    with pytest.raises(BadArgumentError, match=re.escape(text)):
        paired_test(np.ones((2, 4)), np.ones((3, 4)), seeds_shared=True)


def test_the_variance_parts_equal_those_of_an_analysis_of_variance():
    rng = np.random.default_rng(22)
    a, b = rng.standard_normal((2, 4, 60)) + rng.standard_normal((2, 4, 1))
    a, b = a + rng.standard_normal(60), b + rng.standard_normal(60)

    def squares(table):  # mean squares of rows and of the rest, by definition
        rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
        rest = table - rows - columns + table.mean()
        return 60 * rows.var(ddof=1), (rest**2).sum() / (3 * 59)

    (rows_a, rest_a), (rows_b, rest_b) = squares(a), squares(b)
    examples = (a.mean(axis=0) - b.mean(axis=0)).var(ddof=1) / 60 - (rest_a + rest_b) / 240
    ours = paired_test(a, b)
    assert ours.variance == pytest.approx(examples + (rows_a + rows_b) / 240)
    seeds, alike = (rows_a + rows_b) / 240, (rows_a + rows_b) ** 2 / (rows_a**2 + rows_b**2)
    welch = 3.5 * alike - 0.5
    odds = examples**2 / seeds**2 * (1 - 0.9 / welch)
    assert ours.freedom == pytest.approx((odds + 1) / (odds / 59 + 1 / welch))


@pytest.mark.parametrize(
    ("seeds", "least", "most"),
    [(2, 0.933, 0.965), (3, 0.949, 0.957), (5, 0.949, 0.961), (10, 0.949, 0.959)],
)
def test_an_interval_of_one_candidate_holds_whatever_the_share_of_seeds(
    seeds: int, least: float, most: float
):
    drawn = chi2.ppf((np.arange(20_000) + 0.5) / 20_000, seeds - 1) / (seeds - 1)
    freedoms = np.full((2, len(drawn)), [[1e6], [seeds - 1.0]])
    held = []
    for share in (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995, 1.0):
        parts = np.stack([0.0 * drawn + 1.0 - share, share * drawn])
        reach = t_quantile(joint_freedom(parts, freedoms), 0.95)
        held.append(np.mean(2 * ndtr(reach * parts.sum(axis=0) ** 0.5) - 1))
    assert least <= min(held) <= max(held) <= most


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.916), (3, 0.934), (5, 0.942)])
def test_an_interval_holds_however_unlike_the_seeds_of_both_sides_spread(seeds: int, least: float):
    rng, held = np.random.default_rng(30), []
    difference = rng.standard_normal(STUDIES_OF_NORMALS)  # of variance 1
    drawn = rng.chisquare(seeds - 1, (2, STUDIES_OF_NORMALS)) / (seeds - 1)
    freedoms = np.repeat([[9_999.0], [seeds - 1.0], [seeds - 1.0]], STUDIES_OF_NORMALS, axis=1)
    for examples in (0.0, 0.05, 0.1, 0.3, 0.9):  # the part of the variance that is theirs
        for other in (1.0, 0.3, 0.1, 0.03, 0.0):  # times the variance of the one side's seeds
            one = (1.0 - examples) / (1.0 + other)
            parts = np.stack([examples + 0.0 * difference, one * drawn[0], other * one * drawn[1]])
            t = np.abs(difference) / parts.sum(axis=0) ** 0.5
            held.append(np.mean(2 * t_below(joint_freedom(parts, freedoms), -t) > 0.05))
    assert least <= min(held) <= max(held) <= 0.973


def test_the_moments_of_a_table_equal_statsmodels_analysis_of_variance():
    rng = np.random.default_rng(31)
    table = rng.standard_normal((4, 30)) + rng.standard_normal((4, 1)) + rng.standard_normal(30)
    seed, example = (of.ravel() for of in np.indices(table.shape))
    data = DataFrame({"score": table.ravel(), "seed": seed, "example": example})
    fitted = ols("score ~ C(seed) + C(example)", data).fit()
    squares = anova_lm(fitted)["mean_sq"] / table.size
    ours = Moments.of(table)
    assert ours.of_seeds == pytest.approx(squares["C(seed)"])
    assert ours.of_examples == pytest.approx(squares["C(example)"])
    assert ours.of_chance == pytest.approx(squares["Residual"])


def test_the_skewness_of_one_seed_is_scipys_over_the_root_of_the_examples():
    scores = np.random.default_rng(32).exponential(size=(1, 80))
    assert Moments.of(scores).skewness == pytest.approx(skew(scores[0]) / 80**0.5)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("power", [1, 2])
def test_the_interval_of_skewed_scores_is_scipys_accelerated_bootstrap(
    power: int, confidence: float
):
    rng = np.random.default_rng(34)
    scores = np.abs(rng.standard_normal(400)) ** power  # both are right to the second order
    ours = hierarchical_interval(scores[None], confidence=confidence)
    theirs = bootstrap(
        (scores,), np.mean, n_resamples=40_000, batch=4_000, rng=rng,
        confidence_level=confidence, method="BCa",
    ).confidence_interval  # fmt: skip
    error = scores.std(ddof=1) / 20
    plain = scores.mean() + student.ppf(0.5 + confidence / 2, 399) * error
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.08 * error)
    assert abs(ours.high - theirs.high) < abs(plain - theirs.high) / 2


def test_satterthwaites_freedom_is_statsmodels():
    a, b = np.random.default_rng(35).standard_normal((2, 12))
    b = 3.0 * b[:5]
    parts = np.array([a.var(ddof=1) / 12, b.var(ddof=1) / 5])
    theirs = CompareMeans.from_data(a, b).dof_satt()
    assert satterthwaite(parts, np.array([11.0, 4.0])) == pytest.approx(theirs)


@pytest.mark.parametrize("right", [60, 191, 199])
def test_the_interval_of_one_network_is_agresti_and_coulls(right: int):
    ours = hierarchical_interval((np.arange(200) < right).astype(float)[None])
    low, high = proportion_confint(right, 200, method="agresti_coull")
    assert (ours.low, ours.high) == pytest.approx((low, min(high, 1.0)), abs=0.002)


def test_p_is_where_scipy_finds_the_sum_of_squares_to_be_the_difference():
    rng = np.random.default_rng(33)
    for gap in (0.1, 0.5, 2.0, 20.0):
        a = rng.standard_normal((3, 40)) + 0.2 * rng.standard_normal((3, 1)) + gap
        b = rng.standard_normal((5, 40)) + 0.1 * rng.standard_normal((5, 1))
        of_a, of_b, found = Moments.of(a), Moments.of(b), paired_test(a, b)
        seeds = of_a.of_seeds + of_b.of_seeds
        freedom = seeds**2 / (of_a.of_seeds**2 / 2 + of_b.of_seeds**2 / 4)

        def excess(log_p, seeds=seeds, freedom=freedom, found=found):
            t = student.isf(np.exp(log_p) / 2, [39.0, freedom])
            return t[0] ** 2 * (found.variance - seeds) + t[1] ** 2 * seeds - found.mean**2

        assert found.p == pytest.approx(np.exp(brentq(excess, -60.0, 0.0)), rel=1e-3)


def test_all_pairs_at_once_are_the_pairs_one_by_one():
    rng = np.random.default_rng(23)
    tables = {
        "a": right_or_wrong(rng),
        "b": right_or_wrong(rng, seeds=1),
        "c": rng.standard_normal((4, EXAMPLES)),
        "d": right_or_wrong(rng, seeds=1),
    }
    for (first, second), together in paired_tests(tables).items():
        alone = paired_test(tables[first], tables[second])
        assert vars(together) == pytest.approx(vars(alone), nan_ok=True)


def test_probability_and_loss_are_integrals_over_students_t():
    for mean, variance, freedom in ((0.3, 0.04, 4.0), (-0.5, 0.09, 2.5), (0.0, 1.0, 30.0)):
        (found,) = differences(mean, variance, freedom)
        true = student(freedom, loc=mean, scale=variance**0.5)
        assert found.better == pytest.approx(true.sf(0.0))
        loss = quad(lambda d, true=true: -d * true.pdf(d), -np.inf, 0.0)[0]
        assert found.loss == pytest.approx(loss, rel=1e-6)


def test_losses_of_both_choices_differ_by_the_mean_difference():
    rng = np.random.default_rng(24)
    a, b = right_or_wrong(rng), right_or_wrong(rng, easy=2.8)
    one, other = paired_test(a, b), paired_test(b, a)
    assert other.loss - one.loss == pytest.approx(one.mean)
    assert one.better + other.better == pytest.approx(1.0)


def test_a_loss_without_a_mean_is_unknown_and_one_without_doubt_is_exact():
    assert np.isnan(differences(0.1, 1.0, 1.0)[0].loss)
    (better,) = differences(0.1, 0.0, 5.0)
    (worse,) = differences(-0.1, 0.0, 5.0)
    assert (better.better, better.loss, worse.better, worse.loss) == (1.0, 0.0, 0.0, 0.1)


def test_how_likely_better_is_how_often_it_is_so():
    rng, said, was = np.random.default_rng(25), [], []
    for _ in range(3_000):
        gain = 0.1 * rng.standard_normal()
        a, b = (rng.standard_normal((3, 60)) + 0.1 * rng.standard_normal((3, 1)) for _ in "ab")
        said.append(paired_test(a + gain, b).better)
        was.append(gain > 0)
    sure = np.array(said) > 0.8
    assert np.mean(np.array(was)[sure]) > 0.77


@pytest.mark.parametrize(("method", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_adjusted_p_values_equal_statsmodels(method: str, theirs: str):
    rng = np.random.default_rng(18)
    for size in (1, 2, 66):
        ps = rng.random(size) ** 3
        expected = list(multipletests(ps, method=theirs)[1])
        assert adjust(ps, method) == pytest.approx(expected)
    assert adjust([], method) == []


def test_no_correction_leaves_p_values_as_they_are():
    assert adjust([0.3, 0.01], "none") == [0.3, 0.01]


def test_an_unknown_correction_is_told():
    text = "`correction` must be one of holm, bh, none. Received correction='hom'."
    with pytest.raises(BadArgumentError, match=re.escape(text + " Did you mean 'holm'?")):
        adjust([0.1], "hom")


@pytest.mark.parametrize("kind", ["right or wrong", "squared errors"])
def test_ten_thousand_examples_of_three_seeds_take_little_time(kind: str):
    rng = np.random.default_rng(19)
    table = rng.random((3, 10_000))
    table = (table < 0.9).astype(float) if kind == "right or wrong" else table
    hierarchical_interval(table)
    began = time.process_time()
    hierarchical_interval(table)
    assert time.process_time() - began < 0.1
