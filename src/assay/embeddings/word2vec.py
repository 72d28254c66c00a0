"""word2vec: a word is known by the words around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.embeddings import file
from assay.embeddings.cbow import cbow
from assay.embeddings.skip_gram import skip_gram
from assay.embeddings.training import Settings, Tables, train
from assay.embeddings.vectors import Near, WordVectors
from assay.embeddings.vocabulary import Corpus, Floats, Vocabulary, Words, read
from assay.embeddings.windows import Examples, Stretch, contexts
from assay.errors import BadArgumentError

KIND = "word2vec"


class Word2Vec:
    """Word vectors by CBOW or skip-gram, with negative sampling or hierarchical softmax.

    Args:
        sentences: Lists of words.
        sg: 0 for CBOW, 1 for skip-gram.
        vector_size: As `training.Settings` has it, like all that follow.
        window: The same.
        min_count: The same.
        hs: The same.
        negative: The same.
        ns_exponent: The same.
        sample: The same.
        alpha: The same; CBOW's paper starts at 0.05, gensim and this at 0.025.
        min_alpha: The same.
        epochs: The same.
        seed: The same.
        workers: The same.

    Attributes:
        wv: The words and their vectors.
        vocabulary: The words and how often each occurs.

    Raises:
        BadArgumentError: A setting is outside its range, or a sentence is a string.
        DataError: No word occurs `min_count` times.

    Source:
        Mikolov et al., 2013, https://arxiv.org/abs/1301.3781 (the two architectures) and
        https://arxiv.org/abs/1310.4546 (negative sampling, subsampling).
    """

    def __init__(
        self,
        sentences: Iterable[Words],
        *,
        sg: int = 0,
        vector_size: int = 100,
        window: int = 5,
        min_count: int = 5,
        hs: int = 0,
        negative: int = 5,
        ns_exponent: float = 0.75,
        sample: float = 1e-3,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        epochs: int = 5,
        seed: int = 1,
        workers: int = 1,
    ) -> None:
        self.sg = _checked(sg)
        self.settings = Settings(
            vector_size=vector_size,
            window=window,
            min_count=min_count,
            hs=hs,
            negative=negative,
            ns_exponent=ns_exponent,
            sample=sample,
            alpha=alpha,
            min_alpha=min_alpha,
            epochs=epochs,
            seed=seed,
            workers=workers,
        )
        self.vocabulary, corpus = read(sentences, min_count)
        vectors = learned(corpus, self.vocabulary.counts, self.settings, sg=sg)
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
        facts = {"sg": self.sg, "settings": asdict(self.settings), "words": self.wv.words}
        file.save(folder, KIND, arrays, facts)

    @classmethod
    def load(cls, folder: str | Path) -> Word2Vec:
        """Read what `save` wrote.

        Raises:
            DataError: It is damaged, or holds something else.
            MissingPathError: It is not there.
        """
        arrays, facts = file.load(folder, KIND)
        new = cls.__new__(cls)
        new.sg, new.settings = facts["sg"], Settings(**facts["settings"])
        new.vocabulary = Vocabulary(words=tuple(facts["words"]), counts=arrays["counts"])
        new.wv = WordVectors(new.vocabulary.words, arrays["vectors"])
        return new


def learned(
    corpus: Corpus, counts: NDArray[np.int64], settings: Settings, *, sg: int = 0
) -> Floats:
    """Return the vectors of a corpus's words. -> (words, d).

    Args:
        corpus: Ids below the number of counts.
        counts: Of each word, at least 1.
        settings: Of the training.
        sg: 0 for CBOW, 1 for skip-gram.
    """
    tables = Tables(counts, settings)
    form = skip_gram if sg else cbow

    def make(stretch: Stretch, rng: np.random.Generator) -> Sequence[Examples]:
        return [form(stretch, contexts(stretch, settings.window, rng))]

    train(tables, corpus, make)
    return tables.vectors


def _checked(sg: int) -> int:
    if sg not in (0, 1):
        raise BadArgumentError(
            f"`sg` must be 0 for CBOW or 1 for skip-gram. Received sg={sg!r}; the default is 0."
        )
    return sg
