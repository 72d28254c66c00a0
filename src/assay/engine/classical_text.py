"""Classical opponents that read tokens: they count tokens, runs of them, and what goes with them.

Rows of tokens are int (N, T), padded with 0 on the right. What has one answer for each token tells
of every place what the right answer cost, in nats, and which one it would have given: with a whole
vocabulary to choose from, the probabilities of all would fill memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.data.tokens import NOT_SCORED, PAD
from assay.engine.classical_bags import Bags, longest_run
from assay.engine.classical_ngram import NGrams

Array = np.ndarray
Predict = Callable[[Array], Array]  # (N, T) -> scores (N, K)
Tell = Callable[[Array, Array], tuple[Array, ...]]  # x, y (N, T) -> nats, answers (N, T)

SQUARED_LENGTH = 10.0  # of a text's weights, as of all other examples
_ITERATIONS = 20  # of logistic regression; more change answers little
_LEAST_PROBABILITY = 1e-12
LONGEST = 7  # tokens of an n-gram
_MOST_KEYS = 2**63
_PRIOR = 1.0  # occurrences that the shares of all tags count for, beside those of one token


def fit_tfidf(x: Array, y: Array, outputs: int, *, tokenizer: Mapping[str, Any]) -> Predict:
    """Logistic regression on the TF-IDF weights of tokens and of runs of them: see `Bags`.

    Predicts the logarithms of probabilities.
    """
    from sklearn.linear_model import LogisticRegression

    bags = Bags(x, longest_run(tokenizer))
    model = LogisticRegression(max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        model.fit(bags(x) * SQUARED_LENGTH**0.5, y)

    def predict(queries: Array) -> Array:
        whole = np.full((len(queries), outputs), _LEAST_PROBABILITY)
        whole[:, model.classes_] += model.predict_proba(bags(queries) * SQUARED_LENGTH**0.5)
        logarithms: Array = np.log(whole)
        return logarithms

    return predict


def fit_majority_tag(x: Array, y: Array, outputs: int) -> Tell:
    """Always the shares of the tags in training."""
    return _always(np.bincount(y[y != NOT_SCORED], minlength=outputs) + 1.0)


def fit_frequent_tag(x: Array, y: Array, outputs: int) -> Tell:
    """The tag that each token has most often in training; of an unknown one, the likeliest of all.

    A token's shares are those of its occurrences and of one more that is tagged as all are.
    """
    scored = y != NOT_SCORED
    words = int(x.max()) + 1
    pairs = x[scored].astype(np.int64) * outputs + y[scored]
    counts = np.bincount(pairs, minlength=(words + 1) * outputs).reshape(words + 1, outputs)
    total = counts.sum(axis=0) + 1.0  # a tag that training lacks is not impossible
    mixed = counts + _PRIOR * total / total.sum()  # the last row is that of unknown tokens
    shares = mixed / mixed.sum(axis=1, keepdims=True)
    best = shares.argmax(axis=1)

    def tell(queries: Array, truth: Array) -> tuple[Array, Array]:
        rows = np.minimum(queries, words)
        asked = np.where(truth == NOT_SCORED, 0, truth)
        return -np.log(shares[rows, asked]), best[rows]

    return tell


def fit_unigram(x: Array, y: Array, outputs: int) -> Tell:
    """Each token as often as in training, one occurrence of each added; looks at no input."""
    return _always(np.bincount(y[y != NOT_SCORED], minlength=outputs) + 1.0)


def fit_bigram(x: Array, y: Array, outputs: int) -> Tell:
    """Each token as it is after the one before it, smoothed as `NGrams` says."""
    return _fit_ngrams(x, y, outputs, 2)


def fit_ngram(x: Array, y: Array, outputs: int) -> Tell:
    """Each token as it is after the six before it, fewer for a vocabulary of thousands."""
    longest = max(n for n in range(2, LONGEST + 1) if n == 2 or outputs**n < _MOST_KEYS)
    return _fit_ngrams(x, y, outputs, longest)


def fit_between(x: Array, y: Array, outputs: int) -> Tell:
    """A hidden token as it is between its two neighbours, or after the left one alone.

    `NGrams` of the right neighbour, the left one and the token.
    """
    return _fit_histories(_between, x, y, outputs)


def _fit_ngrams(x: Array, y: Array, outputs: int, longest: int) -> Tell:
    return _fit_histories(lambda tokens: _behind(tokens, longest), x, y, outputs)


def _fit_histories(look: Callable[[Array], Array], x: Array, y: Array, outputs: int) -> Tell:
    scored = y != NOT_SCORED
    model = NGrams(look(x)[scored], y[scored], outputs)

    def tell(queries: Array, truth: Array) -> tuple[Array, Array]:
        nats, best = np.zeros(truth.shape), np.zeros(truth.shape, np.int64)
        asked = truth != NOT_SCORED
        share, best[asked] = model(look(queries)[asked], truth[asked])
        nats[asked] = -np.log(share)
        return nats, best

    return tell


def _behind(x: Array, longest: int) -> Array:
    """Return the tokens up to each place, nothing before the first. (N, T) -> (N, T, longest-1)."""
    padded = np.pad(x, ((0, 0), (longest - 2, 0)), constant_values=PAD)
    return np.lib.stride_tricks.sliding_window_view(padded, longest - 1, axis=1)


def _between(x: Array) -> Array:
    """Return each place's right and left neighbour. (N, T) -> (N, T, 2)."""
    wide = np.pad(x, ((0, 0), (1, 1)), constant_values=PAD)
    return np.stack([wide[:, 2:], wide[:, :-2]], axis=2)


def _always(counts: Array) -> Tell:
    shares = counts / counts.sum()
    likeliest = int(shares.argmax())

    def tell(queries: Array, truth: Array) -> tuple[Array, Array]:
        asked = np.where(truth == NOT_SCORED, 0, truth)
        return -np.log(shares[asked]), np.full(truth.shape, likeliest)

    return tell
