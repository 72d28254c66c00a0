"""Where a killed trial continues: the two newest states, each one file named by its checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from assay.engine import files

KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{9})-([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A state that was read back whole.

    Attributes:
        step: Steps taken when it was written.
        tensors: By name.
        facts: The JSON stored with them.
        damaged: Names of newer files that could not be read.
    """

    step: int
    tensors: Mapping[str, Tensor] = field(repr=False)
    facts: Any
    damaged: tuple[str, ...] = ()


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Any) -> None:
    """Write a checkpoint and remove all but the newest two.

    The checksum is part of the name, so one rename publishes both.

    Raises:
        StoreError: It could not be written; the ones before are still there.
    """
    chunks = files.pack(tensors, facts)
    files.write(folder / f"checkpoint-{step:09d}-{_checksum(*chunks)}.safetensors", *chunks)
    for path in _newest_first(folder)[KEPT:]:
        path.unlink(missing_ok=True)


def newest(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or None when there is none."""
    damaged: list[str] = []
    for path in _newest_first(folder):
        try:
            return _read(path, tuple(damaged))
        except (OSError, ValueError):
            damaged.append(path.name)
    return None


def remove(folder: Path) -> None:
    """Remove every checkpoint: the trial is over."""
    for path in _newest_first(folder):
        path.unlink(missing_ok=True)
    files.remove_unfinished(folder)


def _read(path: Path, damaged: tuple[str, ...]) -> Checkpoint:
    step, checksum = _parts(path)
    content = path.read_bytes()
    if _checksum(content) != checksum:
        raise ValueError(f"{path.name} does not have the checksum in its name")
    tensors, facts = files.unpack(content)
    return Checkpoint(step, tensors, facts, damaged)


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_parts(path)[0], _written(path)), reverse=True)


def _written(path: Path) -> int:
    """Return when a file was written; 0 when a process that is being killed has removed it."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _parts(path: Path) -> tuple[int, str]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not the name of a checkpoint")
    return int(match[1]), match[2]


def _checksum(*chunks: files.Buffer) -> str:
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()[:16]
