"""A finished study in the terminal: what to know first, the ranking, the sentence that matters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from assay.canon.idea import WITHOUT
from assay.compare.result import CandidateResult, StudyResult
from assay.report import charts, evidence, figures
from assay.report.ablation import removals
from assay.report.codec import clean
from assay.report.figures import scores_of, words_of
from assay.report.text import Words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_SHOWN = 20  # rows
_TOLD = 8  # failed trials
_REASON = 240  # letters of a reason
_OPPONENTS = 4  # baselines
_WHERE = 5  # places of a concern
_STRIP = 21  # columns of the drawn interval
_GAP = 2  # columns between two columns
_LEAVING = ("artifact", "memory", "strip", "train_time", "parameters", "versus", "interval")
_PIECES = re.compile(r"\s+|[（《“]*(?:[!-~−×µ…]+|[^\s])[，。；：、）》”！？]*")  # never divided
_CONCERNS = {"error": ("✗", "red bold"), "warning": ("!", "yellow bold")}
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
    """Print what to know first, the ranking, the recommendation and where the report is."""
    from rich.text import Text

    t = words_of(result, lang)
    console.print()
    _print_first(console, result, t)
    console.print(ranking_table(result, lang, width=console.width))
    hidden = len(result.candidates) - _SHOWN
    if hidden > 0:
        console.print(Text(t("more_rows", count=hidden), style="dim"))
    _print_failures(console, result, t)
    _print_opponents(console, result, t)
    console.print()
    console.print(_sentence(clean(t.of(result.recommendation.why)), t, console.width, "bold"))
    for sentence in removals(result, lang):
        console.print(Text(sentence), soft_wrap=True)
    for text in (result.race, result.resolution, result.next_hour):
        if text:
            console.print(_sentence(clean(t.of(text)), t, console.width))
    if told := evidence.tuning_sentence(result, t):
        console.print(_sentence(told, t, console.width))
    console.print(Text(figures.how_long(result, t), style="dim"))
    where = clean(f"{result.folder}/report.html")
    console.print(Text(t("labelled", label=t("report_at"), text=where)), soft_wrap=True)


def _print_first(console: Console, result: StudyResult, t: Words) -> None:
    """Print that nothing beats the baselines, errors and warnings; notes are only counted."""
    from rich.text import Text

    if result.against and charts.unbeaten(result):
        _print_marked(console, "!", t.of(result.against), t, "yellow bold", text_style="bold")
        console.print()
    found = evidence.concerns(result)
    told = [concern for concern in found if concern.severity in _CONCERNS]
    for concern in told:
        mark, style = _CONCERNS[concern.severity]
        places = ("、" if t.lang == "zh" else ", ").join(concern.where[:_WHERE])
        places += " …" if len(concern.where) > _WHERE else ""
        where = t("where", names=places) if places else ""
        where = where if t.lang == "zh" else f" {where}".rstrip()
        head = t("labelled", label=t(concern.severity), text="")
        _print_marked(console, mark, f"{head}{t.of(evidence.sentence(concern))}{where}", t, style)
    if rest := len(found) - len(told):
        more = t("note_more") if rest == 1 else t("notes_more", count=rest)
        console.print(Text(more, style="dim"))
    if found:
        console.print()


def _print_marked(
    console: Console, mark: str, text: str, t: Words, style: str, text_style: str = ""
) -> None:
    """Print a mark and beside it a text, whose lines all begin in the same column."""
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    lines.add_row(Text(mark, style=style), _sentence(clean(text), t, console.width - 3, text_style))
    console.print(lines)


def _sentence(text: str, t: Words, width: int, style: str = "") -> Text:
    """Return a text to print; Chinese, which has no spaces, is broken into lines here."""
    from rich.text import Text

    return Text("\n".join(broken(text, width)) if t.lang == "zh" else text, style=style)


def broken(text: str, width: int) -> list[str]:
    """Return Chinese text in lines of at most `width` columns; no line begins with a stop."""
    from rich.cells import cell_len

    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(piece.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return lines


def _print_opponents(console: Console, result: StudyResult, t: Words) -> None:
    """Print the baselines, the best first, and how many networks beat each."""
    from rich.text import Text

    shown = result.baselines[:_OPPONENTS]
    if not shown:
        return
    score, beaten, total = scores_of(result), charts.beaten_by(result), len(charts.ranked(result))
    columns: list[tuple[str, list[str], Literal["left", "right"]]] = [
        (t("baseline"), [_opponent(c, t, console.width) for c in shown], "left"),
        (_capital(figures.metric_label(result, t.lang)), [score(_mean(c)) for c in shown], "right"),
        (t("interval"), [score.interval(c.score) for c in shown], "left"),
        (t("train_time"), [_time(c) for c in shown], "right"),
        (
            t("beaten_by"),
            [t("beaten_short", count=beaten[c.name], total=total) for c in shown],
            "right",
        ),
    ]
    table = _bare_table()
    for head, _, justify in columns:
        table.add_column(head, justify=justify, no_wrap=True, overflow="ellipsis")
    for cells in zip(*(texts for _, texts, _ in columns), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    console.print()
    console.print(table)
    if len(result.baselines) > _OPPONENTS:
        more = t("more_rows", count=len(result.baselines) - _OPPONENTS)
        console.print(Text(more, style="dim"))


def _opponent(c: CandidateResult, t: Words, width: int) -> str:
    return short_name(figures.name_of(c, t), max(width // 3, 24))


def _bare_table() -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0),
        header_style="dim", collapse_padding=True,
    )  # fmt: skip


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def ranking_table(
    result: StudyResult, lang: Literal["en", "zh"] = "en", *, width: int = 80
) -> Table:
    """Return the ranking as a table; what there is no room for is left to the report.

    Args:
        result: What the study found.
        lang: en or zh.
        width: Columns of the terminal.
    """
    table = _bare_table()
    columns = _that_fit(_columns(result, words_of(result, lang), width), width)
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
    return [
        column("rank", "#", [str(c.rank) if c.score else n.MISSING for c in shown]),
        column(
            "candidate", t("candidate"), [short_name(c.name, width // 4) for c in shown], left=True
        ),
        column("score", _head(result, t), [score(_mean(c)) for c in shown]),
        column("interval", t("interval"), [score.interval(c.score) for c in shown], left=True),
        _Column("strip", "", [_strip(c, low, high) for c in shown], "left"),
        _Column("versus", t("verdict"), [_versus(c, verdicts, t) for c in shown], "left"),
        *costs,
        column("train_time", t("train_time"), [_time(c) for c in shown]),
    ]


def _head(result: StudyResult, t: Words) -> str:
    """Return the metric's name, with an arrow down where smaller is better."""
    name = short_name(_capital(figures.metric_label(result, t.lang)), 24)
    return name if result.higher_is_better else f"{name} ↓"


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
