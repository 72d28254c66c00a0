"""What a running study looks like in a terminal: one line per candidate, drawn on every event.

There is no drawing thread: the display changes only when an event arrives, so that nothing of it is
alive when the study forks or is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from assay.canon.task import TASKS, Task
from assay.engine.spec import Event
from assay.report.codec import clean
from assay.report.figures import duration, validation_word_of
from assay.report.terminal import short_name
from assay.report.text import Words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

_BETWEEN = 0.1  # seconds between two drawings, at least
_BAR = 18  # characters
_MARGIN = 4  # lines of the terminal left free
_MARKS = 12  # seeds shown one by one
_QUIET = "baseline:"  # how the names of simple opponents begin, which take no line
_TUNING = 10_000  # seed of every trial that tries a setting, as compare.tuning has it
_TELLS = 0.08  # share of the work after which the time left can be guessed


@dataclass
class _Row:
    """Where one candidate stands."""

    busy: Literal["", "planning", "measuring", "searching"] = ""
    steps: dict[int, tuple[int, int]] = field(default_factory=dict)  # seed: (taken, of)
    scores: dict[int, float] = field(default_factory=dict)  # seed: last validation score
    finished: set[int] = field(default_factory=set)  # seeds
    failed: set[int] = field(default_factory=set)  # seeds
    broken: bool = False  # could not be planned: none of its seeds will run
    note: str = ""  # why something failed

    @property
    def ended(self) -> set[int]:
        return self.finished | self.failed

    @property
    def running(self) -> list[int]:
        """The seeds in training."""
        return sorted(self.steps.keys() - self.ended)

    def state(self, seeds: int) -> str:
        """Return a key of report.text."""
        if self.running:
            return "training"
        if self.busy:
            return self.busy
        if self.broken or (self.failed and not self.finished):
            return "failed"
        return "done" if len(self.ended) >= max(seeds, 1) else "waiting"

    def trials(self, seeds: int) -> int:
        """Return how many trials are known of; a race adds to the `seeds` it began with."""
        return 0 if self.broken else max(seeds, len(self.steps.keys() | self.ended))

    def share(self) -> float:
        """Return how many trials of work are done, parts of trials included."""
        begun = [self.steps[seed] for seed in self.running]
        return len(self.ended) + sum(taken / of for taken, of in begun if of)


class Progress:
    """A context manager to be called with every `Event`.

    Args:
        console: Where to draw; on anything but a terminal each event that matters is one line.
        lang: en or zh.
    """

    def __init__(self, console: Console, lang: Literal["en", "zh"] = "en") -> None:
        self.console, self.words = console, Words(lang)
        self.rows: dict[str, _Row] = {}
        self.seeds = 0  # of each candidate; 0 until it is known
        self.scored = ""  # what is scored on the validation part, until it is known nothing
        self._began, self._drawn = time.monotonic(), 0.0
        self._first: float | None = None  # when training began
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

    def expect(self, candidates: Iterable[str], seeds: int, task: Task) -> None:
        """Take in what is to come, so that the whole can be told.

        Args:
            candidates: Their names, in the order they are shown.
            seeds: Trials of each.
            task: Of the data, which says what is scored on the validation part.
        """
        self.seeds = seeds
        word = self.words(validation_word_of(TASKS[task].answers))
        self.scored = f"{self.words('val_metric', metric=word)} "
        for name in candidates:
            self.rows.setdefault(name, _Row())

    def __call__(self, event: Event) -> None:
        """Take in one event and draw; simple opponents are told of only when they fail."""
        if not event.candidate.startswith(_QUIET):
            self._take_in(event)
        if self._live is None:
            self._print(event)
        elif time.monotonic() - self._drawn > _BETWEEN:
            self._live.update(self.table(), refresh=True)
            self._drawn = time.monotonic()

    # What has happened

    def _take_in(self, event: Event) -> None:
        row = self.rows.setdefault(event.candidate, _Row())
        if event.seed == _TUNING:
            row.busy = "" if event.kind in ("finish", "fail") else "searching"
        elif event.kind in ("plan", "measure"):
            row.busy = "" if event.text else "planning" if event.kind == "plan" else "measuring"
        elif event.kind == "fail":
            self._take_in_failure(row, event)
        else:
            self._take_in_training(row, event)

    def _take_in_failure(self, row: _Row, event: Event) -> None:
        row.note = event.text
        if event.seed >= 0:
            row.failed.add(event.seed)
            return
        row.broken = row.busy == "planning" or not row.ended
        row.busy = ""

    def _take_in_training(self, row: _Row, event: Event) -> None:
        row.busy = ""
        row.steps[event.seed] = (event.step, event.steps)
        if event.score is not None:
            row.scores[event.seed] = event.score
        if event.kind == "finish":
            row.finished.add(event.seed)
        elif self._first is None:
            self._first = time.monotonic()

    # On a terminal

    def table(self) -> Table:
        """Return the display as it stands: as many candidates as fit, then the whole."""
        from rich.table import Table

        room = max(2, self.console.height - _MARGIN)
        shown = self._shown(room)
        table = Table.grid(padding=(0, 2, 0, 0))
        lines = [self._line_of(name, self.rows[name]) for name in shown]
        for cells in list(zip(*lines, strict=True))[:-1]:  # only the last column may be cut
            table.add_column(no_wrap=True, min_width=max(cell.cell_len for cell in cells))
        table.add_column(no_wrap=True, overflow="ellipsis")
        for line in lines:
            table.add_row(*line)
        rest = [row for name, row in self.rows.items() if name not in shown]
        return self._stacked(table, rest)

    def _shown(self, room: int) -> list[str]:
        """Return the names to show: all in their order, or those at work first."""
        names = list(self.rows)
        if len(names) <= room:
            return names
        order = {
            "training": 0,
            "planning": 0,
            "measuring": 0,
            "searching": 0,
            "failed": 1,
            "waiting": 2,
            "done": 3,
        }
        urgent = sorted(names, key=lambda name: order[self.rows[name].state(self.seeds)])
        kept = set(urgent[: room - 1])
        return [name for name in names if name in kept]

    def _line_of(self, name: str, row: _Row) -> list[Text]:
        from rich.text import Text

        state, score = row.state(self.seeds), max(row.scores.values(), default=None)
        at_work = state in ("training", "planning", "measuring", "searching")
        told = self.words(state, seed=", ".join(map(str, row.running)))
        if row.note:
            told = f"{told} · {self._why(row, state)}"
        return [
            Text(short_name(name, self.console.width // 4), style="bold" if at_work else ""),
            self._marks(row),
            Text(f"{score:.3f}" if score is not None else "     "),
            _bar(row),
            Text(told, style="red" if state == "failed" else "" if at_work else "dim"),
        ]

    def _why(self, row: _Row, state: str) -> str:
        note = clean(row.note)
        return note if state == "failed" else f"{self.words('failed')}: {note}"

    def _marks(self, row: _Row) -> Text:
        """Return one sign per seed, or counts where there are many."""
        from rich.text import Text

        seeds = max(self.seeds, len(row.steps), len(row.ended))
        if seeds > _MARKS:
            return Text(f"{len(row.ended)}/{seeds}")
        signs = Text()
        for seed in range(seeds):
            signs.append(*_sign(row, seed))
        return signs

    def _stacked(self, table: Table, rest: list[_Row]) -> Table:
        from rich.table import Table
        from rich.text import Text

        whole = Table.grid()
        whole.add_column(no_wrap=True, overflow="ellipsis")
        whole.add_row(table)
        if rest:
            states = [row.state(self.seeds) for row in rest]
            counts = {key: states.count(key) for key in ("done", "waiting")}
            text = self.words("others", count=len(rest), **counts)
            whole.add_row(Text(text, style="dim"))
        whole.add_row(Text(self._total(), style="dim"))
        return whole

    def _total(self) -> str:
        t, done = self.words, sum(len(row.ended) for row in self.rows.values())
        total, now = self._trials(), time.monotonic()
        told = t("trials", done=done, total=total) if total else t("trials_open", done=done)
        parts = [told, t("elapsed", time=duration(now - self._began))]
        share = sum(row.share() for row in self.rows.values()) / total if total else 0.0
        if self._first is not None and _TELLS < share < 1:
            left = (now - self._first) * (1 - share) / share
            parts.append(t("left", time=duration(left)))
        return " · ".join(parts)

    def _trials(self) -> int:
        """Return how many trials there will be as far as is known; 0 before `expect`."""
        return sum(row.trials(self.seeds) for row in self.rows.values()) if self.seeds else 0

    # Anywhere else

    def _print(self, event: Event) -> None:
        line = self._line(event)
        if line:
            self.console.print(
                clean(line), markup=False, emoji=False, highlight=False, soft_wrap=True
            )

    def _line(self, event: Event) -> str:
        """Return what is worth a line in a log."""
        t, name = self.words, event.candidate
        if event.seed == _TUNING or (name.startswith(_QUIET) and event.kind != "fail"):
            return ""
        if event.kind == "fail":
            key = "line_fail" if event.seed >= 0 else "line_fail_all"
            return t(key, name=name, seed=event.seed, text=event.text)
        if event.kind == "finish" and event.score is not None:
            score = f"{self.scored}{event.score:.3f}"
            told = t("line_finish", name=name, seed=event.seed, score=score)
            return f"{told} ({self._total()})"
        if event.kind == "resume":
            return t("line_resume", name=name, seed=event.seed, step=event.step)
        if event.kind in ("plan", "measure") and event.text:
            return t(f"line_{event.kind}", name=name, text=event.text)
        return ""


def _sign(row: _Row, seed: int) -> tuple[str, str]:
    if seed in row.failed:
        return "✗", "red"
    if seed in row.finished:
        return "●", "cyan"
    return ("◐", "cyan") if seed in row.steps else ("○", "dim")


def _bar(row: _Row) -> Text:
    """Return how far the seeds in training are, one stretch each."""
    from rich.text import Text

    if not row.running:
        return Text(" " * _BAR)
    width = max(1, (_BAR + 1) // len(row.running) - 1)
    stretches = [_stretch(*row.steps[seed], width) for seed in row.running]
    return Text(" ".join(stretches)[:_BAR].ljust(_BAR), style="cyan")


def _stretch(taken: int, of: int, width: int) -> str:
    full = round(width * min(taken / of, 1)) if of else 0
    return "━" * full + "╌" * (width - full)
