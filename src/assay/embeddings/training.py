"""Training of tables of vectors by examples, on threads that share them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from assay.embeddings import batched
from assay.embeddings.compiled import library
from assay.embeddings.vocabulary import (
    Corpus,
    Floats,
    Tree,
    alias_table,
    huffman,
    keep_chances,
)
from assay.embeddings.windows import Examples, Step, Stretch, thin
from assay.errors import BadArgumentError

JOB = 10_000  # words that one thread takes at a time; the step size is theirs
MOST_OUTPUTS = 127  # negative words at most: see learn.c

MakeExamples = Callable[[Stretch, np.random.Generator], Sequence[Examples]]
_NO_TREE = Tree(
    nodes=np.empty(0, np.int32), turns=np.empty(0, np.int8), starts=np.zeros(1, np.int64)
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How vectors are trained; the defaults are gensim's, and but for `alpha` the papers'.

    Attributes:
        vector_size: Numbers per vector.
        window: Words to each side, at most.
        min_count: Rarer words are left out.
        hs: 1 for hierarchical softmax: each word is told by its path in a Huffman tree.
        negative: Noise words that each word is told from; 0 for none.
        ns_exponent: Noise words are drawn by their counts to this power.
        sample: Words that make up more than about this share are read less often; 0 reads all.
        alpha: Step size at the start, falling linearly.
        min_alpha: Step size at the end.
        epochs: Passes over the text.
        seed: Of all that is drawn. With one worker the same seed gives the same vectors.
        workers: Threads.
    """

    vector_size: int = 100
    window: int = 5
    min_count: int = 5
    hs: int = 0
    negative: int = 5
    ns_exponent: float = 0.75
    sample: float = 1e-3
    alpha: float = 0.025
    min_alpha: float = 1e-4
    epochs: int = 5
    seed: int = 1
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("vector_size", "window", "min_count", "epochs", "workers"):
            if getattr(self, name) < 1:
                raise BadArgumentError(
                    f"`{name}` must be at least 1. Received {name}={getattr(self, name)}; "
                    f"the default is {_default(name)}."
                )
        if self.hs not in (0, 1) or not 0 <= self.negative <= MOST_OUTPUTS:
            raise BadArgumentError(
                f"`hs` must be 0 or 1, and `negative` 0 to {MOST_OUTPUTS}. Received hs={self.hs}, "
                f"negative={self.negative}; the defaults are hs=0, negative=5."
            )
        if not self.hs and not self.negative:
            raise BadArgumentError(
                "Words are told by a tree or from noise. Received hs=0, negative=0, which is "
                "neither; set hs=1, or negative=5."
            )


def _default(name: str) -> object:
    return next(f.default for f in fields(Settings) if f.name == name)


