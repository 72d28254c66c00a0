"""The words of a corpus: how often each occurs, and all that training derives from that."""

from __future__ import annotations

import heapq
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadArgumentError, DataError

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]
Words = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Words and their counts, the most frequent first; of equals the newest first, as in gensim."""

    words: tuple[str, ...]
    counts: NDArray[np.int64]
    ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", {word: i for i, word in enumerate(self.words)})

    def __len__(self) -> int:
        return len(self.words)

    def numbers(self, sentence: Iterable[str]) -> list[int]:
        """Return the ids of a sentence's words; words that are not known are left out."""
        known = self.ids
        return [known[word] for word in sentence if word in known]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All sentences in a row, as ids of a vocabulary."""

    tokens: Ids  # (number of words,)
    starts: NDArray[np.int64]  # (sentences + 1,): where each begins; the last is the end

    @property
    def sentences(self) -> int:
        """How many there are."""
        return len(self.starts) - 1


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The way from the root to each word: inner nodes, and at each the turn, 0 or 1."""

    nodes: Ids
    turns: NDArray[np.int8]
    starts: NDArray[np.int64]  # (words + 1,): where the way to each word begins


def read(sentences: Iterable[Words], min_count: int) -> tuple[Vocabulary, Corpus]:
    """Return the words that occur at least `min_count` times, and the text without the others.

    Args:
        sentences: Lists of words; read once.
        min_count: At least 1.

    Raises:
        BadArgumentError: A sentence is a string, not a list of words.
        DataError: No word occurs so often.
    """
    order: defaultdict[str, int] = defaultdict(count().__next__)  # words as they first come
    tokens, lengths = array("i"), array("q")
    for sentence in sentences:
        _refuse_string(sentence)
        tokens.extend(map(order.__getitem__, sentence))
        lengths.append(len(sentence))
    flat = np.frombuffer(tokens, np.int32) if tokens else np.empty(0, np.int32)
    vocabulary, renamed = _ranked(list(order), np.bincount(flat), min_count)
    kept = renamed[flat]
    ends = np.concatenate([[0], (kept >= 0).cumsum()])[np.concatenate([[0], np.cumsum(lengths)])]
    return vocabulary, Corpus(tokens=kept[kept >= 0], starts=ends.astype(np.int64))


def _ranked(
    words: Sequence[str], counts: NDArray[np.int64], min_count: int
) -> tuple[Vocabulary, Ids]:
    """Return a vocabulary and each word's number in it, -1 for what is too rare."""
    ranks = np.lexsort((-np.arange(len(words)), -counts)).tolist()
    kept = [i for i in ranks if counts[i] >= min_count]
    if not kept:
        raise DataError(
            f"Word vectors need words that occur at least min_count={min_count} times. Received "
            f"{counts.sum():,} words, {len(words):,} of them different, and none that often; "
            "give more text or a lower min_count."
        )
    renamed = np.full(len(words), -1, np.int32)
    renamed[kept] = np.arange(len(kept), dtype=np.int32)
    return Vocabulary(words=tuple(words[i] for i in kept), counts=counts[kept]), renamed


def _refuse_string(sentence: Words) -> None:
    if isinstance(sentence, str):
        raise BadArgumentError(
            "`sentences` must be lists of words. Received a string, "
            f"{sentence[:20]!r}, whose letters would be the words; cut it first."
        )


def corpus_of(rows: Iterable[Sequence[int]]) -> Corpus:
    """Return sentences of ids in a row."""
    parts = [np.asarray(row, np.int32) for row in rows]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return Corpus(tokens=np.concatenate([np.empty(0, np.int32), *parts]), starts=ends)


def keep_chances(counts: NDArray[np.int64], sample: float) -> Floats:
    """Return the chance with which each occurrence of a word is read; 1 for all if `sample` is 0.

    Frequent words are read less often: those that make up more than about `sample` of all words.

    Source:
        Mikolov et al., 2013, https://arxiv.org/abs/1310.4546, section 2.3; in the form of their
        program and of gensim, (√(f / sample) + 1) · sample / f.
    """
    if not sample:
        return np.ones(len(counts), np.float32)
    ratio = counts / counts.sum() / sample
    chances: Floats = np.minimum((np.sqrt(ratio) + 1) / ratio, 1).astype(np.float32)
    return chances


def alias_table(weights: NDArray[np.floating]) -> tuple[Floats, Ids]:
    """Return chances and other outcomes for drawing in constant time.

    Draw i uniformly; take i with the chance `keep[i]`, else `other[i]`.

    Source:
        Vose, 1991, https://doi.org/10.1109/32.92917.
    """
    scaled = weights * (len(weights) / weights.sum())
    keep, other = np.ones(len(weights), np.float32), np.arange(len(weights), dtype=np.int32)
    small = [i for i, w in enumerate(scaled) if w < 1]
    large = [i for i, w in enumerate(scaled) if w >= 1]
    while small and large:
        i, j = small.pop(), large[-1]
        keep[i], other[i] = scaled[i], j
        scaled[j] -= 1 - scaled[i]
        if scaled[j] < 1:
            small.append(large.pop())
    return keep, other


def huffman(counts: NDArray[np.int64]) -> Tree:
    """Return the tree in which frequent words are near the root; its inner nodes are 0 to V - 2.

    Of many equally short trees it is gensim's: words that are neighbours in it come to look alike.

    Source:
        Huffman, 1952; Mikolov et al., 2013, https://arxiv.org/abs/1310.4546, section 2.1.
    """
    number = len(counts)
    heap = [_Part(often, word) for word, often in enumerate(counts.tolist())]
    heapq.heapify(heap)
    parent, turn = [0] * (2 * number - 1), [0] * (2 * number - 1)
    for node in range(number, 2 * number - 1):
        less, more = heapq.heappop(heap), heapq.heappop(heap)
        parent[less.node] = parent[more.node] = node
        turn[more.node] = 1
        heapq.heappush(heap, _Part(less + more, node))
    return _ways(np.array(parent), np.array(turn), number)


class _Part(int):
    """A count that knows its node; equal counts are equal."""

    node: int

    def __new__(cls, count: int, node: int) -> _Part:
        made = super().__new__(cls, count)
        made.node = node
        return made


def _ways(parent: NDArray[np.int64], turn: NDArray[np.int64], number: int) -> Tree:
    """Return the inner nodes and turns from the root to each of so many words."""
    root = 2 * number - 2
    at = words = np.flatnonzero(np.arange(number) != root)
    steps = [np.empty((4, 0), np.int64)]  # word, height, node and turn, all words a step at a time
    while len(words):
        height = np.full(len(words), len(steps))
        steps.append(np.array([words, height, parent[at] - number, turn[at]]))
        at = parent[at]
        words, at = words[at != root], at[at != root]
    word, height, nodes, turns = np.concatenate(steps, axis=1)
    order = np.lexsort((-height, word))
    return Tree(
        nodes=nodes[order].astype(np.int32),
        turns=turns[order].astype(np.int8),
        starts=np.concatenate([[0], np.cumsum(np.bincount(word, minlength=number))]),
    )
