"""Weights from a path, an address or the Hugging Face hub, as safetensors files that are here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import DataError, MissingExtraError, MissingPathError, StoreError
from assay.models.weight_index import INDEX, is_index, names_by_shard, shards_of

if TYPE_CHECKING:
    from torch import Tensor

ADDRESS = re.compile(r"(https?|file)://")
HUB = "hf:"
ON_HUB = "model.safetensors"
LARGEST = 64 * 2**30  # bytes of a download
PATIENCE = 600  # seconds of waiting for the conversion of one file
_HASH = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # torch's habit: the sha256 begins like this
_PIECE = 2**20
_SHOWN = 10  # tensors that an error names


def fetch(source: str) -> Path:
    """Return the local file that `source` names, downloaded to the cache where that is needed.

    Of weights in several files it is their index.

    Args:
        source: A path, also of a folder, an address (https, http, file) or `hf:REPO`.

    Raises:
        DataError: An index is damaged.
        MissingExtraError: The hub is asked for, and its client is not installed.
        MissingPathError: There is no such file, or it cannot be downloaded.
    """
    if source.startswith(HUB):
        return _of_repository(source.removeprefix(HUB))
    if not ADDRESS.match(source):
        return _existing(Path(source).expanduser())
    mark = hashlib.sha256(source.encode()).hexdigest()[:16]
    file = cache() / "downloads" / f"{mark}-{source.rpartition('/')[2]}"
    if not file.is_file():
        _download(source, file)
    return file


def fetch_hashed(address: str, folder: Path) -> Path:
    """Return the file of a library's publication, in that library's own cache.

    Args:
        address: Whose last part carries the beginning of the file's sha256, as torch's do.
        folder: Where the library keeps such files.

    Raises:
        DataError: The contents do not have the hash.
        MissingPathError: It cannot be downloaded.
    """
    file = folder / address.rpartition("/")[2]
    if not file.is_file():
        _download(address, file)
    promised = _HASH.search(file.name)
    found = sha256(file) if promised else ""
    if promised and not found.startswith(promised[1]):
        raise DataError(
            f"The sha256 of {file.name} must begin with {promised[1]}. {str(file)!r} has "
            f"{found[:16]}…: cut short or another file; delete it and fetch it again."
        )
    return file


def from_hub(repository: str, name: str) -> Path:
    """Return a file of a repository, from the hub's own cache where it is there.

    Raises:
        MissingExtraError: The hub's client is not installed.
        MissingPathError: There is no such file, or it cannot be downloaded.
    """
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise MissingExtraError(
            f"{HUB}{repository} needs huggingface_hub, which is not installed: "
            "pip install 'assay[timm]' brings it."
        ) from error
    try:
        kept = hub.try_to_load_from_cache(repository, name)
        return Path(kept if isinstance(kept, str) else hub.hf_hub_download(repository, name))
    except Exception as error:  # the client's many, and its network library's
        raise MissingPathError(
            f"{name} of {HUB}{repository} is not on this machine and could not be downloaded "
            f"({type(error).__name__}); check the name and the network, or give a file."
        ) from error


def _of_repository(repository: str) -> Path:
    """Return a repository's weights, or the index of all their shards."""
    try:
        return from_hub(repository, ON_HUB)
    except MissingPathError as error:
        try:
            index = from_hub(repository, INDEX)
        except MissingPathError:
            raise error from None
    for shard in names_by_shard(index):
        from_hub(repository, shard)
    return index