class Tables:
    """The vectors and what they are scored against, with all that one training step needs.

    Args:
        counts: Of each word, at least one.
        settings: Of the training.
        documents: Rows after the words', one per document.

    Attributes:
        vectors: (words + documents, d), uniform in ±1 / d at first.
        told_from: (words, d), the outputs of negative sampling; zero at first.
        told_by: (words - 1, d), the inner nodes of the tree; zero at first.
    """

    def __init__(
        self, counts: NDArray[np.int64], settings: Settings, *, documents: int = 0
    ) -> None:
        words, width = len(counts), settings.vector_size
        rng = np.random.default_rng(settings.seed)
        self.settings = settings
        self.vectors: Floats = _uniform(rng, words + documents, width)
        self.told_from = np.zeros((words if settings.negative else 0, width), np.float32)
        self.told_by = np.zeros((words - 1 if settings.hs else 0, width), np.float32)
        self.keep, self.other = alias_table(counts**settings.ns_exponent)
        self.tree = huffman(counts) if settings.hs else _NO_TREE
        self.chances = keep_chances(counts, settings.sample)

    def extended(self, rows: int, seed: int) -> Tables:
        """Return tables with new vectors after these; outputs are shared."""
        new = object.__new__(Tables)
        new.__dict__.update(self.__dict__)
        rng = np.random.default_rng(seed)
        more = _uniform(rng, rows, self.vectors.shape[1])
        new.vectors = np.concatenate([self.vectors, more])
        return new

    def learn(self, examples: Examples, step: Step, rng: np.random.Generator) -> None:
        """Change the tables so that the inputs tell the targets better.

        Args:
            examples: Their inputs are rows of `vectors`, their targets words.
            step: Of how much, and what.
            rng: Draws the noise words.
        """
        for outputs, negative in ((self.told_by, 0), (self.told_from, self.settings.negative)):
            if not len(outputs):
                continue
            learn = self._learn_batches if library() is None else self._learn_compiled
            learn(outputs, negative, examples, step, rng)

    def _learn_compiled(
        self,
        outputs: Floats,
        negative: int,
        examples: Examples,
        step: Step,
        rng: np.random.Generator,
    ) -> None:
        loops = library()
        inputs, targets = (np.ascontiguousarray(part, np.int32) for part in examples)
        scratch = np.empty(2 * outputs.shape[1], np.float32)
        state = ctypes.c_uint64(int(rng.integers(0, 2**63)))
        if loops is not None:
            loops.learn_examples(
                *map(_at, (self.vectors, outputs, inputs)),
                ctypes.c_int32(inputs.shape[1]),
                _at(targets),
                ctypes.c_int64(len(targets)),
                ctypes.c_int32(outputs.shape[1]),
                ctypes.c_float(step.rate),
                ctypes.c_int32(negative),
                *map(_at, (self.keep, self.other)),
                ctypes.c_int32(len(self.keep)),
                _at(self.tree.nodes),
                _at(self.tree.turns),
                _at(self.tree.starts),
                ctypes.c_int32(step.frozen),
                ctypes.c_int32(step.learn_outputs),
                ctypes.byref(state),
                _at(scratch),
            )

    def _learn_batches(
        self,
        outputs: Floats,
        negative: int,
        examples: Examples,
        step: Step,
        rng: np.random.Generator,
    ) -> None:
        if negative:
            told = batched.noise_answers(examples.targets, negative, self.keep, self.other, rng)
        else:
            told = batched.tree_answers(examples.targets, self.tree)
        batched.learn_examples(self.vectors, outputs, examples, step, told)


def train(
    tables: Tables,
    corpus: Corpus,
    make: MakeExamples,
    *,
    frozen: int = 0,
    learn_outputs: bool = True,
) -> None:
    """Train tables on a corpus, as their settings say.

    Args:
        tables: Changed in place.
        corpus: Ids of the words that the tables were made for.
        make: Makes the examples of some words.
        frozen: As `windows.Step` has it.
        learn_outputs: The same.
    """
    settings = tables.settings
    total = settings.epochs * max(len(corpus.tokens), 1)

    def job(place: tuple[int, int]) -> None:
        epoch, start = place
        rng = np.random.default_rng((settings.seed, epoch, start))
        done = (epoch * len(corpus.tokens) + start) / total
        rate = settings.alpha - (settings.alpha - settings.min_alpha) * done
        stretch = thin(_stretch(corpus, start), tables.chances, rng)
        for examples in make(stretch, rng):
            tables.learn(examples, Step(rate, frozen, learn_outputs), rng)

    starts = range(0, len(corpus.tokens), JOB)
    jobs = [(epoch, start) for epoch in range(settings.epochs) for start in starts]
    if settings.workers == 1:
        for place in jobs:
            job(place)
        return
    with ThreadPoolExecutor(settings.workers) as pool:
        for _ in pool.map(job, jobs):  # raises what a job raised
            pass


def _stretch(corpus: Corpus, start: int) -> Stretch:
    tokens = corpus.tokens[start : start + JOB]
    at = np.arange(start, start + len(tokens))
    return Stretch(tokens, np.searchsorted(corpus.starts, at, side="right") - 1)


def _uniform(rng: np.random.Generator, rows: int, width: int) -> Floats:
    drawn: Floats = (2 * rng.random((rows, width), np.float32) - 1) / np.float32(width)
    return drawn


def _at(array: NDArray[np.generic]) -> ctypes.c_void_p:
    """Return where an array lies; it must be without gaps and outlive the call."""
    return ctypes.c_void_p(array.ctypes.data)
