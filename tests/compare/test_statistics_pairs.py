"""McNemar's and the corrected resampled test give what was published and what others compute."""

import re

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as theirs

from assay.compare.mcnemar import mcnemar
from assay.compare.resampling import default_splits, resampled_test
from assay.compare.verdicts import judge
from assay.errors import BadArgumentError


def rows(both, only_a, only_b, neither):
    a = np.repeat([1, 1, 0, 0], [both, only_a, only_b, neither])
    b = np.repeat([1, 0, 1, 0], [both, only_a, only_b, neither])
    return a, b


def test_mcnemar_gives_the_published_example():
    """Fagerland, Lydersen and Laake (2013), table 1: exact p 0.0703, mid-p 0.0391."""
    a, b = rows(1, 1, 7, 12)
    assert mcnemar(a, b, method="exact").p == pytest.approx(18 / 256)
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (1, 7)
    assert found.p == pytest.approx(10 / 256)


@pytest.mark.parametrize(
    "counts", [(50, 12, 5, 9), (50, 4, 4, 9), (900, 700, 610, 5), (3, 0, 2, 1)]
)
def test_the_exact_test_equals_statsmodels_and_mid_p_lies_below(counts: tuple[int, ...]):
    both, only_a, only_b, neither = counts
    expected = theirs([[both, only_a], [only_b, neither]], exact=True).pvalue
    assert mcnemar(*rows(*counts), method="exact").p == pytest.approx(expected)
    assert 0.5 * expected <= mcnemar(*rows(*counts)).p < expected


def test_networks_that_never_disagree_are_equal():
    assert mcnemar(*rows(5, 0, 0, 5)).p == 1.0


def test_a_pair_of_one_seed_each_is_told_with_mcnemars_test():
    a, b = rows(40, 12, 3, 5)
    [verdict] = judge({"a": a[None], "b": b[None]})
    assert verdict.mcnemar == mcnemar(a, b)
    assert (verdict.mcnemar.only_a, verdict.mcnemar.only_b) == (12, 3)


@pytest.mark.parametrize("table", [np.ones((2, 60)), np.full((1, 60), 0.5)])
def test_more_seeds_and_other_scores_have_no_mcnemars_test(table: np.ndarray):
    a, _ = rows(40, 12, 3, 5)
    assert [v.mcnemar for v in judge({"a": a[None], "b": table})] == [None]


@pytest.mark.parametrize(
    ("a", "b", "options", "text"),
    [
        ([[1, 0]], [[1, 0]], {}, "McNemar's test takes one seed of each candidate on the same "
         "examples. Received shapes (1, 2) and (1, 2); for more seeds use paired_test."),
        ([1, 0.5], [1, 0], {}, "McNemar's test takes scores that are 0 or 1. Received others; "
         "use paired_test."),
        ([1], [0], {"method": "chi2"}, "`method` must be one of mid-p, exact. "
         "Received method='chi2'."),
    ],
)  # fmt: skip
def test_mcnemar_refuses_what_it_cannot_test(a, b, options, text: str):
    with pytest.raises(BadArgumentError, match=re.escape(text)):
        mcnemar(np.array(a), np.array(b), **options)


def test_the_corrected_test_gives_the_published_example():
    """scikit-learn's "Statistical comparison of models using grid search": t 0.750, p 0.227.

    There p is one-sided; the Bayesian version's probability of the first being better is 0.773.
    """
    from sklearn.datasets import make_moons
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
    from sklearn.svm import SVC

    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), x, y, scoring="roc_auc", cv=folds)
        for kernel in ("rbf", "linear")
    )
    found = resampled_test(rbf, linear, test_share=0.1)
    assert found.mean / found.variance**0.5 == pytest.approx(0.750, abs=5e-4)
    assert found.p / 2 == pytest.approx(0.227, abs=5e-4)
    assert found.better == pytest.approx(0.773, abs=5e-4)


def test_a_test_share_near_zero_leaves_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 8))
    found, expected = resampled_test(a, b, test_share=1e-12), ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_overlapping_splits_are_not_taken_for_independent_ones():
    rng, wrong = np.random.default_rng(1), {0.25: 0, 1e-12: 0}
    for _ in range(400):
        shared, own = rng.standard_normal(), rng.standard_normal(10)
        gains = (0.25**0.5) * shared + (0.75**0.5) * own  # correlated by the share that is tested
        for share in wrong:
            wrong[share] += resampled_test(gains, np.zeros(10), test_share=share).p <= 0.05
    assert wrong[0.25] / 400 <= 0.08
    assert wrong[1e-12] / 400 > 0.2


@pytest.mark.parametrize(
    ("a", "b", "share", "text"),
    [
        ([0.9], [0.8], 0.25, "A test over splits takes one score of each candidate on the same "
         "splits, two or more of them. Received 1 and 1; run with --splits 2 or more."),
        ([0.9, 0.8], [0.8, 0.7], 1.0, "`test_share` must lie between 0 and 1: the tested examples "
         "of those trained or tested on. Received test_share=1.0."),
    ],
)  # fmt: skip
def test_impossible_splits_are_refused(a, b, share: float, text: str):
    with pytest.raises(BadArgumentError, match=re.escape(text)):
        resampled_test(a, b, test_share=share)


def test_small_data_get_more_splits():
    assert [default_splits(n) for n in (150, 999, 1_000, 9_999, 10_000, 60_000)] == [
        10, 10, 5, 5, 1, 1,
    ]  # fmt: skip
