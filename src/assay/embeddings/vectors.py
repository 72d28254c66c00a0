"""Words with their vectors: what is left of training, to be asked and kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from assay.embeddings.similarity import Neighbours, unit
from assay.embeddings.vocabulary import Floats
from assay.errors import UnknownNameError, nearest

Near = list[tuple[str, float]]


class WordVectors:
    """One vector per word, the most frequent word first.

    Args:
        words: All different.
        vectors: (words, d) float32.

    Attributes:
        ids: The row of each word.
    """

    def __init__(self, words: Sequence[str], vectors: Floats) -> None:
        self.words = tuple(words)
        self.vectors = vectors
        self.ids = {word: row for row, word in enumerate(self.words)}
        self._near: Neighbours | None = None

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.ids

    def __getitem__(self, word: str) -> Floats:
        row: Floats = self.vectors[self.row(word)]
        return row

    def row(self, word: str) -> int:
        """Return a word's row.

        Raises:
            UnknownNameError: It has none.
        """
        if word not in self.ids:
            raise UnknownNameError(
                f"{word!r} has no vector.{nearest(word, self.words)} Of the text's words only "
                f"these {len(self):,} occur often enough; train with a lower min_count."
            )
        return self.ids[word]

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of two words, in [-1, 1].

        Raises:
            UnknownNameError: One of them has no vector.
        """
        first, second = unit([self[a], self[b]])
        return float(first @ second)

    def most_similar(self, word: str | ArrayLike, topn: int = 10) -> Near:
        """Return the words nearest to a word, or to a vector, and their cosines, nearest first.

        Args:
            word: It is not among its own neighbours; or a vector (d,).
            topn: How many.

        Raises:
            BadArgumentError: `topn` is below 1.
            MissingExtraError: faiss is not installed.
            UnknownNameError: The word has no vector.
        """
        own = self.row(word) if isinstance(word, str) else None
        query = self.vectors[own] if own is not None else np.asarray(word, np.float32)
        if self._near is None:
            self._near = Neighbours(self.vectors)
        rows, cosines = self._near.search(query[None], topn + (own is not None))
        pairs = zip(rows[0].tolist(), cosines[0].tolist(), strict=True)
        return [(self.words[row], cosine) for row, cosine in pairs if row != own][:topn]
