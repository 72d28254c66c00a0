"""Files on their way between two machines: whole, in pieces, the one that counts last.

Two roads lead from one to the other, and both carry plain bytes: messages, which Ray transports, or
a folder that both sides reach, named by an fsspec URL.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from assay.engine.spec import digest
from assay.errors import BadArgumentError, StoreError

PIECE = 32 * 2**20  # bytes of a message
CHECKPOINT = "checkpoint-*.safetensors"  # the step in the name has nine digits
_KEPT = 2  # as engine/checkpoint keeps them
_META, _RECORD, _COMING = "meta.json", "record.json", ".coming-"
_HASHES = ("content_hash", "split_hash")


def data_key(folder: Path) -> str:
    """Return the name of a prepared data set by what is in it: sixteen hexadecimal digits.

    Raises:
        OSError, ValueError, KeyError: No prepared data set is there.
    """
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    return digest([meta[name] for name in ("format", *_HASHES)])[:16]


def holds(folder: Path, key: str) -> bool:
    """Return whether a folder is the prepared data set of that name."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return data_key(folder) == key
    return False


def in_order(folder: Path) -> list[Path]:
    """Return a folder's files; those that make it whole, `meta.json` and `record.json`, last."""
    found = [path for path in folder.glob("*") if path.is_file() and path.name[0] != "."]
    return sorted(found, key=lambda path: (path.name in (_META, _RECORD), path.name))


def pieces(file: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """Yield an open file's contents; an empty one is one empty piece."""
    piece = file.read(size)
    yield piece
    while piece := file.read(size):
        yield piece


class Arriving:
    """A file that comes in pieces: under another name until it is whole, then renamed.

    Args:
        path: What it will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unfinished = path.with_name(f"{_COMING}{path.name}.{os.getpid()}")
        self._mode = "wb"

    def add(self, piece: bytes, *, last: bool) -> None:
        """Take the next piece.

        Raises:
            StoreError: It cannot be written; what was there before is still there.
        """
        try:
            with self._unfinished.open(self._mode) as file:
                self._mode = "ab"
                file.write(piece)
                file.flush()
                if last:
                    os.fsync(file.fileno())
            if last:
                self._unfinished.replace(self.path)
                _sync(self.path.parent)
        except OSError as error:
            self.drop()
            raise StoreError(
                f"Cannot write {self.path}: {error.strerror or error}. "
                "Free space there or choose another folder with --store, then resume."
            ) from error

    def drop(self) -> None:
        """Forget what has come."""
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)


def keep_newest(folder: Path) -> None:
    """Remove checkpoints that newer ones replace, or all once there is a record."""
    kept = 0 if (folder / _RECORD).exists() else _KEPT
    for path in sorted(folder.glob(CHECKPOINT), reverse=True)[kept:]:
        path.unlink(missing_ok=True)


class Shelf:
    """A machine's own copies of data sets, one for each, by name. Any number of processes.

    Args:
        folder: Made when missing. Copies stay: remove the folder when nothing runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str) -> Path | None:
        """Return the copy, or None."""
        copy = self.folder / key
        return copy if holds(copy, key) else None

    def add(self, key: str, fill: Callable[[Path], None]) -> Path:
        """Return the copy; when there is none, `fill` makes it in an empty folder.

        Raises:
            StoreError: What came is not that data set.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{key}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second worker of this machine waits
            found = self.find(key)
            if found is not None:
                return found
            with _scratch(self.folder) as fresh:
                fill(fresh)
                if not holds(fresh, key):
                    raise StoreError(f"The data that arrived are not those named {key}.")
                shutil.rmtree(self.folder / key, ignore_errors=True)
                return fresh.rename(self.folder / key)


class Depot:
    """A folder that every machine of a cluster reaches, by its fsspec URL.

    Args:
        url: s3://BUCKET/FOLDER, gs://..., file:///SHARED or whatever fsspec has a driver for.

    Raises:
        BadArgumentError: fsspec does not know such a URL.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise BadArgumentError(
                f"Artifacts travel through a URL that fsspec can open. Received {url!r}: {error}."
            ) from error

    def check(self) -> None:
        """Write, read and remove a small file.

        Raises:
            BadArgumentError: One of these cannot be done.
        """
        name = f"check/{os.getpid()}-{os.urandom(4).hex()}"
        try:
            self._make("check")
            self._files.pipe_file(self._path(name), b"assay")
            if self._files.cat_file(self._path(name)) != b"assay":
                raise OSError("other bytes came back than were written")
            self.remove(name)
        except Exception as error:  # every driver has errors of its own
            raise BadArgumentError(
                f"Artifacts need a folder that can be written and read. Received {self._root!r}: "
                f"{type(error).__name__}: {error}."
            ) from error

    def put(self, file: Path, name: str) -> int:
        """Copy a file there under its final name; return its size."""
        self._make(name.rpartition("/")[0])
        part = f"{name}.{os.urandom(4).hex()}.part"
        self._files.put_file(str(file), self._path(part))
        self._files.mv(self._path(part), self._path(name))
        return file.stat().st_size

    def put_folder(self, folder: Path, name: str) -> list[str]:
        """Copy a folder's files unless they are there already; return their names, in order."""
        names = [path.name for path in in_order(folder)]
        for path in in_order(folder):
            there = self._path(f"{name}/{path.name}")
            if not (self._files.exists(there) and self._files.size(there) == path.stat().st_size):
                self.put(path, f"{name}/{path.name}")
        return names

    def get(self, name: str, path: Path) -> None:
        """Copy a file from there, whole or not at all.

        Raises:
            StoreError: It cannot be written here.
        """
        arriving = Arriving(path)
        try:
            with self._files.open(self._path(name), "rb") as file:
                held = b""
                for piece in pieces(file):
                    if held:
                        arriving.add(held, last=False)
                    held = piece
                arriving.add(held, last=True)
        except BaseException:
            arriving.drop()
            raise

    def remove(self, name: str) -> None:
        """Remove a file or a folder there, if it can be."""
        with suppress(Exception):
            self._files.rm(self._path(name), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make(self, name: str) -> None:
        self._files.makedirs(self._path(name), exist_ok=True)


def fill_from(messages: Iterable[tuple[str, Callable[[], bytes], bool]], folder: Path) -> None:
    """Write files whose pieces come in order: name, what gives the piece, whether it is the last.

    Raises:
        StoreError: They cannot be written.
    """
    arriving: dict[str, Arriving] = {}
    for name, give, last in messages:
        one = arriving.setdefault(name, Arriving(folder / plain(name)))
        one.add(give(), last=last)


def plain(name: str) -> str:
    """Return a file's name, or raise StoreError where it would leave its folder."""
    if not name or name != Path(name).name or name.startswith("."):
        raise StoreError(f"A file that travels has a plain name. Received {name!r}.")
    return name


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    fresh = Path(tempfile.mkdtemp(prefix=_COMING, dir=beside))
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_json(value: Any) -> str:
    """Return the text of a message's plain part."""
    return json.dumps(value, separators=(",", ":"))
