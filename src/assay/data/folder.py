"""A folder of class folders, with or without train, val and test above them."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from assay.data.encode import fit_images
from assay.data.image import Header, UnreadableError, decode, header, open_image, quiet
from assay.data.names import Note, listed, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.split import groups_of
from assay.errors import BadArgumentError, DataError, StoreError

LARGEST_SIDE = 224
PRINTED = 20  # unreadable files named in the message; the rest go to a file
PARTS = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
}
IGNORED = {"thumbs.db", "desktop.ini"}
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class _File:
    path: Path
    name: str  # inside the folder, as it is shown
    label: str
    part: int
    link: str = ""  # why it is not followed, if it is such a link


@dataclass(frozen=True, kw_only=True)
class _Tree:
    home: Path
    files: tuple[_File, ...]
    classes: tuple[str, ...]
    parted: bool


def image_folder(home: Path, options: Options) -> Source:
    """Return the folder as a source; its files are found but not opened yet.

    Raises:
        BadArgumentError: A task or target was named that images do not have.
        DataError: The folder is empty or has no class folders.
    """
    if options.task not in (None, "image-classification") or options.target is not None:
        raise BadArgumentError(
            "A folder is images with the class folders as classes. Received "
            f"task={options.task!r}, target={options.target!r} for {shown(home)}; leave both out."
        )
    tree = _walk(home)
    paths = tuple(file.path for file in tree.files if not file.link)
    return Source(
        name=home.resolve().name or str(home),
        where=str(home),
        files=(home, *sorted({path.parent for path in paths}), *paths),
        read=lambda place: _read(tree, place, skip_bad=options.skip_bad),
    )


def _walk(home: Path) -> _Tree:
    """Find every file below the class folders; no link out of the folder is followed."""
    tops = _folders(home)
    parted = (
        bool(tops)
        and {t.name.lower() for t in tops} <= PARTS.keys()
        and any(PARTS[t.name.lower()] == 0 for t in tops)
    )
    parts = [(PARTS[top.name.lower()], top) for top in tops] if parted else [(0, home)]
    files = [file for part, top in parts for file in _labelled(home, top, part)]
    labels = {folder.name for _, top in parts for folder in _folders(top)}
    if not labels:
        raise DataError(_no_classes(home))
    if not files:
        raise DataError(f"The class folders of {shown(home)} hold no files; put images into them.")
    classes = tuple(sorted(labels))
    return _Tree(home=home, files=tuple(files), classes=classes, parted=parted)


def _folders(home: Path) -> list[Path]:
    try:
        with os.scandir(home) as entries:
            found = [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"The folder {shown(home)} cannot be listed ({error.strerror}); allow reading it."
        ) from error
    return sorted(found)


def _no_classes(home: Path) -> str:
    if not any(home.iterdir()):
        return f"The folder {shown(home)} is empty; put a folder of images for each class into it."
    return (
        f"The folder {shown(home)} must hold one folder of images for each class. It has files but "
        "no class folders; move each class's images into a folder named after the class."
    )


def _labelled(home: Path, top: Path, part: int) -> Iterator[_File]:
    root = os.path.realpath(home)
    for folder in _folders(top):
        for path, link in _files(folder, root=root):
            name = shown(path.relative_to(home), most=5000)
            yield _File(path=path, name=name, label=folder.name, part=part, link=link)


def _files(folder: Path, *, root: str) -> Iterator[tuple[Path, str]]:
    """Yield each file in name order, with the reason where a link is not to be followed."""
    if folder.is_symlink():
        yield folder, "a link to a folder; put a copy in its place"
        return
    for here, inside, names in os.walk(folder, onerror=_refuse_unlisted):
        inside.sort()
        for name in sorted([*names, *inside]):
            path = Path(here, name)
            if name.startswith(".") or name.lower() in IGNORED:
                continue
            link = _refused_link(path, root=root) if path.is_symlink() else ""
            if link or name in names:
                yield path, link
        inside[:] = [name for name in inside if not name.startswith(".")]


def _refuse_unlisted(error: OSError) -> None:
    raise DataError(
        f"The folder {shown(error.filename)} cannot be listed ({error.strerror}); allow reading it."
    )


def _refused_link(path: Path, *, root: str) -> str:
    if path.is_dir():
        return "a link to a folder; put a copy in its place"
    real = os.path.realpath(path)
    if os.path.commonpath([real, root]) != root:
        return "a link to outside the folder; put a copy in its place"
    return "" if path.exists() else "a link to nothing or to itself"


def _read(tree: _Tree, place: Path, *, skip_bad: bool) -> Raw:
    """Look at every header, then decode every image once; report all bad ones together."""
    with quiet(), ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 16)) as pool:
        looks = list(_mapped(pool, _header, tree.files))
        headers = [look for look in looks if isinstance(look, Header)]
        bad = _reasons(tree.files, looks)
        files = [file for file in tree.files if file not in bad]
        mode, size = _common(headers) if headers else ("L", (1, 1))
        x = _room(place, (len(files), 1 if mode == "L" else 3, *size)) if files else np.empty(0)

        def keep(at: int) -> str | bytes:
            return _decoded(files[at], mode=mode, size=size, into=x[at])

        digests = list(_mapped(pool, keep, range(len(files))))
    bad |= _reasons(files, digests)
    if bad and (not skip_bad or len(bad) == len(tree.files)):
        raise DataError(_unreadable(tree, bad, place))
    good = [at for at, found in enumerate(digests) if isinstance(found, bytes)]
    if len(good) < len(files):
        x, files = _compact(x, good, place), [files[at] for at in good]
    return _raw(
        tree,
        files=files,
        x=x,
        digests=[digests[at] for at in good],
        notes=_notes(tree, headers=headers, size=size, bad=len(bad)),
    )


def _reasons(files: Sequence[_File], found: Sequence[object]) -> dict[_File, str]:
    """Return the files for which a reason was found instead of a result."""
    return {f: reason for f, reason in zip(files, found, strict=True) if isinstance(reason, str)}


def _raw(
    tree: _Tree, *, files: list[_File], x: np.ndarray, digests: Sequence[object], notes: list[Note]
) -> Raw:
    place_of = {label: at for at, label in enumerate(tree.classes)}
    content = hashlib.sha256(repr((tree.parted, x.shape)).encode())
    for file, found in zip(files, digests, strict=True):
        content.update(f"{file.name}\n{file.part}\n{found!r}\n".encode())
    return Raw(
        name=tree.home.resolve().name or str(tree.home),
        source=str(tree.home),
        task="image-classification",
        y=np.array([place_of[file.label] for file in files], np.int64),
        classes=tuple(shown(label) for label in tree.classes),
        content=content.hexdigest(),
        groups=groups_of(np.ascontiguousarray(row) for row in x),
        fit=lambda train: fit_images(x, train),
        given=np.array([file.part for file in files], np.int8) if tree.parted else None,
        ids=tuple(file.name for file in files),
        notes=tuple(notes),
    )


def _mapped(pool: ThreadPoolExecutor, do: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Map in slices, so that a million files do not wait in the pool's queue together."""
    for start in range(0, len(items), 4096):
        yield from pool.map(do, items[start : start + 4096])