def hub_config(repository: str) -> dict[str, Any]:
    """Return what a repository's `config.json` says; nothing where it has none."""
    try:
        told = json.loads(from_hub(repository, "config.json").read_bytes())
    except (MissingPathError, OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def as_safetensors(file: Path) -> Path:
    """Return `file` if it is safetensors or their index, else what it was converted to.

    A .pth file is opened once, by `assay.models.convert`, and never again.

    Raises:
        DataError: It is neither, or is refused.
        StoreError: The cache cannot be written.
    """
    if is_index(file):
        return file
    with file.open("rb") as opened:
        first = opened.read(16)
    if first[8:9] == b"{":
        return file
    if first[:2] not in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x8a\x0a"):
        raise DataError(
            f"Weights are a safetensors or .pth file. {str(file)!r} {_looks_like(first)}; "
            "download it again, or name another file."
        )
    target = cache() / f"{sha256(file)}.safetensors"
    if not target.is_file():
        with _unfinished(target) as fresh:
            _convert(file, fresh)
    return target


def read(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, or those of all shards of an index.

    They are mapped: what is not used takes no memory.

    Raises:
        DataError: A file is cut short or damaged, or a shard lacks what its index promises.
        MissingPathError: A shard is missing.
    """
    if not is_index(file):
        return _read_one(file)
    tensors: dict[str, Tensor] = {}
    for shard, names in zip(shards_of(file), names_by_shard(file).values(), strict=True):
        held = _read_one(shard)
        if lacking := sorted(names - held.keys()):
            raise DataError(
                f"A shard of weights holds every tensor that its index names. {str(shard)!r} "
                f"lacks {len(lacking)}: {', '.join(lacking[:_SHOWN])}; download it again."
            )
        tensors |= held
    return tensors


def _read_one(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, ValueError, RuntimeError, OSError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise DataError(
            f"Weights are a whole safetensors file. {str(file)!r} is cut short or damaged "
            f"({first}); download it again."
        ) from error


def keep(file: Path, content: bytes) -> None:
    """Write a file of the cache, whole or not at all.

    Raises:
        StoreError: The cache cannot be written.
    """
    if not file.is_file():
        with _unfinished(file) as fresh:
            fresh.write_bytes(content)


def cache() -> Path:
    """Return where weights are kept: ASSAY_CACHE, or the XDG cache."""
    chosen = os.environ.get("ASSAY_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(chosen) if chosen else Path(home) / "assay") / "weights"


def sha256(file: Path) -> str:
    """Return the hash of a file's contents; of an index, that of all its shards' hashes."""
    if is_index(file):
        return hashlib.sha256("".join(map(sha256, shards_of(file))).encode()).hexdigest()
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _existing(file: Path) -> Path:
    inside = (file / ON_HUB, file / INDEX) if file.is_dir() else (file,)
    found = next((path for path in inside if path.is_file()), None)
    if found is None:
        lack = (
            f"it holds neither {ON_HUB} nor {INDEX}" if file.is_dir() else "there is no such file"
        )
        raise MissingPathError(
            "`weights` must be 'torchvision', 'timm', a file, a folder, an address or hf:REPO. "
            f"Received {str(file)!r}, and {lack}; correct the path."
        )
    return found


def _download(address: str, file: Path) -> None:
    """Fetch an address; the file gets its name when it is whole."""
    from urllib.request import urlopen

    try:
        with _unfinished(file) as fresh, urlopen(address, timeout=20) as answer:
            expected = answer.headers.get("Content-Length")
            with fresh.open("wb") as written:
                count = 0
                while piece := answer.read(_PIECE):
                    written.write(piece)
                    count += len(piece)
                    if count > LARGEST:
                        raise OSError(f"more than {LARGEST:,} bytes")
            if expected is not None and count != int(expected):
                raise OSError(f"{count:,} of {int(expected):,} bytes arrived")
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise MissingPathError(
            f"{file.name} is not on this machine and could not be downloaded from {address} "
            f"({getattr(error, 'reason', error)}); check the address and the network, or put the "
            f"file at {file}."
        ) from error


def _convert(source: Path, target: Path) -> None:
    command = [sys.executable, "-P", "-m", "assay.models.convert", str(source), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        told = json.loads(done.stdout)["refused"] if done.stdout.strip() else ""
    except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
        raise _refused(source, f"opening it went wrong ({type(error).__name__})") from error
    if told:
        raise _refused(source, told)
    if done.returncode or not target.stat().st_size:
        raise _refused(
            source, f"opening it took more time or space than it may ({done.returncode})"
        )


def _refused(file: Path, why: str) -> DataError:
    return DataError(
        f"Weights are a file of tensors and nothing else. {str(file)!r} is refused: {why}; "
        "get it again, or as safetensors."
    )


def _looks_like(first: bytes) -> str:
    if not first:
        return "is empty"
    if first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "is a web page"
    if first.startswith(b"version https://"):
        return "is a pointer of Git LFS, not the file itself"
    return f"is neither, it begins with {first[:8]!r}"


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """Give a name to write to; what was written becomes `file` when all went well."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.touch()
    except OSError as error:
        raise StoreError(
            f"Weights are kept in {file.parent}, which cannot be written: {error.strerror}; "
            "free space, or name another cache in ASSAY_CACHE."
        ) from error
    try:
        yield fresh
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
