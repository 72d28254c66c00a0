"""One study at a time in one store. The kernel holds the lock, so none stays after a kill."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.errors import StoreError


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold `file` locked for the length of the block.

    Args:
        file: Made when missing, never removed: another process may be waiting to open it.

    Raises:
        StoreError: When another process holds it; the text names host and process.
    """
    with file.open("a+") as handle:
        _take(handle.fileno(), file)
        handle.truncate(0)
        handle.write(f"{socket.gethostname()} {os.getpid()}\n")
        handle.flush()
        yield


def is_held(file: Path) -> bool:
    """Return whether some process holds the lock on `file`."""
    try:
        with file.open("rb") as handle:
            fcntl.flock(handle.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never locked, or not ours to look at
        return False
    return False


def _take(descriptor: int, file: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise StoreError(_held(file)) from None


def _held(file: Path) -> str:
    host, _, pid = file.read_text(errors="replace").strip().partition(" ")
    who = f"process {pid} on {host}" if pid else "another process"
    return (
        f"One study at a time may write to a store. {str(file.parent)!r} is in use by {who}; "
        "wait until it ends, or name another folder with --store."
    )
