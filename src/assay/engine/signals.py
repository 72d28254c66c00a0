"""Ctrl-C and SIGTERM: the first asks to stop, the second Ctrl-C ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from assay.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h\r\n"  # a live display hides it


@dataclass
class Stop:
    """Whether somebody asked to stop, and how."""

    signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What the shell expects: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    def error(self, text: str) -> Interrupted:
        """Return the error that ends the command with the right exit code."""
        error = Interrupted(text)
        error.exit_code = self.exit_code
        return error


@contextmanager
def stop_on_signals(on_stop: Callable[[], None] | None = None) -> Iterator[Stop]:
    """Turn the first signal into `Stop.requested`, a second Ctrl-C into an immediate exit.

    Args:
        on_stop: Called once, inside the signal handler: it must only set flags (`Pool.stop` does).
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            _leave(number)
        else:
            stop.signal = number
            if on_stop:
                on_stop()

    before = _install(handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _install(handle: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Set the handler; a signal that the caller ignores (`nohup`) stays ignored."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heard = {n: old for n, old in before.items() if old is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, handle)
    return heard


def _leave(number: int) -> None:
    """End at once on a second Ctrl-C. Workers notice that this process is gone and end too."""
    if number != signal.SIGINT:
        return
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os._exit(128 + number)
