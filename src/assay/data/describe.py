"""What was recognised, in a line or two for the terminal."""

from __future__ import annotations

from typing import Literal

from assay.data.dataset import TASKS, Dataset

_KINDS = {
    "image": ("images", "张图像"),
    "sequence": ("sequences", "条序列"),
    "tokens": ("token sequences", "条词元序列"),
    "table": ("rows", "行"),
}


def describe(dataset: Dataset, lang: Literal["en", "zh"] = "en") -> str:
    """Return what the data was recognised as, its division, and the notes, a line each."""
    zh = lang == "zh"
    kind, facts = _KINDS[dataset.kind][zh], TASKS[dataset.task]
    task = facts.zh if zh else facts.en
    shape = "x".join(map(str, dataset.inputs))
    count, many = len(dataset.x), len(dataset.classes)
    parts = len(dataset.train), len(dataset.val), len(dataset.test)
    if dataset.kind == "tokens":
        length, vocabulary = dataset.inputs
        shape = f"≤ {length} 个词元，词表 {vocabulary}" if zh else f"≤ {length} out of {vocabulary}"
    if zh:
        classes = f"，{many} 类" if many else ""
        first = (
            f"识别为：{task}{classes}，{count} {kind}（每个 {shape}）；"
            f"训练 {parts[0]} / 验证 {parts[1]} / 测试 {parts[2]}"
        )
    else:
        classes = f", {many} classes" if many else ""
        first = (
            f"recognised: {task}{classes}, {count} {kind} of {shape}; "
            f"train {parts[0]} / val {parts[1]} / test {parts[2]}"
        )
    return "\n".join(
        [first, *(f"note: {n['en']}" if not zh else f"注：{n['zh']}" for n in dataset.notes)]
    )
