"""Columns of a table that hold nothing, number the rows, or give the answer away; rows alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from assay.data.check_division import named_ids
from assay.data.concern import Concern
from assay.data.dataset import Dataset
from assay.data.names import listed, shown
from assay.data.split import groups_of

ROWS = 5_000  # that a column is judged by
LEVELS = 64  # more different values than this are a continuous column
LEAST = 30  # rows to judge a column by
GIVEN_AWAY = 0.985  # balanced accuracy, or R², of a column alone
NUMBERED = 50  # rows that a running number must number at least
CLOSE = 1e-3  # standard deviations in every column between two rows that are nearly the same
CELL = 0.05  # width, in standard deviations, of the cells in which such rows meet
PROJECTIONS, TABLES, NEAR = 6, 2, 8


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table as it was given.

    Attributes:
        name: As in the file.
        values: One number per row: the value in standard deviations, or the number of the level;
            NaN where it is missing.
        kind: numeric or categorical.
        at: Where its encoded columns begin in x.
        width: How many they are.
        scale: Mean and standard deviation, for numeric columns.
    """

    name: str
    values: np.ndarray
    kind: str
    at: int
    width: int
    scale: tuple[float, float] = (0.0, 1.0)


def columns_of(dataset: Dataset) -> Iterator[Column]:
    """Yield the columns that were encoded into x, one after the other."""
    at = 0
    for facts in dataset.preprocessing["columns"]:
        numeric = facts["kind"] == "numeric"
        width = 1 + facts["missing"] if numeric else len(facts["values"]) + facts["other"]
        block = dataset.x[:, at : at + width]
        values = block[:, 0].astype(np.float64) if numeric else block.argmax(axis=1).astype(float)
        if numeric and facts["missing"]:
            values[block[:, 1] > 0] = np.nan
        scale = (facts["mean"], facts["std"]) if numeric else (0.0, 1.0)
        yield Column(
            name=facts["name"], values=values, kind=facts["kind"], at=at, width=width, scale=scale
        )
        at += width


def columns_that_mislead(dataset: Dataset, groups: np.ndarray) -> Iterator[Concern]:
    """Yield what is wrong with the columns, and rows that training and test nearly share.

    Args:
        dataset: A table.
        groups: Equal numbers mark identical rows, which are told of elsewhere.
    """
    known = np.concatenate([dataset.train, dataset.val])
    if len(known) > ROWS:
        known = np.random.default_rng(0).choice(known, ROWS, replace=False)
    numbered, constant, telling = [], [], []
    for column in columns_of(dataset):
        seen = column.values[dataset.train]
        if (seen == seen[0]).all() or np.isnan(seen).all():
            constant.append(column.name)
        elif _is_running_number(column):
            numbered.append(column)
        elif len(known) >= LEAST:
            score = alone(column.values[known], dataset.y[known], classes=len(dataset.classes))
            if score >= GIVEN_AWAY:
                telling.append((column.name, score))
    yield from _constant(constant)
    yield from _numbered(dataset, numbered, groups)
    yield from _telling(dataset, telling)
    yield from _nearly_same(dataset, groups)


def alone(values: np.ndarray, y: np.ndarray, *, classes: int) -> float:
    """Return how well one column predicts the target, every row left out once.

    A column of many values answers with its nearest neighbours, one of few with the other rows of
    the same value.

    Args:
        values: Of the column; NaN is a value of its own.
        y: Labels, or values for a regression.
        classes: Their number; 0 for a regression.

    Returns:
        Balanced accuracy, or R² (which may be negative).
    """
    values = np.where(np.isnan(values), -1e9, values)
    levels, code = np.unique(values, return_inverse=True)
    if len(levels) > LEVELS:
        return _by_neighbours(values, y, classes=classes)
    if not classes:
        sums, counts = np.bincount(code, y), np.bincount(code)
        others = np.maximum(counts[code] - 1, 1)
        guess = np.where(counts[code] > 1, (sums[code] - y) / others, y.mean())
        return _r2(y, guess)
    table = np.zeros((len(levels), classes))
    np.add.at(table, (code, y), 1)
    votes = table[code]
    votes[np.arange(len(y)), y] -= 1
    return _balanced(y, np.where(votes.any(axis=1), votes.argmax(axis=1), -1))


