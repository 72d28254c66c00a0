"""JSON lines: one object on each line, whose keys say what is to be learnt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.data.dataset import Task
from assay.data.names import listed, shown
from assay.data.pairs import pairs, side_names
from assay.data.prepare import Options, Raw, Source
from assay.data.tagged import Sentence, tagged
from assay.data.text import TextFile, check_options, clean
from assay.data.text_names import LABELS, TEXTS, TEXTS_ZH, by_name
from assay.data.text_stream import STREAMS, Document, check_stream, stream
from assay.data.text_table import read_text_table
from assay.errors import BadArgumentError, DataError

WORDS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "pos_tags", "labels")


def json_lines(path: Path, options: Options) -> Source:
    """Return a .jsonl file as a source: labelled texts, pairs, tagged words or running text.

    Raises:
        BadArgumentError: An option is outside its range.
    """
    check_options(options)
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read(path, options)
    )


def _read(path: Path, options: Options) -> Raw:
    file = TextFile(path)
    rows, numbers = [], []
    for number, row in objects(file):
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise DataError(f"{shown(path)} holds no objects; give one on each line.")
    keys = [str(key) for key in rows[0]]
    task = options.task or _task(path, keys, options)
    if task in STREAMS:
        return _stream(path, rows, numbers, file, options)
    if task == "text-to-text":
        return _pairs(path, rows, numbers, file, options)
    if task == "token-classification":
        return _tagged(path, rows, numbers, file, options)
    if task == "text-classification":
        return _labelled(path, rows, numbers, file, options)
    raise BadArgumentError(
        f"JSON lines hold text. Received task={task!r} for {shown(path)}; give a table for that."
    )


def objects(file: TextFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line's number and object; empty lines are passed over."""
    for number, line in file.lines():
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "too deeply nested")
            raise DataError(
                f"Every line of {shown(file.path)} must be a JSON object. Line {number} is no JSON "
                f"({reason}); correct it."
            ) from error
        if not isinstance(found, dict):
            raise DataError(
                f"Every line of {shown(file.path)} must be a JSON object. Line {number} is "
                f"{_word(found)}; write it as {{...}}."
            )
        if "\\u" in line:
            _refuse_half_characters(found, number, file.path)
        yield number, found


def _refuse_half_characters(found: dict[str, Any], number: int, path: Path) -> None:
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"Every line of {shown(path)} must be text. Line {number} has half of a surrogate "
            "pair, such as \\ud800; write it again as UTF-8."
        ) from error


def _word(value: object) -> str:
    if value is None:
        return "null"
    names = {list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(value), "a number")


def _task(path: Path, keys: Sequence[str], options: Options) -> Task:
    """Return what the keys of the first object are for."""
    if by_name(keys, WORDS) and by_name(keys, TAGS):
        return "token-classification"
    if options.target is None and side_names(keys):
        return "text-to-text"
    if options.target is not None or by_name(keys, LABELS):
        return "text-classification"
    if options.text or by_name(keys, (*TEXTS, *TEXTS_ZH)) or len(keys) == 1:
        return "language-modeling"
    raise DataError(
        f"The objects of {shown(path)} must have a text, a text and a label, a source and a "
        f"target, or tokens and tags. They have {listed(keys)}; choose with --text, --target or "
        "--task."
    )


def _field(
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    key: str,
    path: Path,
    kind: type[str] | type[list[Any]],
) -> list[Any]:
    """Return one key of every object.

    Raises:
        DataError: One does not have it, or it is of another kind.
    """
    word = "a string" if kind is str else "a list"
    values = []
    for number, row in zip(numbers, rows, strict=True):
        if key not in row:
            raise DataError(
                f"Every object of {shown(path)} must have {shown(key)!r}. Line {number} has not; "
                "add it or remove the line."
            )
        value = row[key]
        if not isinstance(value, kind):
            raise DataError(
                f"{shown(key)!r} must be {word} in every object of {shown(path)}. In line {number} "
                f"it is {_word(value) if not isinstance(value, dict) else 'an object'}; correct it."
            )
        values.append(value)
    return values


