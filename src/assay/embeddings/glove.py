"""GloVe: vectors whose products are the logarithms of how often two words stand together."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.embeddings import batched, file
from assay.embeddings.compiled import library
from assay.embeddings.vectors import Near, WordVectors
from assay.embeddings.vocabulary import Corpus, Floats, Ids, Vocabulary, Words, read
from assay.errors import BadArgumentError

KIND = "glove"
PIECE = 500_000  # words whose pairs are counted at a time


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How vectors are trained; the defaults are the paper's, but for `vector_size` and `epochs`.

    Attributes:
        vector_size: Numbers per vector.
        window: Words to each side.
        min_count: Rarer words are left out.
        x_max: Pairs that stand together more often all weigh 1.
        power: Rarer ones weigh (how often / x_max) to this power.
        alpha: Step size, divided by the root of the squared gradients so far (AdaGrad).
        epochs: Passes over the counts.
        seed: Of the first vectors and of the order.
    """

    vector_size: int = 100
    window: int = 10
    min_count: int = 5
    x_max: float = 100.0
    power: float = 0.75
    alpha: float = 0.05
    epochs: int = 25
    seed: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if field.name != "seed" and given <= 0:
                raise BadArgumentError(
                    f"`{field.name}` must be above 0. Received {field.name}={given}; the default "
                    f"is {field.default}."
                )


class Counts(NamedTuple):
    """How often words stand together, nearness counted: one over the distance for each time."""

    first: Ids
    second: Ids
    often: Floats


class GloVe:
    """Word vectors from the counts of which words stand together.

    Args:
        sentences: Lists of words.
        vector_size: As `Settings` has it, like all that follow.
        window: The same.
        min_count: The same.
        x_max: The same.
        power: The same.
        alpha: The same.
        epochs: The same.
        seed: The same.

    Attributes:
        wv: The words and their vectors: the sums of both that each word has.
        vocabulary: The words and how often each occurs.
        losses: The weighted squares before each pass, as a mean over the pairs.

    Raises:
        BadArgumentError: A setting is not above 0, or a sentence is a string.
        DataError: No word occurs `min_count` times.

    Source:
        Pennington, Socher and Manning, 2014, https://aclanthology.org/D14-1162, equations 8 and 9.
    """

    def __init__(
        self,
        sentences: Iterable[Words],
        *,
        vector_size: int = 100,
        window: int = 10,
        min_count: int = 5,
        x_max: float = 100.0,
        power: float = 0.75,
        alpha: float = 0.05,
        epochs: int = 25,
        seed: int = 1,
    ) -> None:
        self.settings = Settings(
            vector_size=vector_size,
            window=window,
            min_count=min_count,
            x_max=x_max,
            power=power,
            alpha=alpha,
            epochs=epochs,
            seed=seed,
        )
        self.vocabulary, corpus = read(sentences, min_count)
        counts = count_pairs(corpus, len(self.vocabulary), window)
        vectors, self.losses = learned(counts, len(self.vocabulary), self.settings)
        self.wv = WordVectors(self.vocabulary.words, vectors)

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of two words: see `WordVectors.similarity`."""
        return self.wv.similarity(a, b)

    def most_similar(self, word: str | ArrayLike, topn: int = 10) -> Near:
        """Return the nearest words: see `WordVectors.most_similar`."""
        return self.wv.most_similar(word, topn)

    def save(self, folder: str | Path) -> None:
        """Write the words, their counts and vectors as safetensors and JSON."""
        arrays: file.Arrays = {"vectors": self.wv.vectors, "counts": self.vocabulary.counts}
        facts = {
            "settings": asdict(self.settings),
            "words": self.wv.words,
            "losses": self.losses,
        }
        file.save(folder, KIND, arrays, facts)

    @classmethod
    def load(cls, folder: str | Path) -> GloVe:
        """Read what `save` wrote.

        Raises:
            DataError: It is damaged, or holds something else.
            MissingPathError: It is not there.
        """
        arrays, facts = file.load(folder, KIND)
        new = cls.__new__(cls)
        new.settings, new.losses = Settings(**facts["settings"]), facts["losses"]
        new.vocabulary = Vocabulary(words=tuple(facts["words"]), counts=arrays["counts"])
        new.wv = WordVectors(new.vocabulary.words, arrays["vectors"])
        return new


def count_pairs(corpus: Corpus, words: int, window: int) -> Counts:
    """Return which words stand together within a sentence, in both orders, and how often.

    Args:
        corpus: Ids below `words`.
        words: In the vocabulary.
        window: The largest distance.
    """
    total = np.empty(0, np.int64), np.empty(0)
    sentences = np.repeat(np.arange(corpus.sentences), np.diff(corpus.starts))
    for start in range(0, len(corpus.tokens), PIECE):
        keys, often = _count_piece(corpus.tokens, sentences, start, words, window)
        total = _summed(np.concatenate([total[0], keys]), np.concatenate([total[1], often]))
    first, second = np.divmod(total[0], words)
    both = [
        np.concatenate([first, second]),
        np.concatenate([second, first]),
    ]  # each unordered pair was counted once
    keys, often = _summed(both[0] * words + both[1], np.tile(total[1], 2))
    first, second = np.divmod(keys, words)
    return Counts(first.astype(np.int32), second.astype(np.int32), often.astype(np.float32))


def _count_piece(
    tokens: Ids, sentences: NDArray[np.int64], start: int, words: int, window: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of a word of one piece and a later word, as first * words + second."""
    keys, often = [np.empty(0, np.int64)], [np.empty(0)]
    for distance in range(1, window + 1):
        end = min(start + PIECE, len(tokens) - distance)
        here, there = slice(start, max(end, start)), slice(start + distance, end + distance)
        together = sentences[here] == sentences[there]
        pairs = tokens[here][together].astype(np.int64) * words + tokens[there][together]
        keys.append(pairs)
        often.append(np.full(len(pairs), 1 / distance))
    return _summed(np.concatenate(keys), np.concatenate(often))


