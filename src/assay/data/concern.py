"""What a reader should know before trusting a result: of the data, or of how a trial went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Concern:
    """One thing that was noticed.

    Attributes:
        kind: What was looked for, such as "duplicates-across-parts"; one word with hyphens.
        severity: "note" explains, "warning" may change the verdict, "error" makes it void.
        en: One sentence with the numbers, and what to do.
        zh: The same in Chinese.
        where: Names of examples, columns or trials, a few of them.
    """

    kind: str
    severity: Literal["note", "warning", "error"]
    en: str
    zh: str
    where: tuple[str, ...] = ()
