"""Every metric equals torchmetrics' and scikit-learn's."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from predictions import classified, degenerate, valued

from assay.metrics import METRICS, evaluate, metric_for
from assay.metrics.regression import quantile_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what torchmetrics imports
    import torch
    import torchmetrics.functional as tm
    import torchmetrics.functional.classification as tmc

TASK = "image-classification"
CASES = {
    "five classes": classified(),
    "two classes": classified(classes=2, seed=1),
    "forty classes, few examples": classified(60, 40, seed=2),
    **degenerate(),
}


def of_torchmetrics(name: str, probs: np.ndarray, truth: np.ndarray) -> float:
    p, y = torch.from_numpy(probs), torch.from_numpy(truth)
    classes = probs.shape[1]
    found = {
        "accuracy": lambda: tmc.multiclass_accuracy(p, y, classes, average="micro"),
        "top-2": lambda: tmc.multiclass_accuracy(p, y, classes, average="micro", top_k=2),
        "precision": lambda: tmc.multiclass_precision(p, y, classes),
        "recall": lambda: tmc.multiclass_recall(p, y, classes),
        "macro-f1": lambda: tmc.multiclass_f1_score(p, y, classes),
        "auroc": lambda: tmc.multiclass_auroc(p.double(), y, classes),
        "calibration-error": lambda: tmc.multiclass_calibration_error(p, y, classes),
    }
    return found[name]().item()


def of_sklearn(name: str, probs: np.ndarray, truth: np.ndarray) -> float:
    labels, every = probs.argmax(1), range(probs.shape[1])
    wide = probs.astype(np.float64)
    wide /= wide.sum(1, keepdims=True)
    found = {
        "accuracy": lambda: sk.accuracy_score(truth, labels),
        "balanced-accuracy": lambda: sk.balanced_accuracy_score(truth, labels),
        "precision": lambda: sk.precision_score(truth, labels, average="macro", zero_division=0),
        "recall": lambda: sk.recall_score(truth, labels, average="macro", zero_division=0),
        "macro-f1": lambda: sk.f1_score(truth, labels, average="macro", zero_division=0),
        "log-loss": lambda: sk.log_loss(truth, np.maximum(wide, 1e-12), labels=every),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes that are only predicted, or alone
        return float(found[name]())


@pytest.mark.parametrize("case", CASES)
def test_metrics_of_classes_are_those_of_torchmetrics(case: str):
    probs, truth = CASES[case]
    names = ["accuracy", "precision", "recall", "macro-f1"]
    names += [] if case in ("one answer for all", "certain") else ["top-2"]  # ties
    names += [] if case == "certain" else ["calibration-error"]
    names += ["auroc"] if len(np.unique(truth)) == probs.shape[1] else []
    for name in names:
        ours, theirs = metric_for(name, TASK).of(probs, truth), of_torchmetrics(name, probs, truth)
        assert ours == pytest.approx(theirs, abs=2e-6), name


@pytest.mark.parametrize("case", CASES)
def test_metrics_of_classes_are_those_of_scikit_learn(case: str):
    probs, truth = CASES[case]
    names = ["accuracy", "balanced-accuracy", "precision", "recall", "macro-f1"]
    scaled = np.allclose(probs.sum(1), 1)
    for name in names + (["log-loss"] if scaled else []):
        ours, theirs = METRICS[name].of(probs, truth), of_sklearn(name, probs, truth)
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9), name


def test_the_area_under_the_curve_is_that_of_scikit_learn_ties_included():
    probs, truth = classified(400, 4)
    probs = np.round(probs, 1) + np.float32(1e-3)
    probs = (probs / probs.sum(1, keepdims=True)).astype(np.float64)
    theirs = sk.roc_auc_score(truth, probs, multi_class="ovr", average="macro")
    assert METRICS["auroc"].of(probs, truth) == pytest.approx(theirs, abs=1e-12)
    two, labels = classified(classes=2)
    theirs = sk.roc_auc_score(labels, two[:, 1])
    assert METRICS["auroc"].of(two, labels) == pytest.approx(theirs, abs=1e-12)


def test_top_k_is_that_of_scikit_learn():
    probs, truth = classified(400, 7)
    for k in (1, 2, 5, 7):
        theirs = sk.top_k_accuracy_score(truth, probs, k=k, labels=range(7)) if k < 7 else 1.0
        assert metric_for(f"top-{k}", TASK).of(probs, truth) == pytest.approx(theirs)


def test_bins_of_the_calibration_error_are_those_of_torchmetrics():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, size=600)
    over = (np.ceil(confidence * 15) % 2).astype(
        bool
    )  # bins that are too sure, and not sure enough
    right = random.random(600) < np.where(over, confidence - 0.3, 1)
    probs = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    truth = (~right).astype(np.int64)
    ours = METRICS["calibration-error"].of(probs, truth)
    assert ours == pytest.approx(of_torchmetrics("calibration-error", probs, truth), abs=1e-6)


def test_where_ours_departs_from_the_libraries_it_is_on_purpose():
    cases = degenerate()
    assert np.isnan(METRICS["auroc"].of(*cases["one example"]))
    probs, truth = cases["a class that is never there"]
    left = [sk.roc_auc_score(truth == c, probs[:, c]) for c in (0, 1)]
    assert METRICS["auroc"].of(probs, truth) == pytest.approx(np.mean(left))
    probs, truth = cases["certain"]  # nothing but confidences of 1: one bin
    wrong = 1 - METRICS["accuracy"].of(probs, truth)
    assert METRICS["calibration-error"].of(probs, truth) == pytest.approx(wrong)
    constant = np.full(4, 7.0)
    assert METRICS["r2"].of(constant, constant) == 0.0
    assert METRICS["r2"].of(constant + 1, constant) == 0.0
    probs, truth = cases["one answer for all"]
    same = np.full_like(probs, 1 / 3)  # of equal classes the one named first
    for k in (1, 2, 3):
        assert metric_for(f"top-{k}", TASK).of(same, truth) == (truth < k).mean()


@pytest.mark.parametrize("count", [300, 2])
def test_metrics_of_values_are_those_of_both(count: int):
    predicted, truth = valued(count)
    p, y = torch.from_numpy(predicted), torch.from_numpy(truth)
    pairs = {
        "mae": (tm.mean_absolute_error(p, y), sk.mean_absolute_error(truth, predicted)),
        "rmse": (
            tm.mean_squared_error(p, y, squared=False),
            sk.root_mean_squared_error(truth, predicted),
        ),
        "r2": (tm.r2_score(p, y), sk.r2_score(truth, predicted)),
        "smape": (tm.symmetric_mean_absolute_percentage_error(p, y),) * 2,
    }
    for name, theirs in pairs.items():
        ours = METRICS[name].of(predicted, truth)
        assert ours == pytest.approx(theirs[0].item(), rel=1e-5), name
        assert ours == pytest.approx(float(theirs[1]), rel=1e-5), name
    for level in (0.1, 0.5, 0.9):
        theirs = sk.mean_pinball_loss(truth, predicted, alpha=level)
        assert quantile_loss(predicted, truth, level).value == pytest.approx(theirs, rel=1e-6)


def test_values_predicted_exactly():
    truth = np.array([0.0, 1.0, 3.0])
    found = evaluate(truth, truth, "tabular-regression")
    assert found == {"rmse": 0.0, "mae": 0.0, "r2": 1.0, "smape": 0.0}
