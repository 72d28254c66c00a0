"""The two estimators keep scikit-learn's contract, and are the same engine underneath."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import check_estimator

from assay import AssayClassifier
from assay.errors import BadArgumentError, DataError, TrialError, UnknownNameError
from assay.ship.estimator import AssayRegressor
from assay.ship.load import load
from assay.store.store import Store

SHORT = {"budget": "40steps", "evaluations": 2}


@pytest.mark.parametrize(
    "estimator",
    [
        AssayClassifier("mlp", budget="100steps", evaluations=2),
        AssayRegressor("mlp", budget="150steps", evaluations=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_contract_of_scikit_learn_holds(estimator: AssayClassifier | AssayRegressor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]
    assert failed == []
    assert sum(r["status"] == "passed" for r in results) > 40


def test_a_classifier_learns_and_says_what_it_chose():
    x, y = load_breast_cancer(return_X_y=True)
    names = np.array(["malignant", "benign"])[y]
    model = AssayClassifier(budget="150steps").fit(x, names)
    assert model.classes_.tolist() == ["benign", "malignant"]
    assert model.score(x, names) > 0.95
    assert model.test_score_ > 0.92
    assert model.model_name_ in ("softmax_regression", "mlp")
    assert {t.candidate for t in model.trials_} == {"softmax_regression", "mlp"}


def test_the_share_of_rows_that_is_never_looked_at_is_an_option(tmp_path: Path):
    x, y = load_breast_cancer(return_X_y=True)
    sizes = []
    for options in ({}, {"test_size": 0.5}):
        home = tmp_path / str(len(sizes))
        AssayClassifier("softmax_regression", store=home, **options, **SHORT).fit(x, y)
        (split,) = home.glob("data/*/split.npz")
        with np.load(split) as parts:
            sizes.append([len(parts[part]) for part in ("train", "val", "test")])
    assert sizes == [[427, 85, 57], [200, 85, 284]]


def test_a_regressor_learns():
    x, y = load_diabetes(return_X_y=True)
    model = AssayRegressor(budget="150steps").fit(x, y)
    assert model.score(x, y) > 0.4
    assert model.test_score_ > 0.3


def test_columns_of_probabilities_are_in_the_order_of_classes():
    x = np.repeat(np.eye(12), 10, axis=0) + np.random.default_rng(0).normal(0, 0.05, (120, 12))
    y = np.repeat(np.arange(12) * 3, 10)  # as text, 12 would come before 3
    model = AssayClassifier("softmax_regression", budget="1000steps").fit(x, y)
    assert model.classes_.tolist() == list(range(0, 36, 3))
    assert (model.classes_[model.predict_proba(x).argmax(axis=1)] == y).mean() > 0.9


def test_missing_values_are_filled_in():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 3))
    y = (x[:, 0] > 0).astype(int)
    x[draw.random(200) < 0.2, 1] = np.nan
    assert AssayClassifier(**SHORT).fit(x, y).score(x, y) > 0.85


def test_the_seed_that_is_best_on_validation_predicts():
    x, y = load_diabetes(return_X_y=True)
    model = AssayRegressor("mlp", budget="20steps", seeds=3).fit(x[:120], y[:120])
    scores = [max(point.val_score for point in trial.curve) for trial in model.trials_]
    assert len(set(scores)) == 3
    assert [t.seed for t in model.trials_] == [0, 1, 2]
    assert model.predictor_.artifact.facts["seed"] == int(np.argmax(scores))


def test_it_works_inside_pipelines_and_cross_validation():
    x, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(
        PolynomialFeatures(1, include_bias=False), AssayClassifier("softmax_regression", **SHORT)
    )
    assert cross_val_score(pipeline, x, y, cv=2, error_score="raise").min() > 0.85


def test_a_fitted_model_can_be_saved_and_shipped(tmp_path: Path):
    x, y = load_breast_cancer(return_X_y=True)
    model = AssayClassifier("softmax_regression", **SHORT).fit(x, y)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    shipped = load(model.predictor_.save(tmp_path / "model"))
    np.testing.assert_array_equal(copy.predict(x), model.predict(x))
    np.testing.assert_array_equal(shipped.predict(x).astype(int), model.predict(x))


def test_a_store_keeps_trials_so_that_none_runs_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    x, y = load_breast_cancer(return_X_y=True)
    first = AssayClassifier("softmax_regression", store=tmp_path, **SHORT).fit(x, y)
    with Store.open(tmp_path) as store:
        assert list(store.trials([first.trials_[0].hash])) == [first.trials_[0].hash]

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("a trial was run again")

    monkeypatch.setattr("assay.engine.trial.run_trial", refuse)
    again = AssayClassifier("softmax_regression", store=str(tmp_path), **SHORT).fit(x, y)
    np.testing.assert_array_equal(again.predict_proba(x), first.predict_proba(x))


def test_a_budget_of_time_is_turned_into_steps():
    x, y = load_breast_cancer(return_X_y=True)
    model = AssayClassifier("softmax_regression", budget="0.1s", evaluations=2).fit(x, y)
    assert model.trials_[0].spec["plan"]["step_seconds"] > 0
    assert 2 <= model.trials_[0].spec["steps"] < 5000


def fit(**options: object) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    AssayClassifier(**{**SHORT, **options}).fit(x, y)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"seeds": 0}, BadArgumentError, "`seeds` must be at least 1. Received seeds=0."),
        (
            {"evaluations": 0},
            BadArgumentError,
            "`evaluations` must be at least 1. Received evaluations=0.",
        ),
        (
            {"test_size": 0.9},
            BadArgumentError,
            "`test_size` must be a share in (0, 0.8]. Received test_size=0.9.",
        ),
        (
            {"budget": "a while"},
            BadArgumentError,
            "`budget` must be a positive number with a unit: 30s, 2000steps, 20epochs, 1e13flops, "
            "or auto. Received budget='a while'.",
        ),
        (
            {"models": []},
            BadArgumentError,
            "`models` must name at least one network. Received none; `assay list` shows all.",
        ),
    ],
)
def test_a_wrong_option_is_refused_before_training(
    options: dict[str, object], kind: type[Exception], text: str
):
    with pytest.raises(kind) as caught:
        fit(**options)
    assert str(caught.value) == text


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'mlp'\?"):
        fit(models=["mpl"])


def test_one_class_is_too_few():
    with pytest.raises(BadArgumentError) as caught:
        AssayClassifier().fit(np.eye(9), ["a"] * 9)
    assert str(caught.value) == (
        "A classifier needs at least two classes in `y`. Received one class, 'a'; add examples of "
        "another."
    )


def test_a_class_of_one_example_is_named_as_the_user_calls_it():
    with pytest.raises(DataError) as caught:
        AssayClassifier(**SHORT).fit(np.eye(9), ["a"] * 5 + ["b"] * 3 + ["rare"])
    assert str(caught.value) == (
        "Each class of `y` needs at least 3 examples, one for each part of the division. "
        "Class 'rare' has 1; add examples or remove the class."
    )


def test_when_every_candidate_fails_the_reasons_are_told(tmp_path: Path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Linear):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__(inputs[0], outputs)\n\n"
        "    def forward(self, x):\n        return super().forward(x) * float('nan')\n"
    )
    with pytest.raises(TrialError) as caught:
        fit(models=f"{tmp_path / 'net.py'}:Net")
    assert str(caught.value).startswith(
        f"At least one candidate must finish. All failed: {tmp_path / 'net.py'}:Net: diverged"
    )
