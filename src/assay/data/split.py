"""The division into train, validation and test: stratified, seeded, copies kept on one side.

Where a column of groups is named, whole groups go to one part; where a column of times is named,
the latest examples are the test part and those before them the validation part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from assay.data.names import Note, shown
from assay.errors import DataError

VAL, TEST = 1, 2  # the parts by number; train is 0
SHARES = {VAL: 0.15, TEST: 0.25}  # of the examples; a quarter for the test, as scikit-learn does
MOST_TEST = 0.8  # of the examples, so that something is left to learn from
TRIES = 32  # random orders of the groups, of which the one with the truest class shares is taken
Role = Literal["group", "time"]  # what a named column does to the division


@dataclass(frozen=True, kw_only=True)
class Named:
    """A column that decides the division and is no input.

    Attributes:
        name: As the user calls it.
        values: One number for each example: equal for one group, or growing with time.
    """

    name: str
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three sorted lists of indices, and what had to be said about them."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    notes: tuple[Note, ...] = ()


def groups_of(rows: Iterable[np.ndarray]) -> np.ndarray:
    """Return one number per row, equal where rows hold the same bytes."""
    seen: dict[bytes, int] = {}
    numbers = [
        seen.setdefault(blake2b(row.data, digest_size=16).digest(), len(seen)) for row in rows
    ]
    return np.asarray(numbers, dtype=np.int64)


def divide(
    y: np.ndarray,
    *,
    groups: np.ndarray,
    classes: Sequence[str],
    seed: int,
    given: np.ndarray | None = None,
    test_size: float = SHARES[TEST],
    group: Named | None = None,
    time: Named | None = None,
) -> Split:
    """Divide the examples.

    Args:
        y: Labels, or values for regression.
        groups: Equal numbers mark identical examples, which stay together.
        classes: Names in label order; empty for regression.
        seed: Of the shuffle.
        given: Per example 0 train, 1 validation, 2 test, where the source says so. A part that
            nobody was given is carved from train.
        test_size: Share of the examples for a test part that nobody was given.
        group: Examples with the same value go to one part, and copies go with their group.
        time: The latest go to the test part, those before them to validation; with `group`, a
            group is as late as its latest example.

    Raises:
        DataError: A class has too few different examples, or the groups or times are too few, to
            have one in each part.
    """
    given = np.zeros(len(y), np.int8) if given is None else given
    given, leaked = _without_leaks(given, groups)
    pool = np.flatnonzero(given == 0)
    shares = {**SHARES, TEST: test_size}
    carve = [part for part in (TEST, VAL) if not (given == part).any()]
    strata = y if classes else _quantiles(y)
    _check_counts(strata, pool=pool, groups=groups, classes=classes, parts=1 + len(carve))
    parts = given.copy()
    generator = np.random.default_rng(seed)
    for part in carve:
        total = round(shares[part] * len(pool))
        left = pool[parts[pool] == 0]
        after = carve[-1] != part  # one group more must stay, for the part still to be carved
        if time:
            chosen = _latest(left, time, group=group, total=total, keep=1 + after)
        elif group:
            chosen = _whole(strata, left, group, total=total, keep=1 + after, by=generator)
        else:
            chosen = _carve(
                strata, left=left, groups=groups, total=total, keep=1 + after, by=generator
            )
        parts[chosen] = part
    train, val, test = (np.flatnonzero(parts == part) for part in range(3))
    notes = _notes(groups, leaked, named=bool(group or time))
    notes += _rule(group, time, tested=TEST in carve) if carve else ()
    return Split(train=train, val=val, test=test, notes=notes)


def _without_leaks(given: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, int]:
    """Mark as -1 what has a copy in a later part; return the marks and how many."""
    kept = given.copy()
    for part in (0, 1):
        later = groups[given > part]
        kept[(given == part) & np.isin(groups, later)] = -1
    return kept, int((kept == -1).sum())


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Return each value's tenth, so that a regression's parts cover the same range."""
    bins = max(1, min(10, len(values) // 30))
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def _check_counts(
    strata: np.ndarray,
    *,
    pool: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    parts: int,
) -> None:
    if not classes:
        if len(np.unique(groups[pool])) < 10:
            raise DataError(
                f"A regression needs at least 10 different examples to be divided. "
                f"Received {len(np.unique(groups[pool]))}; add examples."
            )
        return
    _, first = np.unique(groups[pool], return_index=True)
    counts = np.bincount(strata[pool[first]], minlength=len(classes))
    short = np.flatnonzero(counts < parts)
    if len(short):
        which = ", ".join(f"{shown(classes[i])!r} has {counts[i]}" for i in short[:5])
        more = f" and {len(short) - 5} more" if len(short) > 5 else ""
        raise DataError(
            f"Each class needs at least {parts} different examples, one for each part of the "
            f"division. Class {which}{more}; add examples or remove the class."
        )


def _carve(
    strata: np.ndarray,
    *,
    left: np.ndarray,
    groups: np.ndarray,
    total: int,
    keep: int,
    by: np.random.Generator,
) -> np.ndarray:
    """Choose about `total` of `left`, whole groups, each stratum in proportion."""
    _, first, inverse, sizes = np.unique(
        groups[left], return_index=True, return_inverse=True, return_counts=True
    )
    labels = strata[left[first]]  # a group belongs to its first member's class
    kinds = np.unique(labels)
    weights = np.array([sizes[labels == kind].sum() for kind in kinds], dtype=float)
    quotas = _largest_remainder(weights, total)
    chosen = np.zeros(len(first), bool)
    for kind, quota in zip(kinds, quotas, strict=True):
        members = by.permutation(np.flatnonzero(labels == kind))
        members = members[np.argsort(sizes[members] > max(quota, 1), kind="stable")]
        most = max(len(members) - keep, 0)
        reached = np.cumsum(sizes[members])
        take = int(np.argmin(np.abs(reached - quota))) + 1 if len(members) else 0
        chosen[members[: min(take, most)]] = True
    return left[chosen[inverse]]


def _whole(
    strata: np.ndarray,
    left: np.ndarray,
    group: Named,
    *,
    total: int,
    keep: int,
    by: np.random.Generator,
) -> np.ndarray:
    """Choose about `total` of `left`, whole groups, with the class shares of `left` if they can."""
    values, inverse, sizes = np.unique(group.values[left], return_inverse=True, return_counts=True)
    _check_values(group, len(values), keep)
    counts = np.bincount(strata[left])
    best, least = np.zeros(len(values), bool), np.inf
    for _ in range(TRIES):
        order = by.permutation(len(values))
        nearest = int(np.argmin(np.abs(np.cumsum(sizes[order]) - total))) + 1
        chosen = np.zeros(len(values), bool)
        chosen[order[: min(nearest, len(values) - keep)]] = True
        found = np.bincount(strata[left[chosen[inverse]]], minlength=len(counts))
        off = float(np.abs(found - counts * (total / len(left))).sum())
        if off < least:
            best, least = chosen, off
    return left[best[inverse]]


def _latest(
    left: np.ndarray, time: Named, *, group: Named | None, total: int, keep: int
) -> np.ndarray:
    """Choose about `total` of `left`, the latest; what has one time or group stays together."""
    when = time.values[left]
    if group:
        _, inverse = np.unique(group.values[left], return_inverse=True)
        last = np.full(inverse.max() + 1, when.min())
        np.maximum.at(last, inverse, when)
        when = last[inverse]
    values, inverse, sizes = np.unique(when, return_inverse=True, return_counts=True)
    _check_values(time, len(values), keep)
    nearest = int(np.argmin(np.abs(np.cumsum(sizes[::-1]) - total))) + 1
    return left[inverse >= len(values) - min(nearest, len(values) - keep)]


def _check_values(column: Named, found: int, keep: int) -> None:
    if found <= keep:
        raise DataError(
            f"A division by {shown(column.name)!r} needs a value of its own for each part. "
            f"Received {found} for {keep + 1} parts; add examples with others, or divide without "
            "it."
        )


def _largest_remainder(weights: np.ndarray, total: int) -> np.ndarray:
    """Share `total` in proportion to `weights`, in whole numbers that sum to it."""
    exact = weights * (total / weights.sum())
    shares = np.floor(exact).astype(np.int64)
    order = np.argsort(shares - exact, kind="stable")
    shares[order[: total - int(shares.sum())]] += 1
    return shares


def _rule(group: Named | None, time: Named | None, *, tested: bool) -> tuple[Note, ...]:
    """Return what was done by a named column.

    Args:
        group: The column of groups.
        time: The column of times.
        tested: Whether the test part was divided off too, not given.
    """
    notes: list[Note] = []
    if not tested:
        for column in filter(None, (group, time)):
            name = repr(shown(column.name))
            notes.append(
                {
                    "en": f"Validation was divided from the given training part by {name}, which "
                    "is no input.",
                    "zh": f"验证集按 {name} 从给定的训练部分划出；该列不作为输入。",
                }
            )
        return tuple(notes)
    if group:
        name = repr(shown(group.name))
        notes.append(
            {
                "en": f"Divided by {name}: examples with the same value stay in one part; it is "
                "no input.",
                "zh": f"按 {name} 划分：取值相同的样本放在同一部分；该列不作为输入。",
            }
        )
    if time:
        name = repr(shown(time.name))
        notes.append(
            {
                "en": f"Divided by {name}: the latest examples are for the test, those before them "
                "for validation; it is no input.",
                "zh": f"按 {name} 划分：最晚的样本用于测试，其前一段用于验证；该列不作为输入。",
            }
        )
    return tuple(notes)


def _notes(groups: np.ndarray, leaked: int, *, named: bool) -> tuple[Note, ...]:
    copies = len(groups) - len(np.unique(groups))
    notes: list[Note] = []
    if copies and not named:
        notes.append(
            {
                "en": f"Exact copies among the examples: {copies:,}; copies stay on one side.",
                "zh": f"{copies:,} 个样本与其他样本完全相同；相同样本都放在划分的同一侧。",
            }
        )
    if leaked:
        notes.append(
            {
                "en": "Left out, because a later part (validation or test) has a copy: "
                f"{leaked:,}.",
                "zh": f"{leaked:,} 个样本在后面的部分（验证或测试）中有副本；已剔除。",
            }
        )
    return tuple(notes)
