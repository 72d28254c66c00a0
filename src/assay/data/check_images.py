"""One pass over the images: cheap facts of each, and the pairs that show the same picture.

Two images show the same picture when their 8 x 8 lowest cosine coefficients agree, and then, at
32 to 63 pixels a side, both the pixels and their Laplacian: the fine texture, which a copy that
was compressed, dimmed or scaled keeps and another picture of the same thing has not. Copies that
were cut, turned or mirrored, and copies of pictures without texture, are not found.

Source:
    C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section
    3.2 (hash of cosine coefficients above their median); candidates by neighbours in sorted
    rotations of the hash as G. S. Manku, A. Jain, A. Das Sarma, "Detecting Near-Duplicates for Web
    Crawling", 2007, section 3. The threshold of a bit is the coefficient's median over the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from assay.data.check_division import named_ids
from assay.data.concern import Concern
from assay.data.dataset import Dataset

FREQUENCIES = 8  # along each side
PIECE = 2**21  # pixels that are looked at together
NEAR = 8  # neighbours in each sorted order
BITS = 8  # of 64 in which a candidate pair may differ
SIDE = 32  # pixels to which a pair is reduced to be compared
ALIKE = 0.99  # least correlation of the pixels
FINE, COARSE = 0.93, 0.97  # of their Laplacian, or of that after averaging 2 x 2 pixels
MANY = 0.01  # of the test part


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What one pass found.

    Attributes:
        facts: Name -> one number per image: brightness, contrast, sharpness, on 0..255.
        low: The lowest cosine coefficients without the mean, of unit length; (N, K) float16.
    """

    facts: dict[str, np.ndarray]
    low: np.ndarray


def look(x: np.ndarray) -> Looks:
    """Return cheap facts of every image, read in pieces.

    Shape:
        (N, C, H, W) uint8
    """
    count, _, height, width = x.shape
    down, across = _cosines(height), _cosines(width)
    low = np.empty((count, len(down) * len(across) - 1), np.float16)
    brightness, contrast, sharpness = (np.empty(count, np.float32) for _ in range(3))
    step = max(1, PIECE // (height * width))
    for start in range(0, count, step):
        here = slice(start, start + step)
        gray = _gray(x[here])
        brightness[here] = gray.mean(axis=(1, 2))
        flat = gray.reshape(len(gray), -1)
        squares = np.einsum("np,np->n", flat, flat) / flat.shape[1]
        contrast[here] = np.sqrt(np.maximum(squares - brightness[here] ** 2, 0))
        if width > 1:
            sharpness[here] = np.abs(np.diff(gray, axis=2)).mean(axis=(1, 2))
        waves = (down @ gray @ across.T).reshape(len(gray), -1)[:, 1:]
        low[here] = waves / np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1e-6)
    sharpness = sharpness if width > 1 else np.zeros(count, np.float32)
    return Looks(
        facts={"brightness": brightness, "contrast": contrast, "sharpness": sharpness}, low=low
    )


def images_that_mislead(dataset: Dataset, looks: Looks, groups: np.ndarray) -> Iterator[Concern]:
    """Yield blank images, and pictures that training and test share.

    Args:
        dataset: Of images.
        looks: From `look`.
        groups: Equal numbers mark identical images, which are told of elsewhere.
    """
    yield from _blank(dataset, looks)
    used = np.concatenate([dataset.train, dataset.val])
    pairs = same_pictures(dataset.x, looks, test=dataset.test, others=used)
    pairs = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
    found = np.unique(pairs[:, 0])
    if len(found):
        share = len(found) / len(dataset.test)
        first = pairs[np.unique(pairs[:, 0], return_index=True)[1]]
        names = zip(named_ids(dataset, first[:, 0]), named_ids(dataset, first[:, 1]), strict=True)
        yield Concern(
            kind="same-picture-across-parts",
            severity="warning" if share >= MANY else "note",
            en=f"Test images that show nearly the same picture as a training or validation image: "
            f"{len(found):,} ({share:.2%} of the test part); look at them, and leave them out if "
            "they are copies.",
            zh=f"有 {len(found):,} 张测试图像（占测试部分 {share:.2%}）与训练或验证图像几乎相同；"
            "请查看，若为副本请删除。",
            where=tuple(f"{a} = {b}" for a, b in names),
        )


