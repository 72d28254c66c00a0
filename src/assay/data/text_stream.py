"""Running text for language modelling: one stream of tokens, cut into blocks.

A single text is divided where it is 80% and 90% over, at a line end: the beginning is for training,
then comes validation, the end is the test. Several texts are divided whole, in a seeded order, or
as their file names (train, validation, test) say. Blocks are cut after the division, so that none
crosses it; the last of each part is filled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from assay.data.dataset import PARTS
from assay.data.folder import PARTS as PART_NAMES
from assay.data.names import Note, shown
from assay.data.prepare import Fitted, Options, Raw, Source
from assay.data.ragged import Ragged
from assay.data.text import LEAST_LENGTH, TextFile, check_options
from assay.data.text_fit import Learnt, encoded, learn
from assay.data.text_rows import digest_of
from assay.data.tokens import BEGIN, END, NOT_SCORED, PAD
from assay.errors import BadArgumentError, DataError

STREAMS = ("language-modeling", "masked-language-modeling")
LENGTH = 128  # tokens of a block, unless told otherwise or the text is short
FEW = 20  # training blocks that a short text is cut into at least
LEAST = 12  # training blocks below which nothing can be learnt
SHARE = 0.1  # of the text for validation, and as much for the test


@dataclass
class Document:
    """One text of a collection.

    Attributes:
        name: By which a person finds it.
        pieces: Its text, in order.
        part: 0 train, 1 validation, 2 test; -1 where nobody said.
        ends: Whether it ends where it does, and was not cut off there.
    """

    name: str
    pieces: list[str]
    part: int = -1
    ends: bool = True
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(map(len, self.pieces))


def text_file(path: Path, options: Options) -> Source:
    """Return a .txt file as running text.

    Raises:
        BadArgumentError: An option was named that running text does not have.
    """
    check_stream(options, shown(path))
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read([path], path, options)
    )


def text_files(home: Path, paths: Sequence[Path], options: Options) -> Source:
    """Return .txt files as one collection, each a text of its own.

    Args:
        home: The folder they are below.
        paths: The files.
        options: What was chosen.

    Raises:
        BadArgumentError: An option was named that running text does not have.
    """
    check_stream(options, shown(home))
    folders = sorted({path.parent for path in paths})
    return Source(
        name=home.resolve().name or str(home),
        where=str(home),
        files=(home, *folders, *paths),
        read=lambda _: _read(paths, home, options),
    )


def check_stream(options: Options, what: str) -> None:
    """Check what was chosen for running text.

    Args:
        options: What was chosen.
        what: The data, for messages.

    Raises:
        BadArgumentError: It does not fit.
    """
    check_options(options)
    if options.task not in (None, *STREAMS):
        raise BadArgumentError(
            f"Running text is for language-modeling or masked-language-modeling. Received "
            f"task={options.task!r} for {what}; a label for each text needs a table, JSON lines "
            "or a folder for each class."
        )
    named = {"target": options.target, "group": options.group, "time": options.time}
    asked = [name for name, value in named.items() if value is not None]
    if asked:
        raise BadArgumentError(
            f"`{asked[0]}` names a column. {what!r} is running text, which has none; leave it out."
        )


def stream(
    documents: Sequence[Document],
    *,
    name: str,
    source: str,
    options: Options,
    notes: Sequence[Note] = (),
) -> Raw:
    """Return texts as blocks of tokens, divided.

    Args:
        documents: With text; those of white space alone are left out.
        name: Of the data set.
        source: The file or folder, for messages.
        options: What was chosen.
        notes: Of the reading.

    Raises:
        DataError: There is no text, or too little.
    """
    full = [document for document in documents if any(map(str.strip, document.pieces))]
    if not full:
        state = "only white space" if any(d.size for d in documents) else "no text"
        raise DataError(f"{shown(source)} holds {state}; give text to learn from.")
    lost = len(documents) - len(full)
    task = options.task or "language-modeling"
    stretches, rule = _divided(full, options.seed)
    learnt = learn(list(_pieces(stretches[0])), options, task=task)
    streams = [_tokens(learnt, stretch) for stretch in stretches]
    length = _length(streams, options, source, masked=task != "language-modeling")
    blocks = [_blocks(ids, length, masked=task != "language-modeling") for ids in streams]
    counts = [len(x) for x, _ in blocks]
    x, y = (np.concatenate([block[side] for block in blocks]) for side in (0, 1))
    marked = task != "language-modeling"
    facts = learnt.facts(length=length, begin=marked, end=marked)
    more = (*notes, rule, *(_blank(lost) if lost else ()), learnt.note)
    return Raw(
        name=name,
        source=source,
        task=task,
        y=y,
        classes=(),
        content=digest_of((options.reading, *_pieces(full)), [d.part for d in full]),
        groups=np.arange(len(x)),
        fit=lambda _: Fitted(x=x, preprocessing=facts),
        given=np.repeat(np.arange(3, dtype=np.int8), counts),
        ids=tuple(
            f"{p} block {at + 1}" for p, n in zip(PARTS, counts, strict=True) for at in range(n)
        ),
        notes=more,
    )


def part_of(path: Path, home: Path) -> int:
    """Return the part that a file's name or the top folder says, or -1.

    Args:
        path: Of the file.
        home: The folder it is below.
    """
    inside = path.relative_to(home)
    for name in (inside.parts[0].lower(), path.stem.lower(), path.stem.lower().split(".")[-1]):
        if name in PART_NAMES:
            return PART_NAMES[name]
    return -1


def _read(paths: Sequence[Path], home: Path, options: Options) -> Raw:
    documents: list[Document] = []
    notes: list[Note] = []
    for path in paths:
        file = TextFile(path)
        part = part_of(path, home) if home != path else -1
        documents.append(Document(name=path.name, pieces=list(file.pieces()), part=part))
        notes += [note for note in file.notes if note not in notes]
    name = home.stem if len(paths) == 1 and home == paths[0] else home.resolve().name
    return stream(documents, name=name or str(home), source=str(home), options=options, notes=notes)


def _divided(documents: list[Document], seed: int) -> tuple[list[list[Document]], Note]:
    """Return the texts for training, validation and test, and how they were divided."""
    given: list[list[Document]] = [[d for d in documents if d.part == p] for p in range(3)]
    if all(given) and all(document.part >= 0 for document in documents):
        return given, {
            "en": "Divided as the names of files or folders say: train, validation, test.",
            "zh": "按文件名或文件夹名划分为训练、验证和测试。",
        }
    largest = max(document.size for document in documents)
    if len(documents) < 3 or largest > 0.8 * sum(document.size for document in documents):
        return _stretches(documents), {
            "en": "Divided by place: the first 80% of the text for training, the next 10% for "
            "validation, the last 10% for the test.",
            "zh": "按位置划分：文本的前 80% 用于训练，其后 10% 用于验证，最后 10% 用于测试。",
        }
    return _by_document(documents, seed), {
        "en": f"Divided by text: each of the {len(documents):,} texts is in one part, by chance.",
        "zh": f"按篇划分：共 {len(documents):,} 篇，每篇随机归入一个部分。",
    }


def _stretches(documents: list[Document]) -> list[list[Document]]:
    """Cut what comes one after the other where it is 80% and 90% over."""
    pieces = [piece for document in documents for piece in (*document.pieces, "\n")][:-1]
    total = sum(map(len, pieces))
    parts: list[list[str]] = [[], [], []]
    at, done = 0, 0
    for piece in pieces:
        rest = piece
        while rest:
            border = total * (1 - (2 - at) * SHARE) if at < 2 else float("inf")
            if done + len(rest) <= border:
                parts[at].append(rest)
                done += len(rest)
                break
            cut = _line_end(rest, int(border - done))
            parts[at].append(rest[:cut])
            done, rest, at = done + cut, rest[cut:], at + 1
    return [
        [Document(name=part, pieces=list(filter(None, found)), ends=part == "test")]
        for part, found in zip(PARTS, parts, strict=True)
    ]


def _line_end(text: str, at: int) -> int:
    """Return the place after the nearest line end or space before `at`, else `at` itself."""
    for mark in ("\n", " "):
        found = text.rfind(mark, max(0, at - 2000), at) + 1
        if found:
            return found
    return at


def _by_document(documents: list[Document], seed: int) -> list[list[Document]]:
    """Give whole texts to validation and test until each has its share; copies stay together."""
    order = np.random.default_rng(seed).permutation(len(documents))
    kin: dict[str, list[Document]] = {}
    for at in order.tolist():
        kin.setdefault("".join(documents[at].pieces), []).append(documents[at])
    share = SHARE * sum(document.size for document in documents)
    parts: list[list[Document]] = [[], [], []]
    groups = list(kin.values())
    for part in (2, 1):
        size = 0.0
        while len(groups) > part and size < share:
            chosen = groups.pop(0)
            parts[part] += chosen
            size += sum(document.size for document in chosen)
    parts[0] = [document for group in groups for document in group]
    return parts


def _pieces(documents: Sequence[Document]) -> Iterator[str]:
    for document in documents:
        yield from document.pieces


def _tokens(learnt: Learnt, documents: Sequence[Document]) -> np.ndarray:
    """Return the ids of texts, each between the marks 2 and 3."""
    rows: list[np.ndarray] = []
    for document in documents:
        body = encoded(learnt.tokenizer, document.pieces, most=16)
        rows += [np.array([BEGIN], np.int32), body.ids, np.array([END] * document.ends, np.int32)]
    return np.concatenate(rows)


def _length(streams: Sequence[np.ndarray], options: Options, source: str, *, masked: bool) -> int:
    """Return the tokens of a block: as chosen, else fewer where the text is short."""
    found = len(streams[0])
    length = options.length or max(LEAST_LENGTH, min(LENGTH, found // FEW))
    if found < LEAST * (length - 3 * masked):
        raise DataError(
            f"Language modelling needs at least {LEAST} blocks of {length} tokens to learn from. "
            f"The training part of {shown(source)} has {found:,} tokens; give more text"
            f"{' or a smaller --length' if options.length else ''}."
        )
    return length


def _blocks(ids: np.ndarray, length: int, *, masked: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return blocks and their targets: the next token, or for masked models the token itself."""
    if masked:
        words = ids[(ids != BEGIN) & (ids != END)]
        x = _in_two(_cut(words, length - 3).padded(length - 1, begin=True, end=True))
        return x, np.where(x > END, x, NOT_SCORED)
    x = _cut(ids[:-1], length).padded(length, fill=PAD)
    return x, _cut(ids[1:], length).padded(length, fill=NOT_SCORED)


def _in_two(rows: np.ndarray) -> np.ndarray:
    """Return blocks with an end in the middle, too: pairs of stretches, as BERT learns from them.

    Shape:
        (N, T) -> (N, T + 1); what does not reach beyond the middle stays whole
    """
    middle = rows.shape[1] // 2
    whole = np.pad(rows, ((0, 0), (0, 1)), constant_values=PAD)
    halves = np.insert(rows, middle, END, axis=1)
    reaches = (rows[:, middle] != PAD) & (rows[:, middle] != END)
    return np.where(reaches[:, None], halves, whole)


def _cut(ids: np.ndarray, length: int) -> Ragged:
    """Return consecutive stretches, the last as long as is left."""
    starts = np.arange(0, max(len(ids), 1), length)
    return Ragged(ids=ids, lengths=np.minimum(length, len(ids) - starts))


def _blank(lost: int) -> tuple[Note, ...]:
    return (
        {
            "en": f"Texts with nothing but white space, left out: {lost:,}.",
            "zh": f"{lost:,} 篇文本只有空白，已剔除。",
        },
    )
