"""A folder of .txt files: running text, or with a folder for each class."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assay.data.folder import PARTS
from assay.data.names import Note, listed, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.text import LINE_ENDS, TextFile, check_options
from assay.data.text_rows import labelled_texts
from assay.data.text_stream import STREAMS, text_files
from assay.errors import BadArgumentError, DataError

LOOKED_AT = 2_000  # files that decide whether a folder is of text


def is_text_folder(home: Path) -> bool:
    """Return whether more than half of the files below are .txt.

    Args:
        home: The folder.
    """
    found = [path.suffix.lower() == ".txt" for path in itertools.islice(_files(home), LOOKED_AT)]
    return sum(found) > len(found) / 2


def text_folder(home: Path, options: Options) -> Source:
    """Return a folder of .txt files as a source.

    Args:
        home: The folder.
        options: What was chosen.

    Raises:
        BadArgumentError: An option was named that does not fit.
        DataError: A class folder holds no .txt file.
    """
    check_options(options)
    paths = [path for path in _files(home) if path.suffix.lower() == ".txt"]
    depth = _depth(home)
    tops = [inner for top in _folders(home) for inner in _folders(top)] if depth else _folders(home)
    classes = {top.name for top in tops}
    if options.task in STREAMS or not classes:
        return text_files(home, paths, options)
    if options.task not in (None, "text-classification"):
        raise BadArgumentError(
            "A folder of .txt files is for text-classification or language-modeling. Received "
            f"task={options.task!r} for {shown(home)}; leave it out."
        )
    asked = [n for n in ("target", "text", "group", "time") if getattr(options, n) is not None]
    if asked:
        raise BadArgumentError(
            f"`{asked[0]}` names a column. {shown(home)!r} is a folder of texts, which has none; "
            "leave it out."
        )
    below = [path for path in paths if _label(path, home, depth) is not None]
    _refuse_empty(home, classes, below, depth)
    return Source(
        name=home.resolve().name or str(home),
        where=str(home),
        files=(home, *sorted({path.parent for path in below}), *below),
        read=lambda _: _read(home, below, depth, options),
    )


def _read(home: Path, paths: list[Path], depth: int, options: Options) -> Raw:
    texts: list[str] = []
    notes: list[Note] = []
    for path in paths:
        file = TextFile(path)
        texts.append("".join(file.pieces()))
        if file.windows:
            notes = [LINE_ENDS]
    parts = np.array([_part(path, home, depth) for path in paths], np.int8)
    return labelled_texts(
        texts,
        np.array([_label(path, home, depth) for path in paths], object),
        name=home.resolve().name or str(home),
        source=str(home),
        ids=[shown(path.relative_to(home), most=5000) for path in paths],
        options=options,
        given=parts if parts.any() else None,
        notes=notes,
    )


def _files(home: Path) -> Iterator[Path]:
    """Yield every file below in order of names; hidden ones and links to folders are left out."""
    for place, folders, names in os.walk(home):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place, name)


def _folders(home: Path) -> list[Path]:
    return sorted(p for p in home.iterdir() if p.is_dir() and not p.name.startswith("."))


def _depth(home: Path) -> int:
    """Return how far below the class folders are: 1 where the top folders name parts, else 0."""
    tops = _folders(home)
    return int(bool(tops) and all(top.name.lower() in PARTS for top in tops))


def _label(path: Path, home: Path, depth: int) -> str | None:
    folders = path.relative_to(home).parts[:-1]
    return folders[depth] if len(folders) > depth else None


def _part(path: Path, home: Path, depth: int) -> int:
    return PARTS[path.relative_to(home).parts[0].lower()] if depth else 0


def _refuse_empty(home: Path, classes: set[str], paths: list[Path], depth: int) -> None:
    filled = {_label(path, home, depth) for path in paths}
    empty = sorted(classes - filled)
    if empty:
        raise DataError(
            f"Every class folder of {shown(home)} must hold .txt files. {listed(empty)} hold none; "
            "add texts or remove the folder."
        )
