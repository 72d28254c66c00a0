import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from assay.compare.tuning import TUNING_SEED
from assay.engine.spec import Event
from assay.report import progress as module
from assay.report.progress import Progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def console(*, terminal: bool, width: int = 80, height: int = 24) -> Console:
    return Console(width=width, height=height, file=io.StringIO(), force_terminal=terminal)


def display(shown: Progress) -> list[str]:
    paper = Console(width=80, file=io.StringIO())
    paper.print(shown.table())
    return [line.rstrip() for line in paper.file.getvalue().splitlines()]


def told(*events: Event, expect: tuple[list[str], int] | None = None, **facts) -> Progress:
    made = Progress(console(terminal=True, **facts))
    if expect:
        made.expect(*expect, "sequence-classification")
    for event in events:
        made(event)
    return made


def trial(name: str, seed: int, score: float = 0.9) -> list[Event]:
    facts = {"candidate": name, "seed": seed, "steps": 100}
    return [
        Event(kind="start", **facts),
        Event(kind="progress", step=50, score=score - 0.1, **facts),
        Event(kind="finish", step=100, score=score, **facts),
    ]


def test_a_line_tells_seeds_score_and_how_far_the_one_in_training_is():
    shown = told(*trial("mlp", 0), *trial("mlp", 1)[:2], expect=(["mlp", "lstm"], 3))
    lines = display(shown)
    assert lines[0].split() == ["mlp", "●◐○", "0.900", "━" * 9 + "╌" * 9, "training,", "seed", "1"]
    assert lines[1].split() == ["lstm", "○○○", "waiting"]


def test_the_whole_is_told_with_the_time_left(clock: list[float]):
    shown = Progress(console(terminal=True))
    shown.expect(["mlp", "lstm"], 2, "sequence-classification")
    clock[0] += 10  # planning does not count
    shown(trial("mlp", 0)[0])
    clock[0] += 6
    shown(trial("mlp", 0)[2])
    shown(trial("mlp", 1)[1])
    assert display(shown)[-1] == "1 of 4 trials · 16 s so far · about 10 s left"


def test_planning_and_measuring_are_shown_while_they_last():
    plan, measure = Event(kind="plan", candidate="mlp"), Event(kind="measure", candidate="mlp")
    shown = told(plan, expect=(["mlp"], 1))
    assert display(shown)[0].endswith("choosing how to compute")
    shown(Event(kind="plan", candidate="mlp", text="bf16"))
    assert display(shown)[0].endswith("waiting")
    for event in (*trial("mlp", 0), measure):
        shown(event)
    assert display(shown)[0].endswith("measuring")
    shown(Event(kind="measure", candidate="mlp", text="0.2 ms"))
    assert display(shown)[0].endswith("done")


def test_a_failed_seed_stays_visible_when_others_finish():
    fail = Event(kind="fail", candidate="mlp", seed=0, text="diverged at step 12")
    shown = told(fail, *trial("mlp", 1), expect=(["mlp"], 2))
    assert display(shown)[0].split()[1] == "✗●"
    assert display(shown)[0].endswith("done · failed: diverged at step 12")


def test_a_candidate_that_cannot_be_planned_is_not_waited_for():
    plan = Event(kind="plan", candidate="mlp")
    fail = Event(kind="fail", candidate="mlp", text="no such shape")
    shown = told(plan, fail, *trial("lstm", 0), expect=(["mlp", "lstm"], 1))
    assert display(shown)[0].endswith("failed · no such shape")
    assert display(shown)[-1].startswith("1 of 1 trials")


def test_a_failed_measurement_leaves_the_candidate_finished():
    measure = Event(kind="measure", candidate="mlp")
    fail = Event(kind="fail", candidate="mlp", text="not measured: no memory")
    shown = told(*trial("mlp", 0), measure, fail, expect=(["mlp"], 1))
    assert display(shown)[0].endswith("done · failed: not measured: no memory")


@pytest.mark.parametrize("height", [6, 12, 40])
def test_the_display_is_never_higher_than_the_terminal(height: int):
    names = [f"net_{k}" for k in range(30)]
    shown = told(*trial("net_29", 0)[:2], expect=(names, 3), height=height)
    lines = display(shown)
    assert len(lines) <= height
    assert any(line.startswith("net_29") for line in lines)
    if height < 30:
        rest = 30 - (height - 4 - 1)
        assert lines[-2] == f"{rest} more: 0 done, {rest} waiting"


def test_every_candidate_takes_one_line_however_long_its_name_and_reason():
    fail = Event(kind="fail", candidate="长" * 80, seed=0, text="x" * 500)
    lines = display(told(fail, expect=(["长" * 80, "mlp"], 3)))
    assert len(lines) == 3
    assert max(map(cell_len, lines)) <= 80


