"""Who works in a store. The kernel holds every lock, so none stays after a kill."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from assay.errors import StoreError

_LOOK = 0.1  # seconds between two tries
_GLANCE = 1.0  # seconds; `is_held` needs microseconds


class Claim:
    """A file locked until `release`, or until this process ends.

    Args:
        file: Made when missing, never removed: another process may be waiting to open it.
        shared: Whether other shared claims may stand beside this one.

    Raises:
        StoreError: When the file cannot be made.
    """

    def __init__(self, file: Path, *, shared: bool = False) -> None:
        self.file, self._shared = file, shared
        try:
            self._handle = file.open("a+b")
        except OSError as error:
            raise StoreError(
                f"A lock needs the file {file}, which cannot be made ({error.strerror}). Nothing "
                "measured is lost; free some space there and run the same command again."
            ) from error

    def take(self) -> bool:
        """Lock the file unless another process holds it, and return whether that was possible."""
        kind = fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._handle.fileno(), kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            return False
        with suppress(OSError):  # a full disk: the lock holds, and nobody can read whose it is
            os.ftruncate(self._handle.fileno(), 0)
            os.write(self._handle.fileno(), f"{socket.gethostname()} {os.getpid()}\n".encode())
        return True

    def release(self) -> None:
        """Let others take it."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


def claim(file: Path) -> Claim | None:
    """Return `file` locked by this process, or None when another one holds it."""
    wanted = Claim(file)
    if wanted.take():
        return wanted
    wanted.release()
    return None


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold `file` locked for the length of the block.

    Raises:
        StoreError: When another process holds it; the text names host and process.
    """
    with Claim(file) as wanted:
        if not wanted.take():
            raise StoreError(_held(file))
        yield


@contextmanager
def shared(file: Path) -> Iterator[None]:
    """Hold `file` beside others that hold it so, for the length of the block.

    Raises:
        StoreError: When another process keeps it for itself alone for longer than a glance.
    """
    with Claim(file, shared=True) as wanted:
        patience = time.monotonic() + _GLANCE
        while not wanted.take():
            if time.monotonic() > patience:
                raise StoreError(_held(file))
            time.sleep(_LOOK)
        yield


@contextmanager
def in_turn(file: Path, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold `file` locked for the length of the block, after waiting for whoever holds it.

    Args:
        file: As `Claim` takes it.
        give_up: Asked while waiting; when true the block begins without the lock, to end soon.
    """
    with Claim(file) as wanted:
        while not wanted.take() and not give_up():
            time.sleep(_LOOK)
        yield


def is_held(file: Path) -> bool:
    """Return whether some process holds the lock on `file`."""
    try:
        with file.open("rb") as handle:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never locked, or not ours to look at
        return False
    return False


def _held(file: Path) -> str:
    host, _, pid = file.read_text(errors="replace").strip().partition(" ")
    who = f"process {pid} on {host}" if pid else "another process"
    return (
        f"A study that is being written cannot be removed. {file.stem!r} is in use by {who}; "
        "wait until it ends."
    )
