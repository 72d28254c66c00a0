"""Classical opponents that answer a text with a text they have seen.

Each writes one answer for each source. What its tokens cost is told as for a network, token by
token: a token is that of the answer written, at the same place, as often as it was so in training;
else it is any, as often as it is in the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.data.tokens import NOT_SCORED, PAD
from assay.engine.classical_bags import Bags, longest_run
from assay.engine.classical_text import Tell

Array = np.ndarray
_AT_ONCE = 256  # sources that are compared with all others
_TRIED = 512  # sources of training that say how far to trust the answer of another


def fit_frequent_answer(x: Array, y: Array, outputs: int) -> Tell:
    """Always the answer that training has most often; looks at no input."""
    answers, counts = np.unique(y, axis=0, return_counts=True)
    answer = answers[counts.argmax()]
    tokens = _Tokens(y, outputs, np.broadcast_to(answer, y.shape), y)

    def tell(queries: Array, truth: Array) -> tuple[Array, ...]:
        written = np.broadcast_to(answer, truth.shape)
        return (*tokens(written, truth), written)

    return tell


def fit_nearest_answer(x: Array, y: Array, outputs: int, *, tokenizer: Mapping[str, Any]) -> Tell:
    """The answer to the source of training that is most alike: the cosine of their `Bags`."""
    bags = Bags(x, longest_run(tokenizer))
    weights = bags(x)
    tried = np.unique(np.arange(min(_TRIED, len(x))) * len(x) // min(_TRIED, len(x)))
    another = _nearest(weights[tried], weights, apart_from=tried)
    tokens = _Tokens(y, outputs, y[another], y[tried])

    def tell(queries: Array, truth: Array) -> tuple[Array, ...]:
        written = y[_nearest(bags(queries), weights)]
        return (*tokens(written, truth), written)

    return tell


class _Tokens:
    """What the tokens of an answer cost where another one was written.

    Args:
        y: Answers of training (N, U), padded with 0.
        outputs: Tokens there are.
        written: Answers written to some of the sources (M, U).
        meant: The right ones (M, U).
    """

    def __init__(self, y: Array, outputs: int, written: Array, meant: Array) -> None:
        counts = np.bincount(y[y != PAD], minlength=outputs) + 1.0
        self._shares = counts / counts.sum()
        asked = (written != PAD) & (meant != PAD)
        self._trust = ((written == meant)[asked].sum() + 1.0) / (asked.sum() + 2.0)

    def __call__(self, written: Array, truth: Array) -> tuple[Array, Array]:
        """Return the nats of each token and the likeliest one, (N, U)."""
        asked = np.where(truth == NOT_SCORED, PAD, truth)
        trust = np.where(written == PAD, 0.0, self._trust)  # after its end it says nothing
        nats = -np.log(trust * (written == asked) + (1 - trust) * self._shares[asked])
        own = trust + (1 - trust) * self._shares[written]
        likeliest = self._shares.argmax()
        return nats, np.where(own >= (1 - trust) * self._shares[likeliest], written, likeliest)


def _nearest(queries: Any, weights: Any, apart_from: Array | None = None) -> Array:
    """Return the row of `weights` most alike to each query, by the cosine.

    Args:
        queries: Sparse (M, runs), each of length 1.
        weights: Sparse (N, runs), each of length 1.
        apart_from: The row that each query is itself (M,), which does not count.
    """
    found = []
    for start in range(0, queries.shape[0], _AT_ONCE):
        alike = (queries[start : start + _AT_ONCE] @ weights.T).toarray()
        if apart_from is not None:
            mine = apart_from[start : start + _AT_ONCE]
            alike[np.arange(len(mine)), mine] = -1.0
        found.append(alike.argmax(axis=1))
    return np.concatenate(found)