def _by_neighbours(values: np.ndarray, y: np.ndarray, *, classes: int) -> float:
    order = np.argsort(values, kind="stable")
    x, target = values[order], y[order]
    gap = np.diff(x)
    left, right = np.append(np.inf, gap), np.append(gap, np.inf)
    before, after = np.append(target[:1], target[:-1]), np.append(target[1:], target[-1:])
    if classes:
        return _balanced(target, np.where(left < right, before, after))
    guess = np.where(np.isinf(left), after, np.where(np.isinf(right), before, (before + after) / 2))
    return _r2(target, guess)


def _balanced(y: np.ndarray, guess: np.ndarray) -> float:
    counts = np.bincount(y)
    right = np.bincount(y, weights=guess == y)
    return float((right[counts > 0] / counts[counts > 0]).mean())


def _r2(y: np.ndarray, guess: np.ndarray) -> float:
    spread = float(np.square(y - y.mean()).sum())
    return 1 - float(np.square(y - guess).sum()) / spread if spread else 0.0


def _is_running_number(column: Column) -> bool:
    """Return whether the column numbers the rows: whole, all different, hardly any left out."""
    if column.kind != "numeric" or len(column.values) < NUMBERED:
        return False
    mean, std = column.scale
    raw = column.values * std + mean
    whole = np.rint(raw)
    if np.isnan(raw).any() or np.abs(raw - whole).max() > max(1e-4, 4e-7 * np.abs(raw).max()):
        return False
    return len(np.unique(whole)) == len(whole) and np.ptp(whole) < 1.1 * len(whole)


def _constant(names: list[str]) -> Iterator[Concern]:
    if names:
        yield Concern(
            kind="constant-columns",
            severity="note",
            en=f"Columns with a single value in the training part: {listed(names)}; nothing can "
            "be learned from them: remove them or divide otherwise.",
            zh=f"以下列在训练部分只有一个取值：{listed(names)}，学不到任何东西；"
            "请删除或换一种划分。",
            where=tuple(names[:10]),
        )


def _numbered(dataset: Dataset, columns: list[Column], groups: np.ndarray) -> Iterator[Concern]:
    if not columns:
        return
    names = [column.name for column in columns]
    yield Concern(
        kind="numbered-rows",
        severity="warning",
        en=f"Columns that number the rows: {listed(names)}; a model may learn the order of the "
        "file: remove them.",
        zh=f"以下列是行号：{listed(names)}，模型可能会学到文件的顺序；请删除。",
        where=tuple(names[:10]),
    )
    rest = np.delete(dataset.x, [at for c in columns for at in range(c.at, c.at + c.width)], axis=1)
    if not rest.shape[1]:
        return
    alike = groups_of(np.ascontiguousarray(rest))
    known = np.concatenate([dataset.train, dataset.val])
    test = dataset.test[np.isin(alike[dataset.test], alike[known])]
    found = test[~np.isin(groups[test], groups[known])]
    if len(found) and len(np.unique(alike)) > 0.5 * len(alike):
        yield Concern(
            kind="copies-but-for-number",
            severity="warning",
            en=f"Test rows that equal a training or validation row in all but {listed(names)}: "
            f"{len(found):,} of {len(dataset.test):,}; remove that column, then copies stay on "
            "one side.",
            zh=f"{len(dataset.test):,} 个测试行中有 {len(found):,} 行除 {listed(names)} "
            "外与训练或验证行完全相同；删除该列后，相同的行会放在划分的同一侧。",
            where=named_ids(dataset, found),
        )


