"""Metrics of texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.errors import MissingExtraError
from assay.metrics.metric import Score, linearised


def bleu(predicted: Sequence[str], truth: Sequence[str]) -> Score:
    """Return the BLEU of a corpus, in [0, 100], by sacrebleu with its default settings.

    The pseudo-values hold fixed what sacrebleu puts in place of n-grams that never match.

    Source: Papineni et al., 2002, https://aclanthology.org/P02-1040, section 2.3; Post, 2018,
    https://arxiv.org/abs/1804.08771.

    Args:
        predicted: One translation for each sentence.
        truth: One reference for each sentence.

    Raises:
        MissingExtraError: sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise MissingExtraError(
            "BLEU needs sacrebleu, which is not installed: pip install 'assay[text]'."
        ) from error
    one = BLEU(effective_order=True)
    each = [one.sentence_score(p, [t]) for p, t in zip(predicted, truth, strict=True)]
    matches = np.array([s.counts for s in each], dtype=np.float64)  # (N, 4), by length of n-gram
    ngrams = np.array([s.totals for s in each], dtype=np.float64)
    lengths = np.array([[s.sys_len, s.ref_len] for s in each], dtype=np.float64)
    ours, reference = lengths.sum(0)
    whole = BLEU.compute_bleu(
        [int(n) for n in matches.sum(0)],
        [int(n) for n in ngrams.sum(0)],
        int(ours),
        int(reference),
        smooth_method="exp",
    )
    found = matches.sum(0) > 0
    slopes = (matches[:, found] / matches.sum(0)[found]).sum(1)
    slopes -= (ngrams[:, found] / ngrams.sum(0)[found]).sum(1)
    slopes /= matches.shape[1]
    if 0 < ours < reference:  # the penalty for being short, exp(1 - reference / ours)
        slopes += reference * lengths[:, 0] / ours**2 - lengths[:, 1] / ours
    return linearised(float(whole.score), whole.score * slopes)
