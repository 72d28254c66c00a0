"""How often each token and each run of tokens is in a text: one sparse row for each text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.data.tokens import PAD

Array = np.ndarray
WORDS, CHARACTERS = 2, 4  # tokens in a run, at most
_LEAST_TEXTS = 2  # that a run must be in
_BITS = 62  # of a key


class Bags:
    """What runs of tokens texts are made of, as TF-IDF weights of length 1.

    Runs of two tokens and more are left out where only one text has them. Weights are those of
    scikit-learn, with 1 + log of the frequency.

    Source: Salton and Buckley, 1988, https://doi.org/10.1016/0306-4573(88)90021-0.

    Args:
        x: Texts to learn from, int (N, T), 0 at the right where nothing stands.
        most: Tokens in a run, at most.
    """

    def __init__(self, x: Array, most: int) -> None:
        from sklearn.feature_extraction.text import TfidfTransformer

        self._most = most
        rows, keys = self._runs(x)
        found, which = np.unique(keys, return_inverse=True)
        each = np.unique(which * len(x) + rows) // len(x)  # once for each text
        texts = np.bincount(each, minlength=len(found))
        self._known = found[(texts >= _LEAST_TEXTS) | (found < self._base)]
        self._weigh = TfidfTransformer(sublinear_tf=True).fit(self._counts(rows, keys, len(x)))

    def __call__(self, x: Array) -> Any:
        """Return the weights, a sparse matrix (N, runs)."""
        return self._weigh.transform(self._counts(*self._runs(x), len(x)))

    @property
    def _base(self) -> int:
        return 1 << (_BITS // self._most)

    def _runs(self, x: Array) -> tuple[Array, Array]:
        """Return the row and the key of every run; as no token of one is 0, keys are unlike."""
        keys = x.astype(np.int64)
        rows, found = [], []
        for length in range(self._most):
            if length:
                keys, last = keys[:, :-1], x[:, length:].astype(np.int64)
                keys = np.where((keys != PAD) & (last != PAD), keys * self._base + last, PAD)
            row, column = np.nonzero(keys)
            rows.append(row)
            found.append(keys[row, column])
        return np.concatenate(rows), np.concatenate(found)

    def _counts(self, rows: Array, keys: Array, count: int) -> Any:
        from scipy.sparse import csr_matrix

        at = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        there = self._known[at] == keys
        ones = np.ones(int(there.sum()))
        return csr_matrix((ones, (rows[there], at[there])), shape=(count, len(self._known)))


def longest_run(tokenizer: Mapping[str, Any]) -> int:
    """Return how many tokens a run should have: four characters, two parts of words.

    Args:
        tokenizer: As the preprocessing of a data set describes it.
    """
    return CHARACTERS if tokenizer.get("kind") == "char" else WORDS
