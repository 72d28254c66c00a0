"""Several divisions of the data (`--splits K`): how many, and what their scores support.

Each split divides the data anew, so what one split tests on, another may train on: K scores are not
K independent ones, and a plain t test over them finds differences that are not there. Source of the
correction: Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003),
https://doi.org/10.1023/A:1024068626366, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.compare.statistics import Difference, differences
from assay.errors import BadArgumentError

SPLITS = ((1_000, 10), (10_000, 5))  # fewer examples than the first: as many splits as the second


def default_splits(examples: int) -> int:
    """Return how many splits are worth their training time.

    Under 1,000 examples 10, under 10,000 examples 5, else 1. The corrected variance is
    (1/K + test/train) times that of one split: where a quarter is for the test, 10 splits come to
    within 15% of the standard error that endless splits would reach and 5 to within 27%; a single
    test part of 2,500 examples or more is held to say enough.

    Args:
        examples: Of the whole data set.
    """
    return next((splits for below, splits in SPLITS if examples < below), 1)


def resampled_test(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    *,
    test_share: float,
    confidence: float = 0.95,
) -> Difference:
    """Test whether two candidates score alike, from their mean scores on the same K splits.

    The mean difference has variance (1/K + n2/n1) s², with n1 examples to train and n2 to test, and
    K - 1 degrees of freedom. The mean over seeds of one split is one score.

    Args:
        a: Score of one candidate on every split, K of them; larger is better.
        b: Of the other, in the same order.
        test_share: n2 / (n1 + n2), between 0 and 1; examples to validate by count in neither.
        confidence: Of the interval, between 0 and 1.

    Raises:
        BadArgumentError: Fewer than two splits, unlike numbers of them, or an impossible share.
    """
    gains = _gains(a, b)
    if not 0.0 < test_share < 1.0:
        raise BadArgumentError(
            "`test_share` must lie between 0 and 1: the tested examples of those trained or tested "
            f"on. Received test_share={test_share!r}."
        )
    ratio = test_share / (1.0 - test_share)
    variance = (1.0 / len(gains) + ratio) * float(gains.var(ddof=1))
    mean = float(gains.mean())
    return differences(mean, variance, float(len(gains) - 1), confidence=confidence)[0]


def _gains(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> np.ndarray:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise BadArgumentError(
            "A test over splits takes one score of each candidate on the same splits, two or more "
            f"of them. Received {first.size} and {second.size}; run with --splits 2 or more."
        )
    return np.asarray(first - second)
