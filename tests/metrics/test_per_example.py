"""What each example adds: the mean is the metric, the variance that of drawing examples anew."""

from functools import partial

import numpy as np
import pytest
from predictions import Case, classified, degenerate, valued
from scipy.stats import rankdata

from assay.metrics import METRICS, Metric, metric_for, metrics_of
from assay.metrics.jackknife import grouped

OF_CLASSES = [*metrics_of("image-classification").values()]
OF_VALUES = [*metrics_of("tabular-regression").values()]


def case_of(metric: Metric, count: int) -> Case:
    if metric in OF_VALUES:
        return valued(count)
    return classified(count, 8 if metric.name == "top-5" else 4, sure=3.0)  # overconfident


@pytest.mark.parametrize("metric", [*OF_CLASSES, *OF_VALUES], ids=lambda m: m.name)
def test_the_mean_over_examples_is_the_metric(metric: Metric):
    cases = [case_of(metric, 200)]
    cases += degenerate().values() if metric in OF_CLASSES else [valued(1), valued(2)]
    for predicted, truth in cases:
        values = metric.per_example(predicted, truth)
        assert values.shape == truth.shape
        assert values.dtype == np.float64
        expected = metric.of(predicted, truth)
        assert values.mean() == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("metric", [*OF_CLASSES, *OF_VALUES], ids=lambda m: m.name)
def test_the_variance_is_that_of_drawing_examples_anew(metric: Metric):
    count, replicates = 400, 500
    predicted, truth = case_of(metric, count)
    values = metric.per_example(predicted, truth)
    random = np.random.default_rng(0)
    drawn = random.integers(count, size=(replicates, count))
    bootstrap = np.std([metric.of(predicted[rows], truth[rows]) for rows in drawn])
    tolerance = 0.25 if metric.name == "calibration-error" else 0.12  # it is not smooth
    assert values.std() / count**0.5 == pytest.approx(bootstrap, rel=tolerance)


@pytest.mark.parametrize(
    "name", ["balanced-accuracy", "precision", "recall", "macro-f1", "auroc", "rmse", "r2"]
)
def test_pseudo_values_are_those_of_leaving_each_example_out(name: str):
    metric = METRICS[name]
    count = 400
    predicted, truth = case_of(metric, count)
    whole, rows = metric.of(predicted, truth), np.arange(count)
    without = [metric.of(predicted[rows != i], truth[rows != i]) for i in rows]
    theirs = count * whole - (count - 1) * np.array(without)
    ours = metric.per_example(predicted, truth)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9995
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03)
    assert theirs.mean() == pytest.approx(whole, abs=0.1 * ours.std() / count**0.5)  # its bias


def test_the_variance_of_the_area_is_that_of_delong():
    predicted, truth = classified(150, 2)
    scores, positive = np.round(predicted[:, 1], 2), truth == 1
    probs = np.stack([1 - scores, scores], axis=1)
    m, n = positive.sum(), (~positive).sum()
    ranks = rankdata(scores)  # Sun and Xu, 2014, https://doi.org/10.1109/LSP.2014.2337313, eq. 8, 9
    v10 = (ranks[positive] - rankdata(scores[positive])) / n
    v01 = 1 - (ranks[~positive] - rankdata(scores[~positive])) / m
    values = METRICS["auroc"].per_example(probs, truth)
    assert values.mean() == pytest.approx(v10.mean())
    delong = v10.var() / m + v01.var() / n
    assert values.var() / len(truth) == pytest.approx(delong)


def test_right_and_wrong_are_exactly_one_and_zero():
    predicted, truth = classified(50, 8)
    for name in ("accuracy", "top-5"):
        assert set(METRICS[name].per_example(predicted, truth)) == {0.0, 1.0}


@pytest.mark.parametrize("count", [60, 1000])
def test_leaving_groups_out_agrees_with_what_is_known(count: int):
    known, task = METRICS["macro-f1"], "image-classification"
    predicted, truth = classified(count, 3)
    value, values = grouped(known.of, predicted, truth)
    assert value == metric_for("macro-f1", task).of(predicted, truth)
    assert values.mean() == pytest.approx(value)
    expected = known.per_example(predicted, truth).std()
    assert values.std() == pytest.approx(expected, rel=0.2)  # a hundred groups: 7 % of chance


def test_groups_are_the_same_for_every_candidate_and_differences_stay_paired():
    truth = np.random.default_rng(0).normal(size=1000)
    near, far = truth + 0.1, truth + np.random.default_rng(1).normal(size=1000)
    mean = partial(grouped, lambda p, y: float((p - y).mean()))
    together = mean(near + far, truth + truth).examples
    np.testing.assert_allclose(mean(near, truth).examples + mean(far, truth).examples, together)
    assert np.ptp(mean(near, truth).examples) < 1e-9


def test_one_example_has_no_spread():
    value, values = grouped(lambda p, y: 0.5, np.ones(1), np.ones(1))
    assert (value, values.tolist()) == (0.5, [0.5])
