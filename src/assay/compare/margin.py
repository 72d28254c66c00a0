"""`--margin 0.3%`: how much of the score a cheaper candidate may cost."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from assay.errors import BadArgumentError

POINTS = 0.003  # of a share such as accuracy, where nothing else is asked for
PART = 0.01  # of the best score, for every other metric

_FORM = re.compile(r"\s*([0-9.]+(?:e[-+]?[0-9]+)?)\s*(%?)\s*", re.I)


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How far below the best mean a recommended candidate may be.

    Attributes:
        value: In the metric's unit, or a part of the best score; at least 0.
        relative: Whether it is a part of the best score.
        share: Whether the metric is a fraction, shown in percent.
    """

    value: float
    relative: bool = False
    share: bool = False

    def of(self, best: float) -> float:
        """Return the margin in the metric's unit, beside the best score."""
        return self.value * abs(best) if self.relative else self.value

    def words(self, lang: Literal["en", "zh"]) -> str:
        """Return the margin as people read it: "0.3 points", "1%"."""
        if self.share:
            points = f"{100 * self.value:g}"
            unit = "point" if points == "1" else "points"
            return f"{points} {unit if lang == 'en' else '个百分点'}"
        return f"{100 * self.value:g}%" if self.relative else f"{self.value:g}"


def margin_for(asked: str | float | None, *, share: bool) -> Margin:
    """Return the margin that was asked for.

    Args:
        asked: "0.3%" is 0.3 points of a share, and 0.3 % of the best score of any other metric; a
            number without a sign is in the metric's unit; None is the default.
        share: Whether the metric is a fraction, such as accuracy; see `Metric.share`.

    Raises:
        BadArgumentError: It is no such text or number.

    Example:
        >>> margin_for("0.3%", share=True).words("en")
        '0.3 points'
    """
    if asked is None:
        return Margin(value=POINTS if share else PART, relative=not share, share=share)
    value, percent = check_margin(asked)
    if share and value > 1:
        raise BadArgumentError(
            "`margin` must be at most 1, or 100%, where the metric is a share such as accuracy. "
            f"Received margin={asked!r}; a percent sign makes it points, as in 0.3%."
        )
    return Margin(value=value, relative=percent and not share, share=share)


def check_margin(asked: str | float) -> tuple[float, bool]:
    """Return the number that a margin states, a percentage over 100, and whether it is one.

    Raises:
        BadArgumentError: It states none.
    """
    match = None if isinstance(asked, bool) else _FORM.fullmatch(str(asked))
    try:
        value = float(match[1]) if match else math.nan
    except ValueError:  # such as 1.2.3
        value = math.nan
    if match is None or not math.isfinite(value):
        raise BadArgumentError(
            "`margin` must be a percentage such as 0.3%, or a number of at least 0 in the metric's "
            f"unit such as 0.003. Received margin={asked!r}; leave it out for {100 * POINTS:g} "
            f"points of a share such as accuracy and {100 * PART:g}% of any other score."
        )
    return (value / 100, True) if match[2] else (value, False)