def same_pictures(
    x: np.ndarray, looks: Looks, *, test: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Return pairs (test image, other image) that show the same picture.

    Args:
        x: Images (N, C, H, W) uint8.
        looks: From `look(x)`.
        test: Indices of one side.
        others: Indices of the other side.
    """
    side = np.zeros(len(x), np.int8)
    side[test], side[others] = 1, 2
    side[looks.facts["contrast"] < 1] = 0  # blank images are told of apart
    pairs = _candidates(_hashes(looks.low), side)
    close = np.empty(len(pairs), bool)
    for start in range(0, len(pairs), 2**14):
        piece = pairs[start : start + 2**14]
        a, b = (looks.low[piece[:, at]].astype(np.float32) for at in (0, 1))
        close[start : start + 2**14] = np.einsum("nk,nk->n", a, b) >= ALIKE - 0.01
    pairs = pairs[close]
    step = max(1, PIECE // x[0].size)
    kept = [
        piece[_same(x[piece[:, 0]], x[piece[:, 1]])]
        for piece in (pairs[start : start + step] for start in range(0, len(pairs), step))
    ]
    return np.concatenate(kept) if kept else pairs


def _cosines(size: int) -> np.ndarray:
    """Return the lowest cosines over `size` places.

    Shape:
        -> (up to FREQUENCIES, size)
    """
    waves = np.arange(min(FREQUENCIES, size))[:, None]
    return np.cos(np.pi * (np.arange(size) + 0.5) * waves / size).astype(np.float32)


def _gray(x: np.ndarray) -> np.ndarray:
    """Return (B, H, W) float32."""
    return x[:, 0].astype(np.float32) if x.shape[1] == 1 else x.mean(axis=1, dtype=np.float32)


def _hashes(low: np.ndarray) -> np.ndarray:
    """Return 64 bits for each image: which coefficients exceed their median over the set."""
    sample = low[:: max(1, len(low) // 5000)].astype(np.float32)
    bits = np.zeros((len(low), 64), bool)
    bits[:, : low.shape[1]] = low > np.median(sample, axis=0).astype(np.float16)
    order = np.random.default_rng(0).permutation(64)  # every stretch holds low and high waves
    packed = np.ascontiguousarray(np.packbits(bits[:, order], axis=1))
    return packed.view(np.uint64).ravel()


def _candidates(hashes: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return pairs (side 1, side 2) that lie near each other in a sorted rotation of the bits."""
    used = np.flatnonzero(side)
    hashes, side, found = hashes[used], side[used], []
    for turn in (0, 16, 32, 48):
        left, right = np.uint64(turn), np.uint64((64 - turn) % 64)
        order = np.argsort((hashes << left) | (hashes >> right))
        for off in range(1, NEAR + 1):
            a, b = order[:-off], order[off:]
            near = (side[a] != side[b]) & (np.bitwise_count(hashes[a] ^ hashes[b]) <= BITS)
            a, b = a[near], b[near]
            swap = side[a] == 2
            found.append(np.where(swap, b, a) * len(used) + np.where(swap, a, b))
    keys = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return np.stack([used[keys // len(used)], used[keys % len(used)]], axis=1)


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    first, second = _reduced(_gray(a)), _reduced(_gray(b))
    alike = _correlation(first, second) >= ALIKE
    if min(first.shape[1:]) < 3:
        return alike
    texture = _correlation(_laplacian(first), _laplacian(second)) >= FINE
    if min(first.shape[1:]) >= SIDE // 2:
        first, second = _blocks(first, 2, 2), _blocks(second, 2, 2)
        texture |= _correlation(_laplacian(first), _laplacian(second)) >= COARSE
    return alike & texture


def _reduced(gray: np.ndarray) -> np.ndarray:
    """Return the images with whole blocks averaged, so that no side has 2 * SIDE pixels."""
    return _blocks(gray, *(max(1, size // SIDE) for size in gray.shape[1:]))


def _blocks(gray: np.ndarray, rows: int, columns: int) -> np.ndarray:
    height, width = gray.shape[1] // rows, gray.shape[2] // columns
    cut = gray[:, : height * rows, : width * columns]
    return np.asarray(cut.reshape(len(cut), height, rows, width, columns).mean(axis=(2, 4)))


def _laplacian(x: np.ndarray) -> np.ndarray:
    middle = x[:, 1:-1, 1:-1]
    beside = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return np.asarray(4 * middle - beside)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlation of each pair; 0 where one of them is flat."""
    a, b = (v.reshape(len(v), -1) - v.mean(axis=(1, 2))[:, None] for v in (a, b))
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.einsum("np,np->n", a, b) / np.maximum(size, 1e-6))


def _blank(dataset: Dataset, looks: Looks) -> Iterator[Concern]:
    blank = np.flatnonzero(looks.facts["contrast"] < 0.5)
    if len(blank):
        yield Concern(
            kind="blank-images",
            severity="warning" if len(blank) >= MANY * len(dataset.x) else "note",
            en=f"Images of a single colour: {len(blank):,}; look at them, they may be damaged.",
            zh=f"有 {len(blank):,} 张图像只有单一颜色；请查看，可能已损坏。",
            where=named_ids(dataset, blank),
        )
