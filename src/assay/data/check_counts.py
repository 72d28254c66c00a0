"""Classes with too few examples to learn or to judge, and classes that outnumber the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.data.concern import Concern
from assay.data.dataset import PARTS, Dataset
from assay.data.names import shown

LEAST_TRAIN, LEAST_TEST = 10, 5  # examples of a class, to learn it and to judge it
UNEQUAL = 10  # the largest class has so many times the examples of the smallest
MOST = 0.8  # share of the largest class
_PART = {"train": "训练", "val": "验证", "test": "测试"}


def counts_that_mislead(dataset: Dataset) -> Iterator[Concern]:
    """Yield what is wrong with the numbers of examples; nothing for a regression."""
    if not dataset.classes:
        return
    counts = {
        part: np.bincount(dataset.y[getattr(dataset, part)], minlength=len(dataset.classes))
        for part in PARTS
    }
    yield from _absent(dataset, counts)
    yield from _tiny(dataset, counts)
    yield from _unequal(dataset, counts["train"])


def _absent(dataset: Dataset, counts: dict[str, np.ndarray]) -> Iterator[Concern]:
    for part, found in counts.items():
        absent = np.flatnonzero(found == 0)
        if len(absent):
            names, zh = _with_counts(dataset, absent, None)
            yield Concern(
                kind="class-absent",
                severity="warning",
                en=f"Classes without an example in the {part} part: {len(absent)} ({names}); "
                "nothing can be said of them there: divide otherwise or add examples.",
                zh=f"有 {len(absent)} 个类别在{_PART[part]}部分没有样本（{zh}），无法评判；"
                "请换一种划分或增加样本。",
                where=tuple(dataset.classes[at] for at in absent[:10]),
            )


def _tiny(dataset: Dataset, counts: dict[str, np.ndarray]) -> Iterator[Concern]:
    train, test = counts["train"], counts["test"]
    tiny = (train < LEAST_TRAIN) | (test < LEAST_TEST)
    tiny &= (train > 0) & (test > 0)
    if tiny.any():
        places = np.flatnonzero(tiny)
        names, zh = _with_counts(dataset, places, train + test)
        yield Concern(
            kind="tiny-classes",
            severity="warning",
            en=f"Classes with fewer than {LEAST_TRAIN} training or {LEAST_TEST} test examples: "
            f"{len(places)} ({names}); what is measured of them is chance: add examples or join "
            "classes.",
            zh=f"有 {len(places)} 个类别的训练样本少于 {LEAST_TRAIN} 个或测试样本少于 {LEAST_TEST} "
            f"个（{zh}），其测量结果多属偶然；请增加样本或合并类别。",
            where=tuple(dataset.classes[at] for at in places[:10]),
        )


def _unequal(dataset: Dataset, train: np.ndarray) -> Iterator[Concern]:
    most, least = int(np.argmax(train)), int(np.argmin(np.where(train, train, train.max())))
    share = train[most] / train.sum()
    if train[most] < UNEQUAL * train[least] and share < MOST:
        return
    names = [shown(dataset.classes[at]) for at in (most, least)]
    yield Concern(
        kind="unequal-classes",
        severity="warning" if share >= MOST else "note",
        en=f"The largest class, {names[0]!r}, has {train[most]:,} training examples and the "
        f"smallest, {names[1]!r}, {train[least]:,}; always answering {names[0]!r} is right in "
        f"{share:.1%} of them: read balanced accuracy or the class-wise table.",
        zh=f"最大的类别 {names[0]!r} 有 {train[most]:,} 个训练样本，最小的 {names[1]!r} 有 "
        f"{train[least]:,} 个；总回答 {names[0]!r} 即有 {share:.1%} 正确；"
        "请看平衡准确率或分类别表格。",
        where=(dataset.classes[most], dataset.classes[least]),
    )


def _with_counts(
    dataset: Dataset, places: np.ndarray, counts: np.ndarray | None, most: int = 5
) -> tuple[str, str]:
    """Return the first names with their counts, in both languages."""
    parts = [
        repr(shown(dataset.classes[at])) + ("" if counts is None else f": {counts[at]:,}")
        for at in places[:most]
    ]
    more = len(places) - most
    en = ", ".join(parts) + (f" and {more} more" if more > 0 else "")
    return en, "、".join(parts) + (f" 等 {len(places)} 个" if more > 0 else "")