def test_many_seeds_are_counted():
    lines = display(told(*trial("mlp", 0), expect=(["mlp"], 40)))
    assert "1/40" in lines[0]


def test_a_log_gets_a_line_for_each_trial_and_no_control_characters(clock: list[float]):
    paper = console(terminal=False)
    with Progress(paper) as shown:
        shown.expect(["a\x1b[31m"], 2, "image-classification")
        for event in (*trial("a\x1b[31m", 0), *trial("a\x1b[31m", 1)):
            shown(event)
        shown(Event(kind="fail", candidate="b", text="no\nsuch [red]shape"))
        shown(Event(kind="resume", candidate="c", seed=1, step=40, steps=100))
        shown(Event(kind="measure", candidate="c", text="0.2 ms"))
    assert paper.file.getvalue().splitlines() == [
        "a�[31m, seed 0: validation accuracy 0.900 "
        "(1 of 2 trials · 0.0 s so far · about 0.0 s left)",
        "a�[31m, seed 1: validation accuracy 0.900 (2 of 2 trials · 0.0 s so far)",
        "b: failed: no such [red]shape",
        "c, seed 1: resumed at step 40",
        "c: measured 0.2 ms",
    ]


def stopped(shown: Progress, events) -> None:
    with shown:
        for event in events:
            if isinstance(event, KeyboardInterrupt):
                raise event
            shown(event)


def test_a_name_is_shown_as_it_is_written():
    paper = console(terminal=False)
    with Progress(paper) as shown:
        shown(Event(kind="fail", candidate="net.py:boom", text="no [red]shape :x:"))
    assert paper.file.getvalue() == "net.py:boom: failed: no [red]shape :x:\n"


def test_the_display_is_gone_at_the_end_and_the_cursor_is_back():
    paper = console(terminal=True)
    events = [*trial("mlp", 0), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        stopped(Progress(paper), events)
    assert paper.file.getvalue().rstrip().endswith("\x1b[2K")
    assert paper.file.getvalue().rindex("\x1b[?25h") > paper.file.getvalue().rindex("\x1b[?25l")


def test_no_thread_draws():
    import threading

    before = threading.active_count()
    with Progress(console(terminal=True)) as shown:
        shown(trial("mlp", 0)[0])
        assert threading.active_count() == before


def test_simple_opponents_take_no_line_and_no_share_of_the_whole():
    shown = told(*trial("mlp", 0), *trial("baseline:majority", 0), expect=(["mlp"], 2))
    assert display(shown)[0].split()[0] == "mlp"
    assert display(shown)[-1].startswith("1 of 2 trials")
    assert "majority" not in "".join(display(shown))


def test_a_log_tells_of_a_simple_opponent_only_when_it_fails():
    paper = console(terminal=False)
    shown = Progress(paper)
    for event in trial("baseline:majority", 0):
        shown(event)
    assert paper.file.getvalue() == ""
    shown(Event(kind="fail", candidate="baseline:majority", seed=0, text="no memory"))
    assert paper.file.getvalue() == "baseline:majority, seed 0: failed: no memory\n"


def test_trials_that_try_settings_are_no_seeds():
    assert module._TUNING == TUNING_SEED
    shown = told(*trial("mlp", TUNING_SEED)[:2], expect=(["mlp"], 2))
    assert display(shown)[0].split() == ["mlp", "○○", "trying", "settings"]
    shown(trial("mlp", TUNING_SEED)[2])
    assert display(shown)[0].split() == ["mlp", "○○", "waiting"]
    assert display(shown)[-1].startswith("0 of 2 trials")


def test_a_race_adds_seeds_to_those_it_began_with():
    events = [event for seed in range(4) for event in trial("mlp", seed)]
    shown = told(*events, *trial("lstm", 0), expect=(["mlp", "lstm"], 2))
    assert display(shown)[-1].startswith("5 of 6 trials")


@pytest.mark.parametrize(
    ("task", "lang", "told"),
    [
        ("language-modeling", "en", "m, seed 0: validation probability of a true token 0.900 ("),
        ("forecasting", "zh", "m，种子 0：验证R² 0.900 ("),
    ],
)
def test_a_finished_trial_names_what_it_was_scored_by(task: str, lang: str, told: str):
    paper = console(terminal=False, width=200)
    with Progress(paper, lang) as shown:
        shown.expect(["m"], 1, task)
        shown(trial("m", 0)[2])
    assert paper.file.getvalue().startswith(told)
