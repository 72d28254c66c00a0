"""From what a reader found to a prepared folder: divide, fit, encode, write."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from assay.data.dataset import PARTS, TASKS, Dataset, Task
from assay.data.names import Note, shown
from assay.data.split import SHARES, TEST, Named, Role, Split, divide
from assay.engine.spec import digest
from assay.errors import DataError

FORMAT = 1  # of the prepared folder and of the encoding; a change prepares everything again
_STORED = {
    "label": np.int64,
    "value": np.float32,
    "values": np.float32,
    "labels": np.int32,
    "tokens": np.int32,
}


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a reader made of every example, knowing which are for training.

    Attributes:
        x: Encoded examples.
        preprocessing: What encoded them.
        y: The answers, where they had to wait for what was learnt from the training part.
        notes: What was found while encoding.
    """

    x: np.ndarray
    preprocessing: dict[str, Any]
    y: np.ndarray | None = None
    notes: tuple[Note, ...] = ()


Fit = Callable[[np.ndarray], tuple[np.ndarray, dict[str, Any]] | Fitted]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller may decide about a source."""

    task: Task | None = None
    target: str | None = None
    seed: int = 0
    skip_bad: bool = False
    group: str | None = None  # the column whose equal values stay in one part
    time: str | None = None  # the column by which the latest examples are the test part
    text: str | None = None  # the column that holds the text
    tokenizer: str = "auto"  # auto, char, bpe, wordpiece or unigram
    vocabulary: int | None = None  # tokens to choose from, at most
    length: int | None = None  # tokens of an example, at most
    series: str | None = None  # the column that says which series a row belongs to
    window: int | None = None  # steps that a forecast sees
    horizon: int | None = None  # steps that it predicts

    @property
    def named(self) -> list[list[str | None]]:
        """What decides the division, for hashes: empty where nothing was named."""
        return [[self.group, self.time]] if self.group or self.time else []

    @property
    def reading(self) -> list[list[str | int | None]]:
        """What decides how text and series are read, for hashes: empty where nothing was named."""
        chosen = [self.text, self.tokenizer, self.vocabulary, self.length]
        asked = [*chosen, self.series, self.window, self.horizon]
        return [] if asked == [None, "auto", *[None] * 5] else [asked]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a reader found, before the division."""

    name: str
    source: str
    task: Task
    y: np.ndarray  # as in `Dataset`
    classes: tuple[str, ...]
    content: str  # sha256 of everything that was read
    groups: np.ndarray  # equal numbers mark identical examples
    fit: Fit  # train indices -> every example encoded, and the preprocessing that encoded it
    given: np.ndarray | None = None  # per example 0 train, 1 validation, 2 test
    ids: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    named: Mapping[Role, Named] = field(default_factory=dict)  # columns that decide the division


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something that can be read: its name, the files whose change would matter, its reader."""

    name: str
    where: str
    files: tuple[Path, ...]
    read: Callable[[Path], Raw]  # given an empty folder that may hold a large x.npy


def prepare(raw: Raw, folder: Path, *, seed: int, test_size: float = SHARES[TEST]) -> str:
    """Write the prepared data into `folder`; return the name that the folder should get.

    Raises:
        DataError: The examples cannot be divided, or all are of one class.
    """
    _check_labels(raw)
    alone = TASKS[raw.task].answers in ("label", "value")  # else there is no one class to balance
    split = divide(
        raw.y if alone else np.zeros(len(raw.y)),
        groups=raw.groups,
        classes=raw.classes if alone else (),
        seed=seed,
        given=raw.given,
        test_size=test_size,
        group=raw.named.get("group"),
        time=raw.named.get("time"),
    )
    found = raw.fit(split.train)
    if not isinstance(found, Fitted):
        found = Fitted(x=found[0], preprocessing=found[1])
    x, preprocessing = found.x, found.preprocessing
    raw = raw if found.y is None else replace(raw, y=found.y)
    notes = [dict(note) for note in (*raw.notes, *split.notes, *found.notes)]
    learnt = [preprocessing["tokenizer"]] if "tokenizer" in preprocessing else []
    content = digest([FORMAT, raw.content, raw.task, notes, *learnt])
    meta = {
        "format": FORMAT,
        "name": shown(raw.name),
        "source": shown(raw.source),
        "task": raw.task,
        "inputs": _inputs(x, preprocessing),
        "classes": list(raw.classes),
        "preprocessing": preprocessing,
        "content_hash": content,
        "split_hash": _split_hash(split, content=content, seed=seed),
        "split_seed": seed,
        "notes": notes,
    }
    _write(folder, x=x, raw=raw, split=split, meta=meta)
    share = "" if test_size == SHARES[TEST] else f"-{test_size:g}"
    return f"{content[:16]}-{seed}{share}"


def open_prepared(folder: Path) -> Dataset:
    """Open what `prepare` wrote; the arrays are read-only memory maps.

    Raises:
        DataError: The folder is missing a part or is damaged.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        with (folder / "split.npz").open("rb") as file:  # numpy leaves it open when it is damaged
            split = np.load(file, allow_pickle=False)
            parts = {part: split[part] for part in PARTS}
        dataset = Dataset(
            folder=folder,
            x=np.load(folder / "x.npy", mmap_mode="r", allow_pickle=False),
            y=np.load(folder / "y.npy", mmap_mode="r", allow_pickle=False),
            ids=tuple(json.loads((folder / "ids.json").read_text(encoding="utf-8"))),
            **parts,
            **_facts(meta),
        )
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise DataError(
            f"The prepared data in {shown(folder)} cannot be opened: {shown(error)}; "
            "delete that folder and run again."
        ) from error
    for array in (dataset.y, *parts.values()):
        array.setflags(write=False)
    return dataset


