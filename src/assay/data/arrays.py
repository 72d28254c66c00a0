"""Arrays: in memory, or in a .npz file with x and y."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.data.encode import channels_first, fit_images, fit_sequences, fit_table, scale_pixels
from assay.data.labels import read_target
from assay.data.named import read_named
from assay.data.names import Note, listed, shown
from assay.data.prepare import Fit, Options, Raw, Source
from assay.data.split import Named, Role, groups_of
from assay.errors import BadArgumentError, DataError

PAIRS = (("x", "y"), ("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test"))
RATIO = 1_000  # a member that unpacks to more than this times its size, and to a lot, is a bomb
A_LOT = 256 * 2**20
READING = (  # what zipfile, zlib and numpy raise on damaged bytes
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    KeyError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
HEADER = 64 * 1024  # bytes of one array's header
READERS = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}


def memory_limit() -> int:
    """Return how many bytes one source may fill: a quarter of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


def npz_file(path: Path, options: Options) -> Source:
    """Return a .npz file as a source.

    Raises:
        BadArgumentError: A target was named, which arrays do not have.
    """
    if options.target is not None:
        raise BadArgumentError(
            f"`target` names a column of a table. Received target={shown(options.target)!r} for "
            f"{shown(path)}; leave it out, y is the target."
        )
    return Source(
        name=path.stem, where=str(path), files=(path,), read=lambda _: _read_npz(path, options)
    )


def read_arrays(
    x: Any,
    y: Any,
    *,
    name: str,
    source: str,
    options: Options,
    given: np.ndarray | None = None,
    beside: Mapping[Role, Any] | None = None,
) -> Raw:
    """Return arrays as raw data.

    Args:
        x: Examples.
        y: Labels or values.
        name: What the user calls them.
        source: Where they came from.
        options: What the caller decided.
        given: Per example 0 train, 1 validation, 2 test.
        beside: A value for each example that decides the division: a group, a time.

    Raises:
        DataError: Shapes, types or values cannot be used.
    """
    x, y = _native(np.asarray(x)), _one_dimension(_native(np.asarray(y)), source)
    if x.ndim < 2 or x.ndim > 4 or x.dtype.kind not in "iufb":
        raise DataError(
            f"`x` must be numbers of 2 to 4 dimensions. In {shown(source)} it is {x.dtype} of "
            f"shape {x.shape}; give a table (N, F), sequences (N, T, F) or images."
        )
    if len(x) != len(y):
        raise DataError(
            f"`x` and `y` must have the same length. In {shown(source)} x has {len(x):,} examples "
            f"and y has {len(y):,}; pair them."
        )
    if 0 in x.shape:
        raise DataError(
            f"`x` must not be empty. In {shown(source)} its shape is {x.shape}; add examples."
        )
    kind = _kind(x, options)
    target = read_target(y, kind=kind, task=options.task, where=shown(source), what="`y`")
    stored, fit, notes = _fit(x, kind, target.y)
    named = _named(beside or {}, options, count=len(x), where=shown(source))
    return Raw(
        name=name,
        source=source,
        task=target.task,
        y=target.y,
        classes=target.classes,
        content=_content(x, target.y, target.classes, given, named),
        groups=groups_of(stored),
        fit=fit,
        given=given,
        ids=tuple(f"example {at}" for at in range(len(x))),
        notes=notes,
        named=named,
    )


def _named(
    beside: Mapping[Role, Any], options: Options, *, count: int, where: str
) -> dict[Role, Named]:
    named: dict[Role, Named] = {}
    for role, found in beside.items():
        name = getattr(options, role) or role
        values = np.asarray(found)
        if values.shape != (count,):
            raise DataError(
                f"`{role}` must hold one value for each example. In {where} it has shape "
                f"{values.shape} for {count:,} examples; pair them."
            )
        named[role] = read_named(values, role, name=name, where=where)
    return named


def _native(x: np.ndarray) -> np.ndarray:
    """Return the array in this machine's byte order, C order, strings as str."""
    if x.dtype.kind == "S":
        x = np.char.decode(x, "utf-8", "replace")
    if x.dtype.kind == "O" and all(isinstance(value, str) for value in x.ravel().tolist()):
        x = x.astype(str)
    return np.asarray(x, dtype=x.dtype.newbyteorder("="), order="C")


