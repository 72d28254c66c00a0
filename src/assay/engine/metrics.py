"""Scores of predictions, in numpy."""

from __future__ import annotations

import numpy as np

_LEAST_PROBABILITY = 1e-12  # what a probability of 0 counts as in the logarithmic loss


def evaluate(predicted: np.ndarray, truth: np.ndarray, task: str) -> dict[str, float]:
    """Return the metrics of one part.

    Args:
        predicted: Probabilities (N, K), or values (N,) for regression.
        truth: Labels or values (N,).
        task: One of `data.dataset.TASKS`.
    """
    if task == "tabular-regression":
        return _of_values(predicted.astype(np.float64), truth.astype(np.float64))
    return _of_probabilities(predicted.astype(np.float64), truth)


def spread(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation; a constant counts as deviating by 1."""
    wide = values.astype(np.float64)
    return float(wide.mean()), float(wide.std()) or 1.0


def _of_values(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    error = predicted - truth
    total = float(np.square(truth - truth.mean()).sum())
    return {
        "rmse": float(np.sqrt(np.square(error).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": 1.0 - float(np.square(error).sum()) / total if total > 0 else 0.0,
    }


def _of_probabilities(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    labels = predicted.argmax(1)
    chosen = predicted[np.arange(len(truth)), truth]
    return {
        "accuracy": float((labels == truth).mean()),
        "macro_f1": _macro_f1(labels, truth, predicted.shape[1]),
        "log_loss": float(-np.log(np.maximum(chosen, _LEAST_PROBABILITY)).mean()),
    }


def _macro_f1(labels: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """The mean of the classes' F1; classes that are neither there nor predicted do not count."""
    right = np.bincount(truth[labels == truth], minlength=classes)
    named = np.bincount(labels, minlength=classes) + np.bincount(truth, minlength=classes)
    return float((2 * right[named > 0] / named[named > 0]).mean())
