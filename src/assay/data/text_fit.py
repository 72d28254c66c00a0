"""What is learnt of text from its training part: the tokenizer and the length of an example.

    {"kind": "tokens", "tokenizer": {...}, "length": T, "vocabulary": V,
     "language": "zh" or "other", "begin": bool, "end": bool, "column": "body" or null,
     "cut": int, "answer_length": U}

`cut` says how many examples lost their end; `begin` and `end` say whether an example is put between
the marks 2 and 3; `column` is that of the text, if it was named; `answer_length` is there for pairs
only. The language is Chinese where most words are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.data.dataset import Task
from assay.data.names import Note
from assay.data.prepare import Fitted, Options
from assay.data.ragged import Ragged
from assay.data.text import LEAST_LENGTH, is_chinese
from assay.data.tokenizer import KINDS, Kind, Tokenizer, train_tokenizer
from assay.data.tokens import NOT_SCORED

SMALL = 2_000_000  # characters of running text; less is read character by character
SHORT = 64  # characters of a pair's side; pairs of such are read character by character
MOST_CHARACTERS = 8_000  # that get a number of their own
MOST_LENGTH = 256  # tokens of an example, unless told otherwise
NOWHERE = 2**31 - 2  # beyond any sentence
COVERED = 0.99  # share of the training examples that the length should hold whole
_NAMES: dict[Kind, tuple[str, str]] = {
    "char": ("single characters", "单个字符"),
    "bpe": ("tokens of byte-level BPE", "字节级 BPE 词元"),
    "wordpiece": ("tokens of WordPiece", "WordPiece 词元"),
    "unigram": ("tokens of a unigram model", "unigram 词元"),
}


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A tokenizer, the language it was learnt from, where the text stood, and how to say so."""

    tokenizer: Tokenizer
    chinese: bool
    column: str | None
    note: Note

    def facts(self, *, length: int, begin: bool, end: bool) -> dict[str, Any]:
        """Return the preprocessing of a data set.

        Args:
            length: Tokens of an example, with the marks.
            begin: Whether an example begins with a mark.
            end: Whether it ends with one.
        """
        return {
            "kind": "tokens",
            "tokenizer": self.tokenizer.facts(),
            "length": length,
            "vocabulary": self.tokenizer.vocabulary,
            "language": "zh" if self.chinese else "other",
            "begin": begin,
            "end": end,
            "column": self.column,
        }


def learn(texts: Sequence[str], options: Options, *, task: Task) -> Learnt:
    """Return the tokenizer of a training part.

    Args:
        texts: Of the training part.
        options: What was chosen.
        task: What the text is for.
    """
    chinese = is_chinese(texts)
    total = sum(map(len, texts))
    kind = _kind(options, task=task, chinese=chinese, total=total, count=len(texts))
    tokenizer = train_tokenizer(
        kind, texts, vocabulary=options.vocabulary or _vocabulary(kind, total)
    )
    en, zh = _NAMES[kind]
    size = tokenizer.vocabulary
    chosen = "" if options.tokenizer != "auto" else "; --tokenizer chooses another way"
    note = {
        "en": f"Text is read as {en}, a vocabulary of {size:,} learnt from the training part"
        f"{chosen}.",
        "zh": f"文本按{zh}读取，词表共 {size:,} 个，仅从训练部分学得"
        f"{'；可用 --tokenizer 更换' if chosen else ''}。",
    }
    return Learnt(tokenizer=tokenizer, chinese=chinese, column=options.text, note=note)


def fit_texts(texts: Sequence[str], train: np.ndarray, options: Options, *, task: Task) -> Fitted:
    """Return texts as tokens, one row for each.

    Args:
        texts: Clean ones.
        train: Which of them to learn from.
        options: What was chosen.
        task: What the text is for.
    """
    learnt = learn([texts[at] for at in train.tolist()], options, task=task)
    found = encoded(learnt.tokenizer, texts)
    length = options.length or usual_length(found.lengths[train] + 2)
    facts = learnt.facts(length=length, begin=True, end=True)
    facts["cut"] = int((found.lengths + 2 > length).sum())
    return Fitted(
        x=found.padded(length, begin=True, end=True),
        preprocessing=facts,
        notes=(learnt.note, *cut_notes(facts["cut"], len(texts), length)),
    )


def fit_pairs(
    sources: Sequence[str], answers: Sequence[str], train: np.ndarray, options: Options
) -> Fitted:
    """Return pairs as tokens: what is read, ended by 3, and what is to be written, ended by 3.

    Args:
        sources: What is read.
        answers: What is to be written.
        train: Which pairs to learn from; both sides share one vocabulary.
        options: What was chosen.
    """
    known = train.tolist()
    both = [side[at] for side in (sources, answers) for at in known]
    learnt = learn(both, options, task="text-to-text")
    read, written = (encoded(learnt.tokenizer, side) for side in (sources, answers))
    lengths = [options.length or usual_length(side.lengths[train] + 1) for side in (read, written)]
    facts = learnt.facts(length=lengths[0], begin=False, end=True)
    facts["answer_length"] = lengths[1]
    facts["language"] = "zh" if is_chinese([answers[at] for at in known]) else "other"
    over = (read.lengths >= lengths[0]) | (written.lengths >= lengths[1])
    facts["cut"] = int(over.sum())
    return Fitted(
        x=read.padded(lengths[0], end=True),
        y=written.padded(lengths[1], end=True),
        preprocessing=facts,
        notes=(learnt.note, *cut_notes(facts["cut"], len(sources), max(lengths))),
    )


