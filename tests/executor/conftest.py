"""A worker without torch that knows the jobs in `handlers.py`."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.engine.executor import Pool

OPTIONS = ("--handlers", "handlers", "--cold")


@pytest.fixture(autouse=True)
def _handlers_within_reach(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def pool():
    with Pool(2, options=OPTIONS) as opened:
        yield opened


def alive(pid: int) -> bool:
    """Return whether a process still runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait until `true()`; return the seconds it took, and fail after `seconds`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
    return time.monotonic() - began


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