def named_column(folder: Path, role: Role) -> Named | None:
    """Return the column by which prepared data were divided, if there was one."""
    with (folder / "split.npz").open("rb") as file:
        found = np.load(file, allow_pickle=False)
        if role not in found:
            return None
        return Named(name=str(found[f"{role}_name"]), values=found[role])


def _facts(meta: dict[str, Any]) -> dict[str, Any]:
    if meta.pop("format") != FORMAT:
        raise ValueError("it was written by another version")
    lists = {key: tuple(meta.pop(key)) for key in ("inputs", "classes", "notes")}
    return {**meta, **lists}


def _inputs(x: np.ndarray, preprocessing: Mapping[str, Any]) -> list[int]:
    """Return the shape of one example; tokens have their vocabulary as second side.

    Of pairs, the longer side counts: a network's places must do for both.
    """
    if preprocessing["kind"] == "tokens":
        length = max(x.shape[1], int(preprocessing.get("answer_length", 0)))
        return [length, int(preprocessing["vocabulary"])]
    return list(x.shape[1:])


def _check_labels(raw: Raw) -> None:
    if not len(raw.y):
        raise DataError(f"{shown(raw.source)} holds no examples; give data with at least one row.")
    answers = TASKS[raw.task].answers
    if answers == "tokens":
        return
    if answers in ("value", "values"):
        if np.ptp(raw.y) == 0:
            raise DataError(
                f"A regression's target must vary. In {shown(raw.source)} it is "
                f"{raw.y.flat[0]:g} everywhere; choose another target."
            )
        return
    if len(raw.classes) < 2:
        only = ", ".join(repr(shown(name)) for name in raw.classes) or "none"
        raise DataError(
            f"Classification needs at least two classes. In {shown(raw.source)} there is "
            f"only {only}; add examples of another class or choose another target."
        )


def _split_hash(split: Split, *, content: str, seed: int) -> str:
    found = hashlib.sha256(f"{content} {seed}".encode())
    for part in (split.train, split.val, split.test):
        found.update(f" {len(part)} ".encode() + part.astype("<i8").tobytes())
    return found.hexdigest()


def _save(path: Path, array: np.ndarray) -> None:
    """Write an array. Of a full disk NumPy says how much it wrote, and not that it is full."""
    try:
        np.save(path, array)
    except OSError as error:
        if error.errno:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _write(
    folder: Path,
    *,
    x: np.ndarray,
    raw: Raw,
    split: Split,
    meta: dict[str, Any],
) -> None:
    if not (folder / "x.npy").exists():  # a large one was decoded straight into its place
        _save(folder / "x.npy", np.ascontiguousarray(x))
    _save(folder / "y.npy", raw.y.astype(_STORED[TASKS[raw.task].answers]))
    named = {
        f"{role}{part}": value
        for role, column in raw.named.items()
        for part, value in (("", column.values), ("_name", np.array(column.name)))
    }
    parts = {"train": split.train, "val": split.val, "test": split.test}
    np.savez(folder / "split.npz", allow_pickle=False, **parts, **named)
    (folder / "ids.json").write_text(json.dumps(raw.ids), encoding="utf-8")
    text = json.dumps(meta, ensure_ascii=False, indent=1, allow_nan=False)
    with (folder / "meta.json").open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
