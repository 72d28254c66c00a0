"""Texts that are nearly the same on both sides, cut, unknown to the tokenizer, or no writing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from assay.data.check_counts import LEAST_TRAIN
from assay.data.check_division import named_ids
from assay.data.check_drift import drift
from assay.data.concern import Concern
from assay.data.dataset import TASKS, Dataset
from assay.data.names import shown
from assay.data.tokenizer import Tokenizer, open_tokenizer
from assay.data.tokens import PAD, UNKNOWN

CUT, MOSTLY_CUT = 0.05, 0.25  # share of the examples that are cut: note, warning
UNKNOWN_SHARE = 0.01  # of the test part's tokens
EMPTY = 0.05  # share of the examples without a letter
WINDOW = 32  # tokens of running text that are looked up in the training part
REPEATED, MOSTLY_REPEATED = 0.05, 0.25  # share of the test windows found there: note, warning
MOST_TEXTS = 200_000  # more are not decoded
_LETTERS = re.compile(r"[^\W_]+")


def texts_that_mislead(dataset: Dataset, groups: np.ndarray) -> Iterator[Concern]:
    """Yield what is wrong with a data set of tokens.

    Args:
        dataset: Of tokens.
        groups: Equal numbers mark identical examples, which are told of elsewhere.
    """
    yield from _unknown(dataset)
    running = dataset.task in ("language-modeling", "masked-language-modeling")
    if running:
        yield from _repeated(dataset)
        return
    yield from _cut(dataset)
    if TASKS[dataset.task].answers == "labels":
        yield from _rare_tags(dataset)
    if len(dataset.x) <= MOST_TEXTS:
        words = _words(dataset)
        if dataset.source != "built in":  # a probe has words of its own
            yield from _without_words(dataset, words)
        if dataset.task == "text-classification":
            yield from _nearly_same(dataset, words, groups)
    yield from drift(dataset, _facts(dataset.x), groups)


def _words(dataset: Dataset) -> list[str]:
    """Return each text's letters and digits alone, in small letters."""
    tokenizer = open_tokenizer(dataset.preprocessing["tokenizer"])
    return ["".join(_LETTERS.findall(text)).casefold() for text in _decoded(dataset, tokenizer)]


def _decoded(dataset: Dataset, tokenizer: Tokenizer) -> Iterator[str]:
    for row in dataset.x:
        yield tokenizer.decode(row[row != PAD].tolist())


def _facts(x: np.ndarray) -> Mapping[str, np.ndarray]:
    lengths = (x != PAD).sum(axis=1)
    unknown = (x == UNKNOWN).sum(axis=1) / np.maximum(lengths, 1)
    return {"length in tokens": lengths.astype(float), "share of unknown tokens": unknown}


def _unknown(dataset: Dataset) -> Iterator[Concern]:
    test = dataset.x[dataset.test]
    share = float((test == UNKNOWN).sum() / max(1, (test != PAD).sum()))
    if share > UNKNOWN_SHARE:
        yield Concern(
            kind="unknown-tokens",
            severity="note",
            en=f"Tokens of the test part that the training part never showed: {share:.1%}; "
            "--tokenizer bpe knows every text, or --vocabulary allows more.",
            zh=f"测试部分有 {share:.1%} 的词元在训练部分从未出现；可改用 --tokenizer bpe，"
            "或用 --vocabulary 增大词表。",
        )


def _cut(dataset: Dataset) -> Iterator[Concern]:
    if dataset.preprocessing.get("whole"):  # made to fit
        return
    cut = int(dataset.preprocessing.get("cut", 0))
    share = cut / len(dataset.x)
    if share > CUT:
        length = dataset.x.shape[1]
        yield Concern(
            kind="texts-cut",
            severity="warning" if share > MOSTLY_CUT else "note",
            en=f"Examples whose ends are cut to fit {length:,} tokens: {cut:,} ({share:.1%}); what "
            "is learnt does not know them: --length keeps more.",
            zh=f"有 {cut:,} 个样本（{share:.1%}）的结尾被截断以放入 {length:,} 个词元，"
            "模型看不到被截去的部分；可用 --length 保留更多。",
        )