def _header(file: _File) -> Header | str:
    """Return what the file declares, or why it cannot be used."""
    try:
        if file.link:
            return file.link
        with open_image(file.path) as data:
            return header(data)
    except UnreadableError as error:
        return str(error)


def _decoded(file: _File, *, mode: str, size: tuple[int, int], into: np.ndarray) -> bytes | str:
    """Decode one file into its row; return the sha256 of its bytes, or why it cannot be used."""
    try:
        with open_image(file.path) as data:
            into[:] = decode(data, mode=mode, size=size)
            data.seek(0)
            return hashlib.sha256(data.read()).digest()
    except UnreadableError as error:
        return str(error)


def _common(headers: list[Header]) -> tuple[str, tuple[int, int]]:
    """Return the mode and size for all: the commonest size if most have it, else the median."""
    size, often = Counter(h.size for h in headers).most_common(1)[0]
    if often * 2 <= len(headers):
        size = (int(median(h.size[0] for h in headers)), int(median(h.size[1] for h in headers)))
    shrink = min(1.0, LARGEST_SIDE / max(size))
    height, width = (max(1, round(side * shrink)) for side in size)
    return "L" if all(h.gray for h in headers) else "RGB", (height, width)


def _room(place: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array on disk, after asking whether the disk has room for it.

    Raises:
        StoreError: It has not.
    """
    needed, free = math.prod(shape), shutil.disk_usage(place).free
    if needed > free:
        raise StoreError(
            f"The decoded images need {needed:,} bytes in {shown(place.parent)}, where {free:,} "
            "are free; free space there, or name another folder with --store."
        )
    return np.lib.format.open_memmap(place / "x.npy", mode="w+", dtype=np.uint8, shape=shape)


def _compact(x: np.ndarray, good: list[int], place: Path) -> np.ndarray:
    """Return the good rows alone, in the place of all."""
    path = place / "good.npy"
    kept = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(len(good), *x.shape[1:])
    )
    for to, at in enumerate(good):
        kept[to] = x[at]
    path.replace(place / "x.npy")
    return kept


def _unreadable(tree: _Tree, bad: dict[_File, str], place: Path) -> str:
    """Return the message that lists the bad files; a long list is written beside the data."""
    lines = sorted(f"{file.name!r} ({reason})" for file, reason in bad.items())
    more = ""
    if len(lines) > PRINTED:
        report = place.parent / "unreadable.txt"
        report.write_text("\n".join(lines) + "\n", encoding="utf-8")
        more = f" and {len(lines) - PRINTED:,} more, all listed in {shown(report)}"
    return (
        f"{len(bad):,} of {len(tree.files):,} files in {shown(tree.home)} cannot be read as "
        "images: "
        f"{', '.join(lines[:PRINTED])}{more}; repair or remove them, or leave them out with "
        "--skip-bad."
    )


def _notes(tree: _Tree, *, headers: list[Header], size: tuple[int, int], bad: int) -> list[Note]:
    notes: list[Note] = []
    height, width = size
    if bad:
        notes.append(
            {
                "en": f"Left out as unreadable: {bad:,} of {len(tree.files):,} files.",
                "zh": f"{len(tree.files):,} 个文件中有 {bad:,} 个无法读取，已剔除。",
            }
        )
    sizes = len({h.size for h in headers})
    if sizes > 1 or headers[0].size != size:
        notes.append(
            {
                "en": f"Different image sizes: {sizes:,}; all were resized to {height}x{width} "
                "(height x width).",
                "zh": f"图像共有 {sizes:,} 种尺寸；全部缩放为 {height}x{width}（高x宽）。",
            }
        )
    grays = sum(h.gray for h in headers)
    if 0 < grays < len(headers):
        notes.append(
            {
                "en": f"Gray images among coloured ones: {grays:,}; all were read as RGB.",
                "zh": f"{grays:,} 张图像为灰度，其余为彩色；全部按 RGB 读取。",
            }
        )
    moving = sum(h.animated for h in headers)
    if moving:
        notes.append(
            {
                "en": f"Files of several frames: {moving:,}; the first frame was taken.",
                "zh": f"{moving:,} 个文件含多帧；只取第一帧。",
            }
        )
    folded = Counter(label.casefold() for label in tree.classes)
    twins = [label for label in tree.classes if folded[label.casefold()] > 1]
    if twins:
        notes.append(
            {
                "en": f"These class names differ by case alone: {listed(twins)}; each is a class.",
                "zh": f"这些类别名仅大小写不同：{listed(twins)}；各算一类。",
            }
        )
    return notes
