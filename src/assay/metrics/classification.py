"""Metrics of probabilities (N, K) against labels (N,).

Classes that are neither there nor predicted do not count in a mean over classes; a precision or
recall of none is 0, as in scikit-learn and torchmetrics. Ties go to the class named first.
"""

from __future__ import annotations

import numpy as np

from assay.metrics.metric import Array, Score, linearised, mean_of

BINS = 15  # of the calibration error, as in its paper
_LEAST_PROBABILITY = 1e-12  # what a probability of 0 counts as in the logarithmic loss


def accuracy(probabilities: Array, truth: Array) -> Score:
    """Return the fraction of examples whose likeliest class is the true one, in [0, 1]."""
    return mean_of(probabilities.argmax(1) == truth)


def top(probabilities: Array, truth: Array, k: int) -> Score:
    """Return the fraction of examples whose true class is among the `k` likeliest, in [0, 1]."""
    chosen = probabilities[np.arange(len(truth)), truth][:, None]
    first = np.arange(probabilities.shape[1]) < truth[:, None]
    above = (probabilities > chosen) | ((probabilities == chosen) & first)
    return mean_of(above.sum(1) < k)


def balanced_accuracy(probabilities: Array, truth: Array) -> Score:
    """Return the mean recall of the classes that are there, in [0, 1].

    Source: Brodersen et al., 2010, https://doi.org/10.1109/ICPR.2010.764, eq. 3.
    """
    counts = _Counts(probabilities, truth)
    return _mean_share(counts, counts.present, truth, classes=int((counts.present > 0).sum()))


def precision(probabilities: Array, truth: Array) -> Score:
    """Return the mean over classes of the fraction of its predictions that are right."""
    counts = _Counts(probabilities, truth)
    return _mean_share(counts, counts.named, counts.labels, classes=counts.classes)


def recall(probabilities: Array, truth: Array) -> Score:
    """Return the mean over classes of the fraction of its examples that are found."""
    counts = _Counts(probabilities, truth)
    return _mean_share(counts, counts.present, truth, classes=counts.classes)


def macro_f1(probabilities: Array, truth: Array) -> Score:
    """Return the mean over classes of F1, the harmonic mean of precision and recall."""
    counts = _Counts(probabilities, truth)
    both = np.maximum(counts.named + counts.present, 1)
    f1 = 2 * counts.by_class / both
    slopes = 2 * counts.right / both[truth]
    slopes -= (f1 / both)[truth] + (f1 / both)[counts.labels]
    return linearised(float(f1.sum()) / counts.classes, slopes / counts.classes)


def log_loss(probabilities: Array, truth: Array) -> Score:
    """Return the mean of -log(probability of the true class), in [0, 27.7]."""
    return mean_of(_surprise(probabilities, truth))


def calibration_error(probabilities: Array, truth: Array) -> Score:
    """Return how far confidence and accuracy lie apart, on average over 15 bins, in [0, 1].

    The value is biased upwards where bins hold few examples, and its pseudo-values take the sign of
    each bin's gap as given. torchmetrics keeps a bin of its own for a confidence of exactly 1;
    here, as in the paper, the last bin is (14/15, 1].

    Source: Guo et al., 2017, https://arxiv.org/abs/1706.04599, eq. 3.
    """
    confidence = probabilities.max(1).astype(np.float64)
    gaps = (probabilities.argmax(1) == truth) - confidence
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return mean_of(np.sign(np.bincount(bins, weights=gaps, minlength=BINS))[bins] * gaps)


class _Counts:
    """How often each class is there, is predicted, and is found."""

    def __init__(self, probabilities: Array, truth: Array) -> None:
        width = probabilities.shape[1]
        self.labels = probabilities.argmax(1)
        self.right = self.labels == truth
        self.by_class = np.bincount(truth[self.right], minlength=width)
        self.named = np.bincount(self.labels, minlength=width)
        self.present = np.bincount(truth, minlength=width)
        self.classes = int((self.named + self.present > 0).sum())


def _mean_share(counts: _Counts, of: Array, belongs: Array, *, classes: int) -> Score:
    """Return the mean over classes of what is right among `of` (K,).

    Args:
        counts: Of the classes.
        of: How many examples the share of each class is taken of.
        belongs: The class in whose share each example is (N,).
        classes: How many count in the mean.
    """
    shares = counts.by_class / np.maximum(of, 1)
    slopes = (counts.right - shares[belongs]) / of[belongs]
    return linearised(float(shares.sum()) / classes, slopes / classes)


def _surprise(probabilities: Array, truth: Array) -> Array:
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return -np.log(np.maximum(chosen, _LEAST_PROBABILITY))
