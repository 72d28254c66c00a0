"""A study's result in a terminal: the sentence that matters, then the ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from assay.compare.result import CandidateResult, StudyResult
from assay.report import charts, figures
from assay.report.codec import clean
from assay.report.figures import Scores, scores_of
from assay.report.text import Words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHOWN = 20  # rows
_STYLES = {"better": "green", "worse": "red", "not distinguishable": "yellow"}


def print_result(console: Console, result: StudyResult, lang: Literal["en", "zh"] = "en") -> None:
    """Print the ranking, the recommendation and where the files are."""
    from rich.text import Text

    t = Words(lang)
    console.print(ranking_table(result, lang))
    hidden = len(result.candidates) - _SHOWN
    if hidden > 0:
        console.print(t("more_rows", count=hidden), style="dim")
    for name, seed, reason in _failures(result):
        text = t("line_fail", name=clean(name), seed=seed, text=clean(reason))
        console.print(Text(text, style="red"))
    console.print()
    console.print(Text(clean(t.of(result.recommendation.why)), style="bold"))
    console.print(Text(_how_long(result, t), style="dim"))
    console.print(Text(f"{t('report_at')}: {result.folder}/report.html"), soft_wrap=True)


def ranking_table(result: StudyResult, lang: Literal["en", "zh"] = "en") -> Table:
    """Return the ranking as a table: quality with its interval, the verdict, the costs."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    t, score = Words(lang), scores_of(result)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column(t("candidate"), overflow="fold")
    table.add_column(t("test_metric", metric=t.label(result.metric)), justify="right")
    table.add_column(t("interval"), justify="right")
    table.add_column(t("versus"))
    for key in ("latency", "parameters", "train_time"):
        table.add_column(t(key), justify="right")
    versus = _versus(result)
    for candidate in result.candidates[:_SHOWN]:
        _add_row(table, candidate, versus.get(candidate.name, ""), score, t)
    return table


def _add_row(table: Table, c: CandidateResult, verdict: str, score: Scores, t: Words) -> None:
    from rich.text import Text

    told = t("recommended") if c.recommended else t(verdict) if verdict else ""
    latency, parameters = figures.MISSING, figures.MISSING
    if c.cost:
        latency = figures.milliseconds(c.cost.latency_p50_ms)
        parameters = figures.count(c.cost.parameters)
    table.add_row(
        str(c.rank) if c.score else figures.MISSING,
        Text(clean(c.name), style="bold" if c.recommended else ""),
        score(c.score.mean if c.score else None),
        score.interval(c.score),
        Text(told, style="bold" if c.recommended else _STYLES.get(verdict, "")),
        latency,
        parameters,
        figures.duration(c.train_seconds if c.score else None),
    )


def _versus(result: StudyResult) -> dict[str, str]:
    """Return each candidate's verdict against the recommended one."""
    chosen = result.recommendation.candidate
    pairs = [pair for pair in result.verdicts if chosen in (pair.a, pair.b)]
    others = [pair.b if pair.a == chosen else pair.a for pair in pairs]
    return {
        other: charts.verdict_of(pair, other) for other, pair in zip(others, pairs, strict=True)
    }


def _failures(result: StudyResult) -> list[tuple[str, int, str]]:
    return [
        (c.name, s.seed, s.reason)
        for c in result.candidates
        for s in c.seeds
        if s.status == "failed"
    ]


def _how_long(result: StudyResult, t: Words) -> str:
    time = figures.duration(result.seconds)
    key = "took_all" if result.trials_run else "took_none"
    return t(key, time=time, count=result.trials_run)