def _summed(
    keys: NDArray[np.int64], often: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the different keys, sorted, and the sum of each."""
    different, place = np.unique(keys, return_inverse=True)
    sums = np.bincount(place, often, minlength=len(different))
    return different, np.asarray(sums, np.float64)


def learned(counts: Counts, words: int, settings: Settings) -> tuple[Floats, list[float]]:
    """Return the words' vectors (words, d), and the mean loss before each pass.

    Args:
        counts: Of pairs.
        words: In the vocabulary.
        settings: Of the training.
    """
    rng = np.random.default_rng(settings.seed)
    width = settings.vector_size
    shape = (words, width + 1)  # the bias last
    tables = tuple((rng.random(shape, np.float32) - 0.5) / np.float32(width + 1) for _ in range(2))
    past = tuple(np.ones(shape, np.float32) for _ in range(2))
    weights = np.minimum((counts.often / settings.x_max) ** settings.power, 1).astype(np.float32)
    logs = np.log(counts.often).astype(np.float32)
    losses = []
    for _ in range(settings.epochs):
        order = rng.permutation(len(logs))
        pairs = counts.first[order], counts.second[order]
        loss = _learn(tables, past, pairs, logs[order], weights[order], settings.alpha)
        losses.append(loss / max(len(logs), 1))
    return tables[0][:, :width] + tables[1][:, :width], losses


def _learn(
    tables: tuple[Floats, ...],
    past: tuple[Floats, ...],
    pairs: tuple[Ids, Ids],
    logs: Floats,
    weights: Floats,
    rate: float,
) -> float:
    loops = library()
    if loops is None:
        return batched.learn_counts(tables, past, pairs, logs, weights, rate)
    arrays = (*tables, *past, *pairs, logs, weights)
    return loops.learn_counts(
        *(ctypes.c_void_p(array.ctypes.data) for array in arrays),
        ctypes.c_int64(len(logs)),
        ctypes.c_int32(tables[0].shape[1] - 1),
        ctypes.c_float(rate),
    )
