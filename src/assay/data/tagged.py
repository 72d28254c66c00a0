"""Sentences with a tag for each word, as in the files of the CoNLL shared tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from assay.data.names import Note, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.text import TextFile, check_options, clean
from assay.data.text_fit import fit_words
from assay.data.text_rows import digest_of, groups_of_texts
from assay.errors import BadArgumentError, DataError

ENDINGS = (".conll", ".iob", ".iob2", ".bio", ".bioes")
DOCUMENT = "-DOCSTART-"
LEAST = 10  # different sentences


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Words and their tags.

    Attributes:
        line: Of the file, where it begins.
        words: In order.
        tags: One for each word.
    """

    line: int
    words: Sequence[str]
    tags: Sequence[str]


def tagged_file(path: Path, options: Options) -> Source:
    """Return a file with a word on each line, its tag in the last column.

    Raises:
        BadArgumentError: An option was named that it does not have.
    """
    check_options(options)
    asked = [n for n in ("target", "text", "group", "time") if getattr(options, n) is not None]
    if asked or options.task not in (None, "token-classification"):
        what = asked[0] if asked else "task"
        raise BadArgumentError(
            f"{shown(path)!r} is read as words, each with its tag in the last column, for "
            f"token-classification. Received {what}={getattr(options, what)!r}; leave it out."
        )
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read(path, options)
    )


def words_in(path: Path) -> list[Sentence]:
    """Return the sentences of a file with a word on each line; its tags are not looked at.

    Raises:
        DataError: There are none, or a word is no text.
    """
    sentences = list(_sentences(TextFile(path), least=1))
    if not sentences:
        raise DataError(f"{shown(path)} holds no words; give one on each line.")
    return [replace(each, words=_clean(each, str(path)), tags=()) for each in sentences]


def tagged(
    sentences: Sequence[Sentence],
    *,
    name: str,
    source: str,
    options: Options,
    notes: Sequence[Note] = (),
) -> Raw:
    """Return sentences as examples; equal ones stay in one part.

    Args:
        sentences: At least one word in each.
        name: Of the data set.
        source: The file, for messages.
        options: What was chosen.
        notes: Of the reading.

    Raises:
        DataError: There are too few, or a word is no text.
    """
    words = [_clean(sentence, source) for sentence in sentences]
    groups = groups_of_texts(" ".join(sentence) for sentence in words)
    if len(np.unique(groups)) < LEAST:
        raise DataError(
            f"{shown(source)} must hold at least {LEAST} different sentences. Received "
            f"{len(np.unique(groups))}; add sentences, with an empty line between them."
        )
    classes = sorted({tag for sentence in sentences for tag in sentence.tags})
    number = {tag: at for at, tag in enumerate(classes)}
    labels = [np.array([number[tag] for tag in s.tags], np.int32) for s in sentences]
    return Raw(
        name=name,
        source=source,
        task="token-classification",
        y=np.zeros((len(words), 1), np.int32),
        classes=tuple(shown(tag) for tag in classes),
        content=digest_of((options.reading, *map("\0".join, words)), *labels, classes),
        groups=groups,
        fit=lambda train: fit_words(words, labels, train, options),
        ids=tuple(f"line {sentence.line}" for sentence in sentences),
        notes=tuple(notes),
    )


def _read(path: Path, options: Options) -> Raw:
    file = TextFile(path)
    sentences = list(_sentences(file))
    if not sentences:
        raise DataError(f"{shown(path)} holds no words; give a word and its tag on each line.")
    return tagged(sentences, name=path.stem, source=str(path), options=options, notes=file.notes)


def _clean(sentence: Sentence, source: str) -> list[str]:
    """Return the words as they are encoded; the sentence is looked at as a whole, which is fast."""
    what = f"A word of line {sentence.line} of {shown(source)}"
    whole = " ".join(sentence.words)
    if clean(whole, what) != whole or not all(map(str.strip, sentence.words)):
        return [clean(word, what) for word in sentence.words]
    return list(sentence.words)


def _sentences(file: TextFile, *, least: int = 2) -> Iterator[Sentence]:
    """Yield sentences; every line must have as many columns as the first, and `least` of them."""
    words: list[str] = []
    tags: list[str] = []
    begin, columns = 1, 0
    for number, line in file.lines():
        cells = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or cells[0] == DOCUMENT:
            if words:
                yield Sentence(line=begin, words=words, tags=tags)
            words, tags = [], []
            continue
        if line.startswith("# ") and not words:
            continue
        columns = columns or len(cells)
        if least == 1 and len(cells) != columns:
            raise DataError(
                f"Every line of {shown(file.path)} must have as many columns as the first, "
                f"{columns}. Line {number} has {len(cells)}; correct it."
            )
        if len(cells) != columns or columns < least:
            raise DataError(
                f"Every line of {shown(file.path)} must have a word and, in the last of "
                f"{max(columns, 2)} columns, its tag. Line {number} has {len(cells)} "
                f"column{'s' * (len(cells) > 1)}; correct it."
            )
        if not cells[0].strip() or (least > 1 and not cells[-1].strip()):
            missing = "word" if not cells[0].strip() else "tag"
            raise DataError(
                f"Every line of {shown(file.path)} must have a word and its tag. Line {number} has "
                f"no {missing}; correct it."
            )
        begin = begin if words else number
        words.append(cells[0])
        tags.append(cells[-1].strip())
    if words:
        yield Sentence(line=begin, words=words, tags=tags)