def _without_words(dataset: Dataset, words: Sequence[str]) -> Iterator[Concern]:
    empty = np.flatnonzero([not text for text in words])
    if len(empty) > EMPTY * len(words):
        yield Concern(
            kind="texts-without-words",
            severity="warning",
            en=f"Texts without a letter or digit: {len(empty):,} of {len(words):,}; make sure that "
            "the text is in the column that was chosen.",
            zh=f"{len(words):,} 条文本中有 {len(empty):,} 条不含任何文字或数字；"
            "请确认所选的列就是文本。",
            where=named_ids(dataset, empty),
        )


def _nearly_same(dataset: Dataset, words: Sequence[str], groups: np.ndarray) -> Iterator[Concern]:
    known = {words[at]: at for part in (dataset.val, dataset.train) for at in part.tolist()}
    pairs = [
        (at, known[words[at]])
        for at in dataset.test.tolist()
        if words[at] and words[at] in known and groups[at] != groups[known[words[at]]]
    ]
    if pairs:
        test, other = (np.array(side) for side in zip(*pairs, strict=True))
        names = zip(named_ids(dataset, test), named_ids(dataset, other), strict=True)
        yield Concern(
            kind="nearly-same-texts-across-parts",
            severity="warning" if len(pairs) > CUT * len(dataset.test) else "note",
            en="Test texts that equal a training or validation text but for punctuation, case or "
            f"spaces: {len(pairs):,} of {len(dataset.test):,}; leave them out if they are copies.",
            zh=f"{len(dataset.test):,} 条测试文本中有 {len(pairs):,} 条与某条训练或验证文本仅在"
            "标点、大小写或空白上不同；若为副本请删除。",
            where=tuple(f"{a} = {b}" for a, b in names),
        )


def _rare_tags(dataset: Dataset) -> Iterator[Concern]:
    y = dataset.y[dataset.train]
    counts = np.bincount(y[y >= 0], minlength=len(dataset.classes))
    rare = np.flatnonzero(counts < LEAST_TRAIN)
    if len(rare):
        names = [f"{shown(dataset.classes[at])!r}: {counts[at]:,}" for at in rare[:5]]
        more = len(rare) - 5
        en = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        zh = "、".join(names) + (f" 等 {len(rare)} 个" if more > 0 else "")
        yield Concern(
            kind="rare-tags",
            severity="note",
            en=f"Tags of fewer than {LEAST_TRAIN} training words: {len(rare)} ({en}); they can "
            "hardly be learnt: add sentences or join tags.",
            zh=f"有 {len(rare)} 个标签的训练词少于 {LEAST_TRAIN} 个（{zh}），很难学会；"
            "请增加句子或合并标签。",
            where=tuple(dataset.classes[at] for at in rare[:10]),
        )


def _repeated(dataset: Dataset) -> Iterator[Concern]:
    if dataset.x.shape[1] < WINDOW:
        return
    train = _windows(dataset.x[dataset.train])
    test = _windows(dataset.x[dataset.test])[:, ::WINDOW]
    whole = (dataset.x[dataset.test] != PAD)[:, WINDOW - 1 :: WINDOW][:, : test.shape[1]]
    found = np.isin(test, train) & whole
    share = float(found.sum() / max(1, whole.sum()))
    if share > REPEATED:
        rows = dataset.test[found.any(axis=1)]
        yield Concern(
            kind="text-repeated-across-parts",
            severity="warning" if share > MOSTLY_REPEATED else "note",
            en=f"Stretches of {WINDOW} tokens of the test part that the training part has too: "
            f"{share:.1%}; they reward remembering: take repeated text out.",
            zh=f"测试部分中有 {share:.1%} 的片段（每段 {WINDOW} 个词元）也出现在训练部分，"
            "会奖励死记硬背；请去掉重复的文本。",
            where=named_ids(dataset, rows),
        )


def _windows(x: np.ndarray) -> np.ndarray:
    """Return a number for the `WINDOW` tokens from each place on, equal for equal ones.

    Shape:
        (N, T) int32 -> (N, T - WINDOW + 1) uint64
    """
    hashed = x.astype(np.uint64) + np.uint64(1)
    width, factor = 1, np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        while width < WINDOW:
            hashed = hashed[:, :-width] * factor + hashed[:, width:]
            width, factor = 2 * width, factor * factor
    return hashed
