"""A folder to prepare data in, and the end of those whose process was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".preparing-"
_YOUNG = 60.0  # seconds in which one may not be locked yet


@contextmanager
def scratch(beside: Path) -> Iterator[Path]:
    """Give a fresh folder that is locked while in use and removed afterwards.

    Those that killed processes left beside it are removed: nobody holds their lock any more.

    Args:
        beside: The folder that it is made in.
    """
    _sweep(beside)
    fresh = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))
    held = os.open(fresh, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: then nothing is removed there
            fcntl.flock(held, fcntl.LOCK_SH)
        yield fresh
    finally:
        os.close(held)
        shutil.rmtree(fresh, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it has gone, belongs to somebody else or is in use
            if time.time() - left.stat().st_mtime > _YOUNG:
                _remove_unused(left)


def _remove_unused(folder: Path) -> None:
    """Remove a folder; OSError where a process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
