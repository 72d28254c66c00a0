"""A finished study in the terminal: the ranking, then the sentence that matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from assay.canon.idea import WITHOUT
from assay.compare.result import CandidateResult, StudyResult
from assay.report import charts, figures
from assay.report.codec import clean
from assay.report.figures import scores_of
from assay.report.text import Words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_SHOWN = 20  # rows
_TOLD = 8  # failed trials
_REASON = 240  # letters of a reason
_STRIP = 21  # columns of the drawn interval
_GAP = 2  # columns between two columns
_LEAVING = ("artifact", "memory", "strip", "train_time", "parameters", "versus", "interval")
_STYLES = {"better": "green", "worse": "red", "not distinguishable": ""}


@dataclass(frozen=True)
class _Column:
    """One column of the ranking, whole: how wide it is decides whether there is room for it."""

    key: str
    head: str
    cells: Sequence[Text]
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        from rich.cells import cell_len

        return max([cell_len(self.head), *(cell.cell_len for cell in self.cells)])


def print_result(console: Console, result: StudyResult, lang: Literal["en", "zh"] = "en") -> None:
    """Print the ranking, what failed, the recommendation and where the report is."""
    from rich.text import Text

    t = Words(lang)
    console.print()
    console.print(ranking_table(result, lang, width=console.width))
    hidden = len(result.candidates) - _SHOWN
    if hidden > 0:
        console.print(Text(t("more_rows", count=hidden), style="dim"))
    _print_failures(console, result, t)
    console.print()
    console.print(Text(clean(t.of(result.recommendation.why)), style="bold"))
    console.print(Text(_how_long(result, t), style="dim"))
    where = clean(f"{result.folder}/report.html")
    console.print(Text(f"{t('report_at')}: {where}"), soft_wrap=True)


def ranking_table(
    result: StudyResult, lang: Literal["en", "zh"] = "en", *, width: int = 80
) -> Table:
    """Return the ranking as a table; what there is no room for is left to the report.

    Args:
        result: What the study found.
        lang: en or zh.
        width: Columns of the terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0),
        header_style="dim", collapse_padding=True,
    )  # fmt: skip
    columns = _that_fit(_columns(result, Words(lang), width), width)
    for column in columns:
        table.add_column(column.head, justify=column.justify, no_wrap=True, overflow="ellipsis")
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _that_fit(columns: Sequence[_Column], width: int) -> list[_Column]:
    """Leave columns out, the least needed first, until the table is no wider than the terminal."""
    kept = list(columns)
    for key in _LEAVING:
        if sum(column.width + _GAP for column in kept) - _GAP <= width:
            break
        kept = [column for column in kept if column.key != key]
    return kept


def _columns(result: StudyResult, t: Words, width: int) -> list[_Column]:
    from rich.text import Text

    score, n = scores_of(result), figures
    shown = result.candidates[:_SHOWN]
    verdicts = charts.versus(result)
    bold = ["bold" if c.recommended else "" for c in shown]

    def column(key: str, head: str, texts: Sequence[str], *, left: bool = False) -> _Column:
        cells = [Text(text, style=style) for text, style in zip(texts, bold, strict=True)]
        return _Column(key, head, cells, "left" if left else "right")

    low, high = figures.span(
        end for c in shown if c.score for end in (c.score.low, c.score.high, c.score.mean)
    )
    costs = [
        column(key, t(head), [_cost(c, field, how) for c in shown])
        for key, head, field, how in (
            ("latency", "latency", "latency_p50_ms", n.milliseconds),
            ("parameters", "parameters_short", "parameters", n.count),
            ("memory", "memory", "peak_memory_bytes", n.size),
            ("artifact", "artifact", "artifact_bytes", n.size),
        )
    ]
    head = t.label(result.metric)
    return [
        column("rank", "#", [str(c.rank) if c.score else n.MISSING for c in shown]),
        column(
            "candidate", t("candidate"), [short_name(c.name, width // 4) for c in shown], left=True
        ),
        column("score", head[:1].upper() + head[1:], [score(_mean(c)) for c in shown]),
        column("interval", t("interval"), [score.interval(c.score) for c in shown], left=True),
        _Column("strip", "", [_strip(c, low, high) for c in shown], "left"),
        _Column("versus", t("verdict"), [_versus(c, verdicts, t) for c in shown], "left"),
        *costs,
        column("train_time", t("train_time"), [_time(c) for c in shown]),
    ]


def _mean(c: CandidateResult) -> float | None:
    return c.score.mean if c.score else None


def _time(c: CandidateResult) -> str:
    return figures.duration(c.train_seconds if c.score else None)


def _cost(c: CandidateResult, field: str, how: Any) -> str:
    return str(how(getattr(c.cost, field))) if c.cost else figures.MISSING


def short_name(name: str, most: int) -> str:
    """Return a candidate's name, safe to print and not wider than `most` columns or 16."""
    from rich.cells import cell_len, set_cell_size

    name, most = clean(name), max(most, 16)
    if WITHOUT in name and name.isascii() and len(name) > most:
        return f"…{name[1 - most :]}"  # what is missing tells it from the rows beside it
    return name if cell_len(name) <= most else f"{set_cell_size(name, most - 1).rstrip()}…"


def _strip(c: CandidateResult, low: float, high: float) -> Text:
    """Draw the interval and its mean on a scale that all rows share."""
    from rich.text import Text

    if c.score is None or not math.isfinite(c.score.low + c.score.high):
        return Text()
    ends = (c.score.low, c.score.mean, c.score.high)
    left, middle, right = (_place(value, low, high) for value in ends)
    line = [" "] * left + ["─"] * (right - left + 1) + [" "] * (_STRIP - 1 - right)
    line[middle] = "●"
    return Text("".join(line), style="cyan bold" if c.recommended else "")


def _place(value: float, low: float, high: float) -> int:
    return min(max(round((_STRIP - 1) * (value - low) / (high - low)), 0), _STRIP - 1)


def _versus(c: CandidateResult, verdicts: dict[str, str], t: Words) -> Text:
    from rich.text import Text

    if c.recommended:
        return Text(t("recommended"), style="cyan bold")
    if c.score is None:
        return Text(t("failed"), style="red")
    verdict = verdicts.get(c.name, "")
    return Text(t(verdict) if verdict else "", style=_STYLES.get(verdict, ""))


def _print_failures(console: Console, result: StudyResult, t: Words) -> None:
    from rich.text import Text

    found = [(c.name, s) for c in result.candidates for s in c.seeds if s.status == "failed"]
    for name, s in found[:_TOLD]:
        reason = clean(s.reason)
        told = reason if len(reason) <= _REASON else f"{reason[:_REASON]}…"
        text = t("line_fail", name=short_name(name, console.width // 4), seed=s.seed, text=told)
        console.print(Text(text, style="red"))
    if len(found) > _TOLD:
        console.print(Text(t("more_rows", count=len(found) - _TOLD), style="red"))


def _how_long(result: StudyResult, t: Words) -> str:
    time = figures.duration(result.seconds)
    key = "took_all" if result.trials_run else "took_none"
    return t(key, time=time, count=result.trials_run)
