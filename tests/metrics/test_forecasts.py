"""Metrics of forecasts over a horizon: those of statsmodels and scikit-learn, and by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk
from statsmodels.tools import eval_measures

from assay.data.windows import naive_error
from assay.errors import BadArgumentError
from assay.metrics import METRICS, evaluate, metric_for, metrics_of


@pytest.fixture
def case():
    """Forecasts (60, 5), what came, and the naive error of each one's series."""
    random = np.random.default_rng(0)
    came = random.normal(5, 3, size=(60, 5))
    predicted = came + random.normal(0.3, 1, size=came.shape) * random.uniform(0.2, 2, size=(60, 1))
    scale = np.repeat([0.5, 2.0, 4.0], 20)
    return predicted.astype(np.float32), np.column_stack([came, scale]).astype(np.float32)


def test_they_equal_those_of_statsmodels_and_scikit_learn(case):
    predicted, truth = case
    came, scale = truth[:, :5].astype(float), truth[:, 5].astype(float)
    found = evaluate(predicted, truth, "forecasting")
    assert list(found) == ["mase", "rmse", "mae", "smape"]
    wide = predicted.astype(float)
    flat = wide.ravel(), came.ravel()
    assert found["mae"] == pytest.approx(eval_measures.meanabs(*flat), rel=1e-9)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(came, wide), rel=1e-9)
    assert found["rmse"] == pytest.approx(eval_measures.rmse(*flat), rel=1e-9)
    shares = 2 * np.abs(wide - came) / (np.abs(wide) + np.abs(came))
    assert found["smape"] == pytest.approx(shares.mean(), rel=1e-9)
    by_series = [
        sk.mean_absolute_error(came[scale == s], wide[scale == s]) / s for s in (0.5, 2.0, 4.0)
    ]
    assert found["mase"] == pytest.approx(np.mean(by_series), rel=1e-9)


@pytest.mark.parametrize("name", ["mase", "rmse", "mae", "smape"])
def test_each_example_adds_the_mean_over_its_horizon(case, name):
    predicted, truth = case
    values = METRICS[name].per_example(predicted, truth)
    assert (values.shape, values.dtype) == ((60,), np.float64)
    assert values.mean() == pytest.approx(METRICS[name].of(predicted, truth), rel=1e-9)
    if name != "rmse":
        alone = [METRICS[name].of(predicted[[at]], truth[[at]]) for at in range(60)]
        np.testing.assert_allclose(values, alone, rtol=1e-12)


def test_the_pseudo_values_of_the_root_are_those_of_leaving_out(case):
    predicted, truth = case
    rows = np.arange(60)
    whole = METRICS["rmse"].of(predicted, truth)
    without = np.array(
        [METRICS["rmse"].of(predicted[rows != at], truth[rows != at]) for at in rows]
    )
    theirs = 60 * whole - 59 * without
    assert np.corrcoef(METRICS["rmse"].per_example(predicted, truth), theirs)[0, 1] > 0.999


def test_a_horizon_of_one_is_a_value(case):
    predicted, truth = case
    narrow = truth[:, [0, 5]]
    assert METRICS["mae"].of(predicted[:, :1], narrow) == pytest.approx(
        METRICS["mae"].of(predicted[:, 0], truth[:, 0])
    )


def test_the_scaled_error_of_a_worked_example():
    # errors 1 and 3, where repeating the last value errs by 2 on average in the training part
    scale = naive_error(np.array([1.0, 3.0, 1.0, 3.0]))
    assert scale == 2.0
    predicted, truth = np.array([[5.0, 5.0]]), np.array([[4.0, 8.0, scale]])
    assert METRICS["mase"].of(predicted, truth) == pytest.approx(1.0)
    assert naive_error(np.array([1.0, 3.0, 1.0, 3.0, 2.0]), season=2) == pytest.approx(1 / 3)


def test_the_scaled_error_is_what_forecasts_are_ranked_by():
    assert metric_for("auto", "forecasting").name == "mase"
    assert list(metrics_of("forecasting")) == ["mase", "rmse", "mae", "smape"]
    with pytest.raises(BadArgumentError) as caught:
        metric_for("mase", "tabular-regression")
    assert str(caught.value) == (
        "`metric` must be one that the task has. Received 'mase' for tabular-regression, which has "
        "rmse, mae, r2, quantile-0.5, smape."
    )


def test_a_metric_of_ones_own_gets_forecasts_and_what_came(case, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def worst(said, came):\n    return float(abs(said - came).max())\n")
    predicted, truth = case
    mine = metric_for(f"{file}:worst", "forecasting")
    assert mine.of(predicted, truth) == np.abs(predicted - truth[:, :5]).max()
    theirs = metric_for("torchmetrics:MeanAbsoluteError", "forecasting")
    assert theirs.of(predicted, truth) == pytest.approx(METRICS["mae"].of(predicted, truth))
