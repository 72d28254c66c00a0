"""What a running study looks like in a terminal: one line per candidate, drawn on every event.

There is no drawing thread: the display changes only when an event arrives, so that nothing of it is
alive when the study forks or is stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from assay.engine.spec import Event
from assay.report.codec import clean
from assay.report.figures import duration
from assay.report.text import Words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

_BETWEEN = 0.1  # seconds between two drawings, at least
_BAR = 24  # characters
_MARGIN = 4  # lines of the terminal left free


@dataclass
class _Row:
    """Where one candidate stands."""

    state: str = "waiting"  # a key of report.text
    steps: dict[int, tuple[int, int]] = field(default_factory=dict)  # seed: (taken, of)
    scores: dict[int, float] = field(default_factory=dict)  # seed: last validation score
    ended: set[int] = field(default_factory=set)  # seeds
    note: str = ""

    @property
    def running(self) -> bool:
        return bool(self.steps.keys() - self.ended) or self.state in ("planning", "measuring")


class Progress:
    """A context manager to be called with every `Event`.

    Args:
        console: Where to draw; on anything but a terminal each event that matters is one line.
        lang: en or zh.
    """

    def __init__(self, console: Console, lang: Literal["en", "zh"] = "en") -> None:
        self.console, self.words = console, Words(lang)
        self.rows: dict[str, _Row] = {}
        self._began, self._drawn = time.monotonic(), 0.0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        """Start drawing, on a terminal."""
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the display away."""
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Take in one event and draw."""
        self._take_in(event)
        if self._live is None:
            self._print(event)
        elif time.monotonic() - self._drawn > _BETWEEN:
            self._live.update(self.table(), refresh=True)
            self._drawn = time.monotonic()

    def _take_in(self, event: Event) -> None:
        row = self.rows.setdefault(event.candidate, _Row())
        if event.kind in ("plan", "measure"):
            busy = "planning" if event.kind == "plan" else "measuring"
            row.state = busy if not event.text else "waiting" if busy == "planning" else "done"
        elif event.kind == "fail":
            row.state, row.note = "failed", event.text
            row.ended.add(event.seed)
        else:
            self._take_in_training(row, event)

    def _take_in_training(self, row: _Row, event: Event) -> None:
        row.steps[event.seed] = (event.step, event.steps)
        if event.score is not None:
            row.scores[event.seed] = event.score
        if event.kind == "finish":
            row.ended.add(event.seed)
        row.state = "training" if row.running else "done"

    def table(self) -> Table:
        """Return the display as it stands: those at work first, then the rest, as many as fit."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        order = sorted(self.rows, key=lambda name: not self.rows[name].running)
        room = max(3, self.console.size.height - _MARGIN)
        for name in order[:room]:
            row = self.rows[name]
            score = max(row.scores.values(), default=None)
            table.add_row(
                Text(clean(name), style="bold" if row.running else "", overflow="ellipsis"),
                Text(_bar(row), style="red" if row.state == "failed" else "cyan"),
                Text(f"{score:.3f}" if score is not None else ""),
                Text(self.words(row.state) + (f": {clean(row.note)}" if row.note else "")),
            )
        if len(order) > room:
            table.add_row(Text(self.words("more_rows", count=len(order) - room)))
        table.add_row(Text(self._total(), style="dim"))
        return table

    def _total(self) -> str:
        ended = sum(len(row.ended) for row in self.rows.values())
        elapsed = self.words("elapsed", time=duration(time.monotonic() - self._began))
        return f"{self.words('trials_open', done=ended)}, {elapsed}"

    def _print(self, event: Event) -> None:
        line = self._line(event)
        if line:
            self.console.print(clean(line), markup=False, highlight=False, soft_wrap=True)

    def _line(self, event: Event) -> str:
        """Return what is worth a line in a log."""
        t, name = self.words, event.candidate
        if event.kind == "fail":
            return t("line_fail", name=name, seed=event.seed, text=event.text)
        if event.kind == "finish" and event.score is not None:
            return t("line_finish", name=name, seed=event.seed, score=f"{event.score:.3f}")
        if event.kind == "resume":
            return t("line_resume", name=name, seed=event.seed, step=event.step)
        if event.kind in ("plan", "measure") and event.text:
            return t(f"line_{event.kind}", name=name, text=event.text)
        return ""


def _bar(row: _Row) -> str:
    """Return one stretch of the bar per seed that has started."""
    if not row.steps:
        return ""
    width = max(2, _BAR // len(row.steps))
    return " ".join(_stretch(*row.steps[seed], width) for seed in sorted(row.steps))


def _stretch(taken: int, of: int, width: int) -> str:
    full = width if not of else round(width * taken / of)
    return "━" * full + "╌" * (width - full)