def _telling(dataset: Dataset, found: list[tuple[str, float]]) -> Iterator[Concern]:
    what = ("balanced accuracy", "平衡准确率") if dataset.classes else ("R²", "R²")
    for name, score in sorted(found, key=lambda pair: -pair[1])[:10]:
        yield Concern(
            kind="column-gives-target-away",
            severity="warning",
            en=f"The column {shown(name)!r} alone predicts the target with {what[0]} {score:.3f}; "
            "make sure that it is known before the target is, or remove it.",
            zh=f"仅凭列 {shown(name)!r} 即可预测目标（{what[1]} {score:.3f}）；"
            "请确认它在目标之前已知，否则请删除。",
            where=(name,),
        )


def _nearly_same(dataset: Dataset, groups: np.ndarray) -> Iterator[Concern]:
    used = np.concatenate([dataset.train, dataset.val])
    close, wider = near_rows(dataset.x, test=dataset.test, others=used)
    close = close[groups[close[:, 0]] != groups[close[:, 1]]]
    if len(close) < 3 or len(close) < 0.6 * wider:
        return
    found = np.unique(close[:, 0])
    first = close[np.unique(close[:, 0], return_index=True)[1]]
    names = zip(named_ids(dataset, first[:, 0]), named_ids(dataset, first[:, 1]), strict=True)
    yield Concern(
        kind="nearly-same-rows-across-parts",
        severity="warning",
        en=f"Test rows that differ from a training or validation row by less than {CLOSE:g} "
        f"standard deviations in every column: {len(found):,} of {len(dataset.test):,}; leave "
        "them out if they are copies.",
        zh=f"{len(dataset.test):,} 个测试行中有 {len(found):,} 行在每一列上与某个训练或验证行"
        f"相差不到 {CLOSE:g} 个标准差；若为副本请删除。",
        where=tuple(f"{a} = {b}" for a, b in names),
    )


def near_rows(x: np.ndarray, *, test: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, int]:
    """Return pairs (test row, other row) that are nearly the same, and how many are within 4 times.

    Among different rows of d dimensions, 4 times the distance holds about 4**d times the pairs;
    copies with a little noise are as many at both. That tells copies from crowding. Rows meet in
    the cells of random projections, so that the work grows with the rows, not with the pairs.

    Args:
        x: Encoded rows (N, F) float32.
        test: Indices of one side.
        others: Indices of the other side.
    """
    used = np.concatenate([test, others])
    side = np.repeat([1, 2], [len(test), len(others)])
    generator, found = np.random.default_rng(0), []
    for _ in range(TABLES):
        keys = _cells(x, used, generator)
        order = np.argsort(keys, kind="stable")
        for off in range(1, NEAR + 1):
            a, b = order[:-off], order[off:]
            met = (keys[a] == keys[b]) & (side[a] != side[b])
            a, b = a[met], b[met]
            swap = side[a] == 2
            found.append(np.where(swap, b, a) * len(used) + np.where(swap, a, b))
    pairs = np.unique(np.concatenate(found))
    a, b = used[pairs // len(used)], used[pairs % len(used)]
    apart = np.empty(len(a), np.float32)
    step = max(1, 2**22 // x.shape[1])
    for start in range(0, len(a), step):
        here = slice(start, start + step)
        apart[here] = np.abs(x[a[here]] - x[b[here]]).max(axis=1)
    different = apart > 0
    close, wider = different & (apart <= CLOSE), different & (apart <= 4 * CLOSE)
    return np.stack([a[close], b[close]], axis=1), int(wider.sum())


def _cells(x: np.ndarray, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return one number for each row, equal for rows whose projections fall into one cell."""
    directions = generator.normal(size=(x.shape[1], PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    offsets = generator.random(PROJECTIONS)
    mixers = generator.integers(1, 2**63, PROJECTIONS, dtype=np.uint64) | np.uint64(1)
    keys = np.empty(len(rows), np.uint64)
    step = max(1, 2**22 // x.shape[1])
    for start in range(0, len(rows), step):
        here = slice(start, start + step)
        places = np.floor(x[rows[here]] @ directions.astype(np.float32) / CELL + offsets)
        mixed = places.astype(np.int64).astype(np.uint64) * mixers
        keys[here] = (mixed ^ (mixed >> np.uint64(29))).sum(axis=1, dtype=np.uint64)
    return keys
