"""Padded tokens as a text of words: for vectors of a tokenizer's vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.data.tokens import PAD
from assay.embeddings.vocabulary import Corpus

READ = 2_000_000  # words that training reads in all, where its limits of passes allow
FEWEST, MOST = 5, 50


@dataclass(frozen=True, kw_only=True)
class TokenText:
    """The tokens that occur, and the text in their numbers, most frequent first."""

    words: NDArray[np.int64]  # (W,): the token that each number stands for
    counts: NDArray[np.int64]  # (W,)
    corpus: Corpus


def token_text(tokens: NDArray[np.integer]) -> TokenText:
    """Return the text of rows of tokens, padded with 0. (N, T) -> W words.

    Args:
        tokens: Whole numbers from 0.
    """
    real = tokens != PAD
    flat = tokens[real]
    counts = np.bincount(flat)
    words = np.argsort(-counts, kind="stable")
    words = words[: np.count_nonzero(counts)]
    numbers = np.zeros(len(counts), np.int32)
    numbers[words] = np.arange(len(words), dtype=np.int32)
    ends = np.cumsum([0, *real.sum(axis=1)], dtype=np.int64)
    return TokenText(
        words=words, counts=counts[words], corpus=Corpus(tokens=numbers[flat], starts=ends)
    )


def passes(text: TokenText) -> int:
    """Return how often a text is to be read: a short one more often."""
    return int(np.clip(READ // max(len(text.corpus.tokens), 1), FEWEST, MOST))
