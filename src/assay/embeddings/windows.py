"""From sentences to training examples: which rows of the table shall tell which word."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.embeddings.vocabulary import Floats, Ids

NONE = -1  # in place of a word that a window does not have


class Stretch(NamedTuple):
    """Some words of a corpus and what each belongs to."""

    tokens: Ids  # (n,)
    sentences: NDArray[np.int64]  # (n,): number of the sentence


class Examples(NamedTuple):
    """Rows to average and the word that they shall tell."""

    inputs: Ids  # (m, width), `NONE` where there is nothing
    targets: Ids  # (m,)


class Step(NamedTuple):
    """How examples change the tables."""

    rate: float
    frozen: int = 0  # rows of the vectors below this one stay
    learn_outputs: bool = True  # whether the outputs change too


def thin(stretch: Stretch, chances: Floats, rng: np.random.Generator) -> Stretch:
    """Leave frequent words out by their chances; those that remain close up."""
    kept = rng.random(len(stretch.tokens), np.float32) < chances[stretch.tokens]
    return Stretch(stretch.tokens[kept], stretch.sentences[kept])


def contexts(stretch: Stretch, window: int, rng: np.random.Generator) -> Ids:
    """Return the words around each word. -> (n, 2 * window), `NONE` beyond the sentence.

    Each word looks as far as a draw from 1 to `window` says, so that near words count more.
    """
    tokens, sentences = stretch
    number = len(tokens)
    reach = rng.integers(1, window + 1, number)
    found = np.full((number, 2 * window), NONE, np.int32)
    for distance in range(1, min(window, number - 1) + 1):
        together = sentences[distance:] == sentences[:-distance]
        sees_back = together & (reach[distance:] >= distance)
        sees_ahead = together & (reach[:-distance] >= distance)
        before, after = (
            found[distance:, window - distance],
            found[:-distance, window + distance - 1],
        )
        before[sees_back] = tokens[:-distance][sees_back]
        after[sees_ahead] = tokens[distance:][sees_ahead]
    return found
