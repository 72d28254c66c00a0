"""Labels that trained models contradict with confidence.

Source:
    C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset
    Labels", JAIR 70, 2021: equation 2 (a class's threshold is the mean probability of the class
    over the examples labelled so), equation 1 (the confident joint), section 3.2 (its off-diagonal
    examples are the label errors, ranked by normalised margin).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.data.concern import Concern
from assay.data.names import shown
from assay.errors import BadArgumentError

SHOWN = 10


def suspicious_labels(
    probs: np.ndarray, truth: np.ndarray, ids: Sequence[str], classes: Sequence[str]
) -> tuple[Concern, ...]:
    """Return one concern that names the most suspicious labels, or nothing.

    Args:
        probs: What models that did not see these examples say: (N, K), or (trials, N, K), of which
            the mean is taken. Each row is in [0, 1] and sums to 1.
        truth: The labels given, (N,) in [0, K).
        ids: A name for each example.
        classes: A name for each label.

    Raises:
        BadArgumentError: The shapes do not agree, or a row is not of probabilities.
    """
    suspects = suspects_of(probs, truth)
    if not len(suspects):
        return ()
    probs = _mean(probs)
    named = tuple(
        f"{shown(ids[at])}: {shown(classes[truth[at]])} → {shown(classes[probs[at].argmax()])}"
        for at in suspects[:SHOWN].tolist()
    )
    return (
        Concern(
            kind="suspicious-labels",
            severity="note",
            en=f"Labels that the models together contradict with confidence: {len(suspects):,} of "
            f"{len(truth):,} held-out examples; look at the first, which are the likeliest to be "
            f"wrong: {'; '.join(named[:3])}.",
            zh=f"{len(truth):,} 个未参与训练的样本中，有 {len(suspects):,} 个的标签被各模型一致且"
            f"有把握地否定；请先查看最可疑的：{'；'.join(named[:3])}。",
            where=named,
        ),
    )


def suspects_of(probs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the examples whose label is probably wrong, the most suspicious first.

    Args:
        probs: (N, K) or (trials, N, K).
        truth: (N,) labels in [0, K).

    Raises:
        BadArgumentError: The shapes do not agree, or a row is not of probabilities.
    """
    _check(probs, truth)
    probs = _mean(probs)
    rows = np.arange(len(truth))
    counts = np.bincount(truth, minlength=probs.shape[1])
    sums = np.zeros(probs.shape[1])
    np.add.at(sums, truth, probs[rows, truth])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)  # equation 2
    confident = np.where(probs >= thresholds, probs, -1)
    claimed = confident.argmax(axis=1)  # equation 1: the likeliest of the classes over threshold
    off = (confident.max(axis=1) >= 0) & (claimed != truth)
    margin = probs[rows, truth] - probs[rows, claimed]
    found = np.flatnonzero(off & (margin < 0))
    return found[np.argsort(margin[found], kind="stable")]


def _mean(probs: np.ndarray) -> np.ndarray:
    return np.asarray(probs, np.float64) if probs.ndim == 2 else probs.mean(axis=0, dtype=float)


def _check(probs: np.ndarray, truth: np.ndarray) -> None:
    if probs.ndim not in (2, 3) or probs.shape[-2] != len(truth):
        raise BadArgumentError(
            "`probs` must be (N, K) or (trials, N, K) for N labels. Received shape "
            f"{probs.shape} for {len(truth)} labels; pair them."
        )
    if not (np.abs(probs.sum(axis=-1) - 1) < 1e-3).all() or (probs < 0).any():
        raise BadArgumentError(
            "`probs` must be probabilities that sum to 1 in each row. Received other numbers; "
            "apply the softmax first."
        )
    if len(truth) and not 0 <= truth.min() <= truth.max() < probs.shape[-1]:
        raise BadArgumentError(
            f"`truth` must be labels in [0, {probs.shape[-1]}). Received {truth.min()} to "
            f"{truth.max()}; use the order of the classes."
        )
