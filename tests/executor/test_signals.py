"""Ctrl-C, SIGTERM and kill -9, sent to a real study in a process of its own."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import alive, wait_until

from assay.engine.signals import Stop, stop_on_signals
from assay.errors import Interrupted

STUDY = Path(__file__).parent / "study.py"


@contextmanager
def study(folder: Path, seconds: float = 0.01, kind: str = "count"):
    """Run a study; give its process, its warm process and its children, once both run."""
    command = [sys.executable, str(STUDY), str(folder), str(seconds), kind]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        warm, *children = map(int, process.stdout.readline().split())
        assert all(map(alive, (warm, *children)))
        yield process, warm, children
        process.kill()


def progress(folder: Path) -> dict[str, int]:
    return {file.name: int(file.read_text()) for file in folder.iterdir() if not file.suffix}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_first_signal_checkpoints_and_exits_with_its_code(
    tmp_path: Path, number: signal.Signals, code: int
):
    with study(tmp_path) as (process, warm, children):
        os.killpg(process.pid, number)  # as a terminal does: to everything in the foreground
        out, _ = process.communicate(timeout=10)
    assert process.returncode == code
    assert sorted(out.split("\n")[:-1]) == ["a stopped", "b stopped"]
    assert sorted(progress(tmp_path)) == ["a", "b"]
    assert sorted(file.name for file in tmp_path.glob("*.stopped")) == ["a.stopped", "b.stopped"]
    assert not any(map(alive, (warm, *children)))


def test_a_second_ctrl_c_ends_at_once_and_leaves_nothing_running(tmp_path: Path):
    with study(tmp_path, kind="deaf") as (process, warm, children):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None  # the jobs are deaf, so the study waits
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=10) == 130
        assert time.monotonic() - began < 1
        wait_until(lambda: not any(map(alive, (warm, *children))), 5)


def test_sigterm_exits_within_its_grace_at_any_time(tmp_path: Path):
    rng = random.Random(0)
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        with study(folder) as (process, warm, children):
            time.sleep(rng.uniform(0, 0.3))
            process.terminate()
            assert process.wait(timeout=5) == 143
        assert not any(map(alive, (warm, *children)))


def test_a_killed_study_leaves_no_process_and_continues(tmp_path: Path):
    with study(tmp_path) as (process, warm, children):
        process.kill()
        process.wait()
        took = wait_until(lambda: not any(map(alive, (warm, *children))), 5)
        assert took < 5
    before = progress(tmp_path)
    assert all(0 < steps < 400 for steps in before.values())
    with study(tmp_path, seconds=0.0) as (process, _, _):
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert sorted(out.split("\n")[:-1]) == ["a done", "b done", "c done"]
    assert progress(tmp_path) == {"a": 400, "b": 400, "c": 400}


def test_a_study_killed_with_its_warm_process_stopped_leaves_no_child(tmp_path: Path):
    """A frozen warm process cannot act: its death must be enough for the children."""
    with study(tmp_path, kind="mute") as (process, warm, children):
        (tmp_path / "quiet").touch()
        time.sleep(0.3)
        os.kill(warm, signal.SIGSTOP)
        process.kill()
        process.wait()
        os.kill(warm, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, children)), 5)


def test_a_signal_sets_a_flag_and_calls_once():
    calls = []
    with stop_on_signals(lambda: calls.append(1)) as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, stop.exit_code, calls) == (True, 143, [1])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_ignored_hangup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_signals_stay_as_they_are():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_on_signals() as stop:
            seen.append((stop, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(Stop(), before)]


def test_the_error_of_a_stop_carries_its_exit_code():
    error = Stop(signal.SIGTERM).error("stopped; continue with: assay resume abc")
    assert (str(error), error.exit_code) == ("stopped; continue with: assay resume abc", 143)
    assert (Stop().error("").exit_code, Interrupted.exit_code) == (130, 130)
