"""What people call the columns that hold a text and its label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

TEXTS = ("text", "sentence", "review", "content", "comment", "message", "body", "document", "tweet")
TEXTS_ZH = ("文本", "内容", "评论", "句子", "正文")
LABELS = ("label", "class", "category", "sentiment", "target", "intent", "topic", "标签", "类别")


def by_name(columns: Iterable[Any], names: Sequence[str]) -> str | None:
    """Return the first column with one of these names, whatever its case.

    Args:
        columns: To choose from.
        names: In order of preference, in small letters.
    """
    by_name = {str(column).strip().lower(): str(column) for column in reversed(list(columns))}
    return next((by_name[name] for name in names if name in by_name), None)
