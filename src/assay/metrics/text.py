"""Metrics of texts, from what was counted of each pair of answer and reference.

The columns are those of `assay.metrics.tokens.COLUMNS["text-to-text"]`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from assay.errors import MissingExtraError
from assay.metrics.metric import Array, Score, linearised, mean_of
from assay.metrics.tokens import COLUMNS

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_ALL = COLUMNS["text-to-text"]
_EXACT, _ROUGE, _LENGTHS = _ALL.index("exact"), _ALL.index("rouge_l"), _ALL.index("sys_len")
_MATCHES, _TOTALS, _CHRF = _ALL.index("match1"), _ALL.index("total1"), _ALL.index("said1")
_ORDERS = 4  # of words, in BLEU
_CHARACTERS = 6  # of characters, in chrF
_MISSING = "BLEU needs sacrebleu, which is not installed: pip install 'assay[text]'."
_BETA = 2  # how much more recall counts than precision, in chrF
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # written without spaces: each is a word
_WORD = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")


def count_texts(predicted: Sequence[str], truth: Sequence[str]) -> Array:
    """Return the columns from exact on, float64 (B, 30).

    Args:
        predicted: One answer for each example.
        truth: One reference for each example.

    Raises:
        MissingExtraError: sacrebleu is not installed.
    """
    pairs = [*zip(predicted, truth, strict=True)]
    rows = [
        [p.strip() == t.strip(), rouge_l_of(p, t), *_count_bleu(p, t), *_count_chrf(p, t)]
        for p, t in pairs
    ]
    return np.array(rows, dtype=np.float64).reshape(len(pairs), len(_ALL) - _EXACT)


def exact_match(sums: Array, truth: Array | None = None) -> Score:
    """Return the fraction of answers that are the reference, white space at the ends aside."""
    return mean_of(sums[:, _EXACT])


def rouge_l(sums: Array, truth: Array | None = None) -> Score:
    """Return the mean ROUGE-L of the answers, in [0, 1]; see `rouge_l_of`."""
    return mean_of(sums[:, _ROUGE])


def bleu(sums: Array, truth: Array | None = None) -> Score:
    """Return the BLEU of a corpus, in [0, 100], by sacrebleu's default settings.

    n-grams count up to 4 words, or to the longest reference where all are shorter; sacrebleu gives
    such a corpus 0. The pseudo-values hold fixed what stands in place of n-grams that never match.

    Source: Papineni et al., 2002, https://aclanthology.org/P02-1040, section 2.3; Post, 2018,
    https://arxiv.org/abs/1804.08771.
    """
    wide = sums.astype(np.float64)
    lengths = wide[:, _LENGTHS : _LENGTHS + 2]
    orders = int(np.clip(lengths[:, 1].max(), 1, _ORDERS))
    matches, totals = wide[:, _MATCHES:][:, :orders], wide[:, _TOTALS:][:, :orders]
    matched, made = matches.sum(0), totals.sum(0)
    ours, reference = lengths.sum(0)
    if not matched.any() or not made.all():
        return linearised(0.0, np.zeros(len(sums)))
    found = matched > 0
    halved = 2.0 ** -np.cumsum(~found)  # in place of no match: a half, a quarter, ...
    value = 100 * np.exp(np.log(np.where(found, matched, halved) / made).mean())
    slopes = (matches[:, found] / matched[found] - totals[:, found] / made[found]).sum(1) / orders
    if ours < reference:  # the penalty for being short
        value *= np.exp(1 - reference / ours)
        slopes += reference * lengths[:, 0] / ours**2 - lengths[:, 1] / ours
    return linearised(float(value), value * slopes)


def chrf(sums: Array, truth: Array | None = None) -> Score:
    """Return the chrF2 of a corpus, in [0, 100]: F of the n-grams of characters, n up to 6.

    Source: Popović, 2015, https://aclanthology.org/W15-3049; as sacrebleu computes it.
    """
    counts = sums[:, _CHRF:].astype(np.float64).reshape(len(sums), _CHARACTERS, 3)
    said, meant, shared = counts.sum(0).T
    kept = (said > 0) & (meant > 0)
    if not shared.any():
        return linearised(0.0, np.zeros(len(sums)))
    share = (shared[kept] / said[kept]).mean()  # precision
    recall = (shared[kept] / meant[kept]).mean()
    each = counts[:, kept]
    slope_share = _slopes(each[..., 2], each[..., 0])
    slope_recall = _slopes(each[..., 2], each[..., 1])
    weight = _BETA**2
    below = weight * share + recall
    value = 100 * (1 + weight) * share * recall / below
    slopes = recall**2 * slope_share + weight * share**2 * slope_recall
    return linearised(float(value), 100 * (1 + weight) * slopes / below**2)


def rouge_l_of(predicted: str, truth: str) -> float:
    """Return the F1 of the longest common subsequence of words, in [0, 1].

    Words are runs of letters and digits of any script, in lower case, without stemming; a Chinese
    character is a word.

    Source: Lin, 2004, https://aclanthology.org/W04-1013, section 3.1, with beta 1.
    """
    ours, theirs = _WORD.findall(predicted.lower()), _WORD.findall(truth.lower())
    return 2 * _common(ours, theirs) / max(1, len(ours) + len(theirs))


def _common(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence, by the bits of one number.

    Source: Hyyrö, 2004, "Bit-parallel LCS-length computation revisited".
    """
    where: dict[str, int] = {}
    for at, word in enumerate(first):
        where[word] = where.get(word, 0) | 1 << at
    every = (1 << len(first)) - 1
    open_ = every
    for word in second:
        hit = open_ & where.get(word, 0)
        open_ = ((open_ + hit) | (open_ - hit)) & every
    return len(first) - open_.bit_count()


def require_sacrebleu() -> None:
    """Refuse to count answers without the library that counts them.

    Raises:
        MissingExtraError: sacrebleu is not installed.
    """
    if find_spec("sacrebleu") is None:
        raise MissingExtraError(_MISSING)


def _count_bleu(predicted: str, truth: str) -> list[int]:
    counted = _bleu("zh" if re.search(f"[{_HAN}]", truth) else "13a")
    score = counted.sentence_score(predicted, [truth])
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


@cache
def _bleu(tokenizer: str) -> BLEU:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    return BLEU(tokenize=tokenizer, effective_order=True)


def _count_chrf(predicted: str, truth: str) -> list[int]:
    """Return of each n: n-grams said (0 where none is meant), meant, and shared."""
    said, meant = "".join(predicted.split()), "".join(truth.split())
    counts = []
    for n in range(1, _CHARACTERS + 1):
        ours, theirs = _ngrams(said, n), _ngrams(meant, n)
        shared = sum(min(times, theirs[ngram]) for ngram, times in ours.items() if ngram in theirs)
        counts += [ours.total() if theirs else 0, theirs.total(), shared]
    return counts


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[at : at + n] for at in range(len(text) - n + 1))


def _slopes(parts: Array, wholes: Array) -> Array:
    """Return by each example's weight the derivative (N,) of the mean over n of parts / wholes."""
    total = wholes.sum(0)
    return ((parts - parts.sum(0) / total * wholes) / total).mean(1)