def _one_dimension(y: np.ndarray, source: str) -> np.ndarray:
    flat = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim != 1 or flat.dtype.kind not in "iufbU":
        raise DataError(
            f"`y` must be one number or name for each example. In {shown(source)} it is {y.dtype} "
            f"of shape {y.shape}; give labels or values of shape (N,)."
        )
    return flat


def _kind(x: np.ndarray, options: Options) -> str:
    if x.ndim == 3 and options.task in ("image-classification", "sequence-classification"):
        return options.task.split("-")[0]
    if x.ndim == 3:
        return "image" if x.dtype == np.uint8 else "sequence"
    return "table" if x.ndim == 2 else "image"


def _fit(x: np.ndarray, kind: str, y: np.ndarray) -> tuple[np.ndarray, Fit, tuple[Note, ...]]:
    """Return the rows to compare for copies, the fit of the encoding, and notes."""
    if kind == "table":
        _refuse_infinite(x)
        names = [f"x{at}" for at in range(x.shape[1])]
        return (
            x,
            lambda train: fit_table(x, train, names=names, target=target_facts("y", y, train)),
            (),
        )
    _refuse_not_finite(x)
    if kind == "sequence":
        return x, partial(fit_sequences, x), ()
    images = channels_first(x)
    if images.dtype == np.uint8:
        images = np.ascontiguousarray(images)
        return images, partial(fit_images, images), ()
    low, high = _range(images)
    stored = np.ascontiguousarray(scale_pixels(images, low, high))
    note = {
        "en": f"The images are {images.dtype}; {low:g}..{high:g} became the 256 levels of a pixel.",
        "zh": f"图像为 {images.dtype}；{low:g}..{high:g} 映射为 256 级像素。",
    }
    return stored, partial(fit_images, stored, range=[low, high]), (note,)


def target_facts(name: str, y: np.ndarray, train: np.ndarray) -> dict[str, Any]:
    """Return what the preprocessing remembers of a target: its scale, if it has one."""
    if y.dtype.kind != "f":
        return {"name": name}
    std = float(y[train].std())
    return {"name": name, "mean": float(y[train].mean()), "std": std if std > 0 else 1.0}


def _range(images: np.ndarray) -> tuple[float, float]:
    """Return the values that become black and white."""
    low, high = float(images.min()), float(images.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and 127 < high <= 255:
        return 0.0, 255.0
    return low, high if high > low else low + 1


def _refuse_infinite(x: np.ndarray) -> None:
    if x.dtype.kind == "f" and np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0].tolist()
        raise DataError(
            f"`x` must hold no infinities. x[{row}, {column}] is {x[row, column]}; correct it or "
            "make it NaN, which counts as missing."
        )


def _refuse_not_finite(x: np.ndarray) -> None:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        place = np.argwhere(~np.isfinite(x))[0].tolist()
        raise DataError(
            f"`x` must hold finite numbers. x{place} is {x[tuple(place)]}; correct it or remove "
            "the example."
        )


def _content(
    x: np.ndarray,
    y: np.ndarray,
    classes: tuple[str, ...],
    given: np.ndarray | None,
    named: Mapping[Role, Named],
) -> str:
    parts = b"" if given is None else given.tobytes()
    found = hashlib.sha256(repr((x.dtype.str, x.shape, classes, y.dtype.str)).encode())
    for piece in (x.data, y.data, parts):
        found.update(piece)
    for role, column in named.items():
        found.update(f"{role} {column.name}".encode() + column.values.tobytes())
    return found.hexdigest()


def _read_npz(path: Path, options: Options) -> Raw:
    arrays = open_npz(path)
    pairs = [(at, px, py) for at, (px, py) in enumerate(PAIRS) if px in arrays and py in arrays]
    if not pairs or (len(pairs) > 1 and pairs[0][0] == 0) or pairs[0][0] > 1:
        raise DataError(
            f"A .npz must hold x and y, or x_train, y_train and more parts. {shown(path)} holds "
            f"{listed(sorted(arrays))}; rename the arrays."
        )
    xs, ys = [arrays[px] for _, px, _ in pairs], [arrays[py] for _, _, py in pairs]
    given = None
    if pairs[0][0] == 1:
        _check_parts(path, xs, ys)
        given = np.repeat(np.array([at - 1 for at, _, _ in pairs], np.int8), [len(y) for y in ys])
    x, y = (part[0] if len(part) == 1 else np.concatenate(part) for part in (xs, ys))
    return read_arrays(
        x,
        y,
        name=path.stem,
        source=str(path),
        options=options,
        given=given,
        beside=_beside(arrays, [px for _, px, _ in pairs], options, path),
    )