def _text_key(path: Path, keys: Sequence[str], options: Options) -> str:
    found = options.text or by_name(keys, (*TEXTS, *TEXTS_ZH))
    if found is None and len(keys) == 1:
        found = keys[0]
    if found is None or found not in keys:
        raise BadArgumentError(
            f"`text` must name a key of the objects in {shown(path)}. Received "
            f"{repr(shown(options.text)) if options.text else 'nothing'}; they have {listed(keys)}."
        )
    return found


def _stream(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    file: TextFile,
    options: Options,
) -> Raw:
    check_stream(options, shown(path))
    key = _text_key(path, [str(key) for key in rows[0]], options)
    texts = _field(rows, numbers, key, path, str)
    documents = [
        Document(name=f"line {number}", pieces=[_plain(text, number, path)])
        for number, text in zip(numbers, texts, strict=True)
    ]
    return stream(documents, name=path.stem, source=str(path), options=options, notes=file.notes)


def _plain(text: str, number: int, path: Path) -> str:
    """Return the text of one object; white space alone is told of later."""
    return clean(text, f"Line {number} of {shown(path)}") if text.strip() else text


def _pairs(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    file: TextFile,
    options: Options,
) -> Raw:
    keys = [str(key) for key in rows[0]]
    names: Sequence[str] | None = side_names(keys) or (keys if len(keys) == 2 else None)
    if options.text and options.target:
        names = (options.text, options.target)
    if names is None:
        raise BadArgumentError(
            f"`text` and `target` must name the two sides of the pairs in {shown(path)}. It has "
            f"{listed(keys)}; choose with --text and --target."
        )
    sides = [_field(rows, numbers, name, path, str) for name in names]
    return pairs(
        sides[0],
        sides[1],
        ids=[f"line {number}" for number in numbers],
        name=path.stem,
        source=str(path),
        options=options,
        notes=file.notes,
    )


def words_of(
    rows: Sequence[Mapping[str, Any]], numbers: Sequence[int], key: str, path: Path
) -> list[list[str]]:
    """Return the words of every object.

    Args:
        rows: The objects.
        numbers: The line of each.
        key: That holds the words.
        path: The file, for messages.

    Raises:
        DataError: One of them is no list of strings.
    """
    words = _field(rows, numbers, key, path, list)
    for number, word in zip(numbers, words, strict=True):
        if not all(isinstance(each, str) for each in word):
            raise DataError(
                f"The words in {shown(path)} must be strings. Line {number} has another value; "
                "correct it."
            )
    return words


def _tagged(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    file: TextFile,
    options: Options,
) -> Raw:
    keys = [str(key) for key in rows[0]]
    words = words_of(rows, numbers, by_name(keys, WORDS) or WORDS[0], path)
    tags = _field(rows, numbers, by_name(keys, TAGS) or TAGS[0], path, list)
    sentences = []
    for number, word, tag in zip(numbers, words, tags, strict=True):
        if len(word) != len(tag):
            raise DataError(
                f"Every object of {shown(path)} must have a tag for each word. Line {number} has "
                f"{len(word)} words and {len(tag)} tags; correct it."
            )
        if word:
            sentences.append(Sentence(line=number, words=word, tags=[str(each) for each in tag]))
    return tagged(sentences, name=path.stem, source=str(path), options=options, notes=file.notes)


def _labelled(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    file: TextFile,
    options: Options,
) -> Raw:
    import pandas as pd

    keys = list(dict.fromkeys(str(key) for row in rows for key in row))
    target = options.target or by_name(keys, LABELS)
    if target in keys:
        for number, row in zip(numbers, rows, strict=True):
            if row.get(target) is None or isinstance(row[target], (list, dict)):
                raise DataError(
                    f"Every object of {shown(path)} must have a label {shown(target)!r}, one word "
                    f"or number. Line {number} has not; add it or remove the line."
                )
    frame = pd.DataFrame.from_records([dict(row) for row in rows], columns=keys)
    frame.attrs["ids"] = [f"line {number}" for number in numbers]
    frame.attrs["notes"] = file.notes
    return read_text_table(frame, path, options)
