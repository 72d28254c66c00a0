"""What the tests of processes share: options of a worker without torch, and signs of life."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

OPTIONS = ("--handlers", "handlers", "--cold")


def alive(pid: int) -> bool:
    """Return whether a process still runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone, or while it was read
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