def _beside(
    arrays: Mapping[str, np.ndarray], xs: Sequence[str], options: Options, path: Path
) -> dict[Role, np.ndarray]:
    """Return the further arrays that were named: `patient`, or `patient_train`, `patient_test`."""
    found: dict[Role, np.ndarray] = {}
    asked: tuple[tuple[Role, str | None], ...] = (("group", options.group), ("time", options.time))
    for role, name in asked:
        if name is None:
            continue
        parts = [name + x.removeprefix("x") for x in xs]
        if not set(parts) <= set(arrays):
            raise BadArgumentError(
                f"`{role}` must name a further array of {shown(path)}. Received {shown(name)!r}, "
                f"which needs {listed(parts)}; it holds {listed(sorted(arrays))}."
            )
        found[role] = np.concatenate([np.ravel(arrays[part]) for part in parts])
    return found


def _check_parts(path: Path, xs: list[np.ndarray], ys: list[np.ndarray]) -> None:
    shapes = {x.shape[1:] for x in xs}
    lengths = all(x.ndim and y.ndim and len(x) == len(y) for x, y in zip(xs, ys, strict=True))
    if len(shapes) > 1 or not lengths or len({y.shape[1:] for y in ys}) > 1:
        raise DataError(
            f"The parts of {shown(path)} must have examples of one shape and a y for each. "
            f"Received x of shapes {', '.join(str(x.shape) for x in xs)} and y of shapes "
            f"{', '.join(str(y.shape) for y in ys)}; make them agree."
        )


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz, every size checked before anything is unpacked.

    Raises:
        DataError: It is damaged, holds Python objects, or its sizes do not agree.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            _check_members(path, members)
            return {m.filename.removesuffix(".npy"): _member(path, packed, m) for m in members}
    except DataError:
        raise
    except READING as error:
        raise DataError(
            f"{shown(path)} cannot be read as .npz ({shown(error, most=80)}); write it again with "
            "numpy.savez(path, x=..., y=...)."
        ) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    odd = [name for name in names if not name.endswith(".npy") or "/" in name or "\\" in name]
    if odd or len(set(names)) < len(names):
        raise DataError(
            f"A .npz must hold differently named .npy arrays only. {shown(path)} holds "
            f"{listed(odd or names)}; write it again with numpy.savez."
        )
    total, limit = sum(member.file_size for member in members), memory_limit()
    if total > limit:
        raise DataError(
            f"{shown(path)} unpacks to {total:,} bytes. A quarter of this machine's memory, "
            f"{limit:,} bytes, is the limit; store fewer examples or smaller numbers."
        )
    for member in members:
        if member.file_size > max(A_LOT, RATIO * member.compress_size):
            raise DataError(
                f"{shown(path)} claims that {member.compress_size:,} bytes of "
                f"{shown(member.filename)!r} unpack to {member.file_size:,}; it is taken for a "
                "bomb and not opened: store it uncompressed with numpy.savez."
            )


def _member(path: Path, packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Return one array; the shape it declares must be the size it has."""
    with packed.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in READERS:
            raise ValueError(f"array format {version} is not known")
        reader = getattr(np.lib.format, READERS[version])
        shape, fortran, kind = reader(file, max_header_size=HEADER)
        if kind.hasobject:
            raise DataError(
                f"{shown(path)} holds Python objects in {shown(member.filename)!r}, which could "
                "run code and are never opened; store plain numbers or strings."
            )
        declared = kind.itemsize
        for side in shape:
            declared *= int(side)
        stored = member.file_size - file.tell()
        if min(shape, default=0) < 0 or declared != stored:
            raise DataError(
                f"{shown(member.filename)!r} in {shown(path)} declares {declared:,} bytes and has "
                f"{stored:,}; it is damaged: write it again with numpy.savez."
            )
        flat = np.frombuffer(file.read(), dtype=kind)
    return flat.reshape(shape, order="F" if fortran else "C")
