"""doc2vec: a document is one more word that stands beside all of its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.embeddings import file
from assay.embeddings.document import document_alone, with_document
from assay.embeddings.similarity import Neighbours
from assay.embeddings.skip_gram import skip_gram
from assay.embeddings.training import MakeExamples, Settings, Tables, train
from assay.embeddings.vectors import WordVectors
from assay.embeddings.vocabulary import Corpus, Floats, Vocabulary, Words, corpus_of, read
from assay.embeddings.windows import Examples, Stretch, contexts
from assay.errors import BadArgumentError

KIND = "doc2vec"


class Doc2Vec:
    """Vectors of documents, and of their words, by PV-DM or PV-DBOW.

    Args:
        documents: Lists of words.
        dm: 1 for PV-DM: the document and the words around tell a word. 0 for PV-DBOW: the document
            alone does.
        dbow_words: Whether PV-DBOW trains word vectors too, by skip-gram: 0 or 1.
        vector_size: As `training.Settings` has it, like all that follow.
        window: The same.
        min_count: The same.
        hs: The same.
        negative: The same.
        ns_exponent: The same.
        sample: The same.
        alpha: The same.
        min_alpha: The same.
        epochs: The same.
        seed: The same.
        workers: The same.

    Attributes:
        wv: The words and their vectors.
        vocabulary: The words and how often each occurs.
        dv: The documents' vectors in their order, (documents, d).

    Raises:
        BadArgumentError: A setting is outside its range, or a document is a string.
        DataError: No word occurs `min_count` times.

    Source:
        Le and Mikolov, 2014, https://arxiv.org/abs/1405.4053, with the mean of the vectors and
        negative sampling as gensim has them.
    """

    def __init__(
        self,
        documents: Iterable[Words],
        *,
        dm: int = 1,
        dbow_words: int = 0,
        vector_size: int = 100,
        window: int = 5,
        min_count: int = 5,
        hs: int = 0,
        negative: int = 5,
        ns_exponent: float = 0.75,
        sample: float = 1e-3,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        epochs: int = 10,
        seed: int = 1,
        workers: int = 1,
    ) -> None:
        if dm not in (0, 1) or dbow_words not in (0, 1):
            raise BadArgumentError(
                f"`dm` and `dbow_words` must be 0 or 1. Received dm={dm!r}, "
                f"dbow_words={dbow_words!r}; the defaults are dm=1, dbow_words=0."
            )
        self.dm, self.dbow_words = dm, dbow_words
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
        self.vocabulary, corpus = read(documents, min_count)
        self.tables = learned(
            corpus, self.vocabulary.counts, self.settings, dm=dm, dbow_words=dbow_words
        )
        self._divide(self.tables.vectors)

    def _divide(self, vectors: Floats) -> None:
        words = len(self.vocabulary)
        self.dv = vectors[words:]
        self.wv = WordVectors(self.vocabulary.words, vectors[:words])
        self._near: Neighbours | None = None

    def infer_vector(self, document: Words, *, epochs: int | None = None) -> Floats:
        """Return the vector of a document that was not trained on; words stay as they are.

        The same document gets the same vector. Words that are not known count for nothing.

        Args:
            document: A list of words.
            epochs: Passes over it; as many as in training if not given.
        """
        tables = self.tables.extended(1, self.settings.seed)
        passes = self.settings.epochs if epochs is None else epochs
        tables.settings = replace(self.settings, epochs=passes, workers=1)
        first = len(tables.vectors) - 1
        corpus = corpus_of([self.vocabulary.numbers(document)])
        make = _maker(self.settings, self.dm, 0, first)
        train(tables, corpus, make, frozen=first, learn_outputs=False)
        return tables.vectors[first]

    def most_similar(self, vector: Floats, topn: int = 10) -> list[tuple[int, float]]:
        """Return the numbers of the documents nearest to a vector, and their cosines.

        Args:
            vector: (d,), such as `dv[0]` or what `infer_vector` gives.
            topn: How many.

        Raises:
            BadArgumentError: `topn` is below 1.
            MissingExtraError: faiss is not installed.
        """
        if self._near is None:
            self._near = Neighbours(self.dv)
        rows, cosines = self._near.search(vector[None], topn)
        return list(zip(rows[0].tolist(), cosines[0].tolist(), strict=True))

    def save(self, folder: str | Path) -> None:
        """Write words, counts and all vectors as safetensors and JSON."""
        arrays: file.Arrays = {
            "vectors": self.tables.vectors,
            "told_from": self.tables.told_from,
            "told_by": self.tables.told_by,
            "counts": self.vocabulary.counts,
        }
        facts = {
            "dm": self.dm,
            "dbow_words": self.dbow_words,
            "settings": asdict(self.settings),
            "words": self.vocabulary.words,
        }
        file.save(folder, KIND, arrays, facts)

    @classmethod
    def load(cls, folder: str | Path) -> Doc2Vec:
        """Read what `save` wrote.

        Raises:
            DataError: It is damaged, or holds something else.
            MissingPathError: It is not there.
        """
        arrays, facts = file.load(folder, KIND)
        new = cls.__new__(cls)
        new.dm, new.dbow_words = facts["dm"], facts["dbow_words"]
        new.settings = Settings(**facts["settings"])
        new.vocabulary = Vocabulary(words=tuple(facts["words"]), counts=arrays["counts"])
        new.tables = Tables(arrays["counts"], new.settings)
        new.tables.vectors = arrays["vectors"]
        new.tables.told_from, new.tables.told_by = arrays["told_from"], arrays["told_by"]
        new._divide(arrays["vectors"])
        return new


def learned(
    corpus: Corpus,
    counts: NDArray[np.int64],
    settings: Settings,
    *,
    dm: int = 1,
    dbow_words: int = 0,
) -> Tables:
    """Return trained tables; the documents' vectors follow those of the words.

    Args:
        corpus: Ids below the number of counts; its sentences are the documents.
        counts: Of each word, at least 1.
        settings: Of the training.
        dm: As `Doc2Vec` has it.
        dbow_words: The same.
    """
    tables = Tables(counts, settings, documents=corpus.sentences)
    train(tables, corpus, _maker(settings, dm, dbow_words, len(counts)))
    return tables


def _maker(settings: Settings, dm: int, dbow_words: int, first: int) -> MakeExamples:
    def make(stretch: Stretch, rng: np.random.Generator) -> Sequence[Examples]:
        if dm:
            return [with_document(stretch, contexts(stretch, settings.window, rng), first)]
        documents = document_alone(stretch, first)
        if not dbow_words:
            return [documents]
        return [documents, skip_gram(stretch, contexts(stretch, settings.window, rng))]

    return make
