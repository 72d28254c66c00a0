"""Class names that look like one class written twice, or like no class at all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from unicodedata import normalize

import numpy as np

from assay.data.concern import Concern
from assay.data.dataset import Dataset
from assay.data.labels import FEW
from assay.data.names import listed, shown

SHORTEST = 4  # letters of a name in which one wrong letter is looked for
RARE = 0.15  # a misspelling has at most this share of the examples of the name it is taken for
MISSING = frozenset({"?", "-", "--", "nan", "n/a", "na", "#n/a", "null", "missing", "undefined"})
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
MEASURE = re.compile(r"\W*\d[\d.,' ]*(\s*(\w{1,3}|%|[^\w\s]))?\Z")  # 12 kg, $5, 1,5


def names_that_mislead(dataset: Dataset) -> Iterator[Concern]:
    """Yield what is wrong with the class names; nothing for a regression."""
    names = dataset.classes
    if not names:
        return
    counts = np.bincount(dataset.y, minlength=len(names))
    yield from _empty(names)
    yield from _missing(names, counts)
    yield from _written_twice(names, counts)
    yield from _misspelt(names, counts)
    yield from _measures(dataset)


def _empty(names: Sequence[str]) -> Iterator[Concern]:
    empty = [name for name in names if not name.replace("\\u200b", "").strip()]
    if empty:
        yield Concern(
            kind="empty-class-name",
            severity="warning",
            en=f"Classes without a name: {len(empty)}; it may be a missing label. Name the class "
            "or remove its examples.",
            zh=f"有 {len(empty)} 个类别没有名称，可能是缺失的标签；请命名或删除这些样本。",
            where=tuple(empty),
        )


def _missing(names: Sequence[str], counts: np.ndarray) -> Iterator[Concern]:
    for at, name in enumerate(names):
        if name.strip().casefold() in MISSING and not {"+", "-"} <= set(names):
            yield Concern(
                kind="class-of-missing-labels",
                severity="warning",
                en=f"The class {shown(name)!r} ({counts[at]:,} examples) looks like a missing "
                "label; remove its examples unless it is meant.",
                zh=f"类别 {shown(name)!r}（{counts[at]:,} 个样本）像是缺失的标签；"
                "若非有意，请删除这些样本。",
                where=(name,),
            )


def _written_twice(names: Sequence[str], counts: np.ndarray) -> Iterator[Concern]:
    alike = defaultdict(list)
    for at, name in enumerate(names):
        alike[_plain(name)].append(at)
    for places in alike.values():
        if len(places) > 1:
            found = [names[at] for at in places]
            many = ", ".join(f"{counts[at]:,}" for at in places)
            yield Concern(
                kind="class-written-twice",
                severity="warning",
                en=f"The classes {listed(found)} ({many} examples) differ only in case, spaces, "
                "Unicode form or how a number is written; each counts as a class: give them one "
                "name if they are one.",
                zh=f"类别 {listed(found)}（{many} 个样本）仅在大小写、空格、Unicode 形式或数字写法"
                "上不同，却各算一类；若为同一类，请统一名称。",
                where=tuple(found),
            )


def _plain(name: str) -> str | float:
    """Return what is left of a name without case, spaces and Unicode form; a number as such.

    A single letter keeps its case: A and a are two classes of handwriting.
    """
    text = normalize("NFKC", name).strip()
    if NUMBER.match(text):
        return float(text)
    if len(text) == 1:
        return text
    text = re.sub(r"[\s_\u200b]+|-(?=\D)|\\u200b", " ", text.casefold()).strip()
    return re.sub(r"(?<!\d) | (?!\d)", "", text)


def _misspelt(names: Sequence[str], counts: np.ndarray) -> Iterator[Concern]:
    for rare, common in _one_edit_apart(names, counts):
        yield Concern(
            kind="class-misspelt",
            severity="warning",
            en=f"The class {shown(names[rare])!r} ({counts[rare]:,} examples) is one letter from "
            f"{shown(names[common])!r} ({counts[common]:,}); correct it if it is a misspelling.",
            zh=f"类别 {shown(names[rare])!r}（{counts[rare]:,} 个样本）与 "
            f"{shown(names[common])!r}（{counts[common]:,} 个）只差一个字母；若为笔误，请更正。",
            where=(names[rare], names[common]),
        )


def _one_edit_apart(names: Sequence[str], counts: np.ndarray) -> list[tuple[int, int]]:
    """Return (rare, common) pairs whose names are one insertion, deletion or exchange apart.

    Names meet in the buckets of what is left of them when a letter is taken out, so that
    the work grows with the letters, not with the pairs. Digits are no letters: class1, class2.
    """
    plain = [str(_plain(name)) for name in names]
    buckets = defaultdict(set)
    for at, text in enumerate(plain):
        if len(text) >= SHORTEST and not NUMBER.match(text):
            for left in {text, *(text[:i] + text[i + 1 :] for i in range(len(text)))}:
                buckets[left].add(at)
    pairs = set()
    for met in buckets.values():
        if len(met) > 1:
            common = max(met, key=lambda at: counts[at])
            rare = (at for at in met if counts[at] <= RARE * counts[common])
            pairs |= {(at, common) for at in rare if _is_one_edit(plain[at], plain[common])}
    return sorted(pairs)


def _is_one_edit(a: str, b: str) -> bool:
    """Return whether one letter was added, left out, replaced, or two neighbours exchanged."""
    if a == b:
        return False
    a, b = sorted((a, b), key=len)
    start = next((i for i, (p, q) in enumerate(zip(a, b, strict=False)) if p != q), len(a))
    if {a[start : start + 1], b[start : start + 1]} & set("0123456789"):
        return False
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    exchanged = a[start : start + 2] == b[start : start + 2][::-1]
    return a[start + 1 :] == b[start + 1 :] or (exchanged and a[start + 2 :] == b[start + 2 :])


def _measures(dataset: Dataset) -> Iterator[Concern]:
    names = dataset.classes
    if dataset.kind != "table" or len(names) <= FEW:
        return
    text = [name for name in names if not NUMBER.match(name)]
    if text and all(MEASURE.match(name) for name in names):
        yield Concern(
            kind="numbers-read-as-classes",
            severity="warning",
            en=f"The {len(names):,} classes look like numbers that were read as text, such as "
            f"{listed(text, most=3)}; write plain numbers to predict them as values.",
            zh=f"{len(names):,} 个类别像是被读成文本的数字，例如 {listed(text, most=3)}；"
            "若要作为数值预测，请写成纯数字。",
            where=tuple(text[:10]),
        )
