"""Area under the ROC curve: how often an example of a class is ranked above one of the others."""

from __future__ import annotations

import numpy as np

from assay.metrics.metric import Array, Score, linearised


def auroc(probabilities: Array, truth: Array) -> Score:
    """Return the mean over classes of the area under the curve, each against the rest, in [0, 1].

    0.5 is chance; ties count half. Two classes have one curve. A class that is not there, or is
    alone, has none and is left out; without any curve the value is NaN. The pseudo-values are the
    placement values of DeLong et al., so that their variance over n is DeLong's.

    Source: Hanley and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747; DeLong, DeLong
    and Clarke-Pearson, 1988, https://doi.org/10.2307/2531595, eq. 4 to 6.
    """
    columns = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    counts = np.bincount(truth, minlength=probabilities.shape[1])
    curves = [c for c in columns if 0 < counts[c] < len(truth)]
    if not curves:
        return Score(float("nan"), np.full(len(truth), np.nan))
    areas, slopes = 0.0, np.zeros(len(truth))
    for c in curves:
        area, slope = _one_curve(probabilities[:, c], truth == c)
        areas, slopes = areas + area, slopes + slope
    return linearised(areas / len(curves), slopes / len(curves))


def _one_curve(scores: Array, positive: Array) -> tuple[float, Array]:
    """Return the area, and its derivative by the weight of each example (N,)."""
    order = scores.argsort()
    ordered, is_positive = scores[order], positive[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # of runs of equal scores
    run = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(scores)]))
    below = np.r_[starts, len(scores)]  # examples before each run, and before the end
    positives = np.r_[0, is_positive.cumsum()][below]
    of_positives = (positives[run] + positives[run + 1]) / 2  # below, ties half
    of_negatives = (below[run] + below[run + 1]) / 2 - of_positives
    many, few = int(positives[-1]), len(scores) - int(positives[-1])
    beaten = np.where(is_positive, of_negatives / few, 1 - of_positives / many)  # placement values
    area = float(beaten[is_positive].mean())
    slopes = np.empty(len(scores))
    slopes[order] = (beaten - area) / np.where(is_positive, many, few)
    return area, slopes
