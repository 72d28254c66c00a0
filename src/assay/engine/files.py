"""Files that are whole or absent: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from assay.errors import StoreError

Buffer = bytes | memoryview

_UNFINISHED = ".tmp"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write(path: Path, *chunks: Buffer) -> None:
    """Write `chunks` to `path` so that a reader finds the old file or the new one, never a mix.

    Raises:
        StoreError: The system refused; what was there before is still there.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        _write_synced(unfinished, chunks)
        unfinished.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        _forget(unfinished)
        size = sum(len(memoryview(chunk)) for chunk in chunks)
        raise StoreError(
            f"Cannot write {path} ({size:,} bytes): {error.strerror or error}. "
            "Free space there or choose another folder with --store, then resume."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-able value, whole or not at all."""
    write(path, json.dumps(value, ensure_ascii=False, indent=1).encode())


def pack(tensors: Mapping[str, Tensor], facts: Any) -> list[Buffer]:
    """Return a safetensors file, in pieces, of `tensors` and of `facts` as JSON metadata.

    The pieces are views of the tensors' own memory where that is contiguous: use them at once.
    (`safetensors.torch.save` copies everything twice, five times slower on 130 MB.)
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header: dict[str, Any] = {"__metadata__": {"assay": json.dumps(facts, ensure_ascii=False)}}
    chunks: list[Buffer] = []
    start = 0
    for name, tensor in ordered:
        chunks.append(_bytes_of(tensor))
        end = start + tensor.numel() * tensor.itemsize
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    return [*_header_bytes(header), *chunks]


def unpack(content: bytes) -> tuple[dict[str, Tensor], Any]:
    """Return what `pack` was given.

    Raises:
        ValueError: `content` is not such a file.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        return safetensors.torch.load(content), json.loads(header["__metadata__"]["assay"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a file of tensors with facts: {error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed `write` left behind."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def _header_bytes(header: Mapping[str, Any]) -> tuple[bytes, bytes]:
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little"), text


def _bytes_of(tensor: Tensor) -> Buffer:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return memoryview(flat.numpy().data)


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _write_synced(path: Path, chunks: Iterable[Buffer]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
