"""What can be asked of data: what one example is, and what an answer to it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal[
    "image-classification",
    "sequence-classification",
    "sequence-regression",
    "text-classification",
    "token-classification",
    "language-modeling",
    "masked-language-modeling",
    "text-to-text",
    "forecasting",
    "tabular-classification",
    "tabular-regression",
]
Reads = Literal["image", "sequence", "tokens", "table"]
Answers = Literal["label", "value", "values", "labels", "tokens"]


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """One task.

    Attributes:
        name: As `--task` takes it.
        en: What people call it.
        zh: The same in Chinese.
        reads: One example: an image (C, H, W), a sequence of vectors (T, F), tokens (T out of a
            vocabulary of V, written (T, V)), or a row of a table (F,).
        answers: One answer: a label, a value, several values, a label for each token, or a token
            for each token.
    """

    name: Task
    en: str
    zh: str
    reads: Reads
    answers: Answers

    @property
    def labels(self) -> bool:
        """Whether one answer is one of the classes."""
        return self.answers == "label"

    @property
    def sums(self) -> bool:
        """Whether an example has many answers, of which sums are kept: see `metrics.tokens`."""
        return self.answers in ("labels", "tokens")


_ALL = (
    TaskFacts(
        name="image-classification",
        en="image classification",
        zh="图像分类",
        reads="image",
        answers="label",
    ),
    TaskFacts(
        name="sequence-classification",
        en="sequence classification",
        zh="序列分类",
        reads="sequence",
        answers="label",
    ),
    TaskFacts(
        name="sequence-regression",
        en="sequence regression",
        zh="序列回归",
        reads="sequence",
        answers="value",
    ),
    TaskFacts(
        name="text-classification",
        en="text classification",
        zh="文本分类",
        reads="tokens",
        answers="label",
    ),
    TaskFacts(
        name="token-classification",
        en="token classification (tagging)",
        zh="词元分类（序列标注）",
        reads="tokens",
        answers="labels",
    ),
    TaskFacts(
        name="language-modeling",
        en="language modeling",
        zh="语言建模",
        reads="tokens",
        answers="tokens",
    ),
    TaskFacts(
        name="masked-language-modeling",
        en="masked language modeling",
        zh="掩码语言建模",
        reads="tokens",
        answers="tokens",
    ),
    TaskFacts(
        name="text-to-text",
        en="text to text",
        zh="文本到文本",
        reads="tokens",
        answers="tokens",
    ),
    TaskFacts(
        name="forecasting",
        en="time-series forecasting",
        zh="时间序列预测",
        reads="sequence",
        answers="values",
    ),
    TaskFacts(
        name="tabular-classification",
        en="tabular classification",
        zh="表格分类",
        reads="table",
        answers="label",
    ),
    TaskFacts(
        name="tabular-regression",
        en="tabular regression",
        zh="表格回归",
        reads="table",
        answers="value",
    ),
)
TASKS: Mapping[Task, TaskFacts] = {task.name: task for task in _ALL}