def fit_words(
    words: Sequence[Sequence[str]],
    labels: Sequence[np.ndarray],
    train: np.ndarray,
    options: Options,
) -> Fitted:
    """Return sentences as tokens and, at the first token of each word, its label.

    Args:
        words: Of each sentence.
        labels: int, one for each word.
        train: Which sentences to learn from.
        options: What was chosen.
    """
    known = [word for at in train.tolist() for word in words[at]]
    learnt = learn(known, options, task="token-classification")
    sentences, first = words_encoded(learnt.tokenizer, words)
    length = options.length or usual_length(sentences.lengths[train] + 2)
    y = np.full((len(words), length), NOT_SCORED, np.int32)
    rows = np.repeat(np.arange(len(first)), first.lengths)
    kept = first.ids + 1 < length - 1  # one further on for the mark before; the last is a mark
    y[rows[kept], first.ids[kept] + 1] = np.concatenate(labels)[kept]
    facts = learnt.facts(length=length, begin=True, end=True)
    facts["cut"] = int((sentences.lengths + 2 > length).sum())
    return Fitted(
        x=sentences.padded(length, begin=True, end=True),
        y=y,
        preprocessing=facts,
        notes=(learnt.note, *cut_notes(facts["cut"], len(words), length)),
    )


def encoded(tokenizer: Tokenizer, texts: Sequence[str], most: int = 10_000) -> Ragged:
    """Return texts as ids; the work space is of one group of texts.

    Args:
        tokenizer: Learnt.
        texts: Clean ones.
        most: Texts in a group.
    """
    groups = [tokenizer.encode(texts[at : at + most]) for at in range(0, len(texts), most)]
    if len(groups) == 1:
        return groups[0]
    none = np.empty(0, np.int64)
    return Ragged(
        ids=np.concatenate([none.astype(np.int32), *(group.ids for group in groups)]),
        lengths=np.concatenate([none, *(group.lengths for group in groups)]),
    )


def words_encoded(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]
) -> tuple[Ragged, Ragged]:
    """Return sentences as ids, and the place of each word's first token in its sentence.

    A word that gives no token, such as an invisible sign, has a place beyond any sentence.

    Args:
        tokenizer: Learnt.
        sentences: The words of each.
    """
    words = encoded(tokenizer, [word for sentence in sentences for word in sentence])
    counts = np.fromiter(map(len, sentences), np.int64, len(sentences))
    ends = np.cumsum(words.lengths)
    borders = np.concatenate([[0], ends])[np.concatenate([[0], np.cumsum(counts)])]
    first = words.starts - np.repeat(borders[:-1], counts)
    first[words.lengths == 0] = NOWHERE
    return Ragged(ids=words.ids, lengths=np.diff(borders)), Ragged(ids=first, lengths=counts)


def usual_length(lengths: np.ndarray) -> int:
    """Return a length that holds nearly all examples whole, or all where that costs little.

    Args:
        lengths: Tokens of the training examples, with the marks.
    """
    usual, longest = int(np.ceil(np.quantile(lengths, COVERED))), int(lengths.max())
    if longest <= 1.5 * usual:
        usual = longest
    return min(MOST_LENGTH, max(LEAST_LENGTH, usual))


def cut_notes(cut: int, count: int, length: int) -> tuple[Note, ...]:
    """Return how many examples were cut, where some were.

    Args:
        cut: How many.
        count: Of how many.
        length: Tokens that are kept.
    """
    if not cut:
        return ()
    return (
        {
            "en": f"Examples cut to {length:,} tokens: {cut:,} of {count:,}; --length keeps more "
            "of them.",
            "zh": f"{count:,} 个样本中有 {cut:,} 个被截断到 {length:,} 个词元；"
            "可用 --length 保留更多。",
        },
    )


def _kind(options: Options, *, task: Task, chinese: bool, total: int, count: int) -> Kind:
    """Return how to divide text: as chosen, else by characters where words would be too few.

    That is Chinese, running text that is short, and pairs of short texts.
    """
    for kind in KINDS:
        if kind == options.tokenizer:
            return kind
    short = {"language-modeling": SMALL, "text-to-text": SHORT * count}
    return "char" if chinese or total < short.get(task, 0) else "bpe"


def _vocabulary(kind: Kind, total: int) -> int:
    """Return how many tokens a text of so many characters can teach."""
    if kind == "char":
        return MOST_CHARACTERS
    for least, size in ((20_000_000, 16_384), (2_000_000, 8_192), (200_000, 4_096)):
        if total >= least:
            return size
    return 1_024
