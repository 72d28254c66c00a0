"""From what a reader found to a prepared folder: divide, fit, encode, write."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from assay.data.dataset import PARTS, Dataset, Task
from assay.data.names import Note, shown
from assay.data.split import SHARES, TEST, Named, Role, Split, divide
from assay.errors import DataError

FORMAT = 1  # of the prepared folder and of the encoding; a change prepares everything again
Fit = Callable[[np.ndarray], tuple[np.ndarray, dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller may decide about a source."""

    task: Task | None = None
    target: str | None = None
    seed: int = 0
    skip_bad: bool = False
    group: str | None = None  # the column whose equal values stay in one part
    time: str | None = None  # the column by which the latest examples are the test part

    @property
    def named(self) -> list[list[str | None]]:
        """What decides the division, for hashes: empty where nothing was named."""
        return [[self.group, self.time]] if self.group or self.time else []


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a reader found, before the division."""

    name: str
    source: str
    task: Task
    y: np.ndarray  # int64 labels, or float values
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
    split = divide(
        raw.y,
        groups=raw.groups,
        classes=raw.classes,
        seed=seed,
        given=raw.given,
        test_size=test_size,
        group=raw.named.get("group"),
        time=raw.named.get("time"),
    )
    x, preprocessing = raw.fit(split.train)
    notes = [dict(note) for note in (*raw.notes, *split.notes)]
    content = digest([FORMAT, raw.content, raw.task, notes])
    meta = {
        "format": FORMAT,
        "name": shown(raw.name),
        "source": shown(raw.source),
        "task": raw.task,
        "inputs": list(x.shape[1:]),
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


def digest(value: object) -> str:
    """Return the sha256 of a JSON-able value, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _facts(meta: dict[str, Any]) -> dict[str, Any]:
    if meta.pop("format") != FORMAT:
        raise ValueError("it was written by another version")
    lists = {key: tuple(meta.pop(key)) for key in ("inputs", "classes", "notes")}
    return {**meta, **lists}


def _check_labels(raw: Raw) -> None:
    if not len(raw.y):
        raise DataError(f"{shown(raw.source)} holds no examples; give data with at least one row.")
    if not raw.task.endswith("classification"):
        if np.ptp(raw.y) == 0:
            raise DataError(
                f"A regression's target must vary. In {shown(raw.source)} it is "
                f"{raw.y[0]:g} everywhere; choose another target."
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
    kind = np.int64 if meta["classes"] else np.float32
    _save(folder / "y.npy", raw.y.astype(kind))
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
