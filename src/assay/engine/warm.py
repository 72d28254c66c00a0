"""The parent's side of the warm process: start it, ask it, hear it, end it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_ONE_THREAD = {  # one core a trial; and a process may fork only while it has a single thread
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator would start one
}
_HIDDEN = {"CUDA_VISIBLE_DEVICES": ""}  # autograd would start a thread for each, and not fork
_ACCELERATED = {
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # to ask whether there is a card wakes none
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS then sums in the same order each time
}
_GOODBYE = 5.0  # seconds that an orderly end may take


class WarmProcess:
    """`python -m assay.engine.worker`, in a session of its own.

    Args:
        folder: For its log.
        options: Further words of its command line.
        accelerated: Whether its children compute on accelerators; they are hidden otherwise.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = (), *, accelerated: bool = False
    ) -> None:
        self.log = folder / "worker.log"
        self._control, theirs = socket.socketpair()
        self._text = b""
        words = ["--accelerated", *options] if accelerated else options
        with theirs, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "assay.engine.worker", str(theirs.fileno()), *words],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **_ONE_THREAD, **(_ACCELERATED if accelerated else _HIDDEN)},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that is readable when it has something to say."""
        return self._control.fileno()

    def start(self, request: Mapping[str, Any]) -> int:
        """Ask for a child.

        Args:
            request: `number`, `job`, `log` and `memory`.

        Returns:
            The descriptor to read its messages from; it does not block.
        """
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        data = json.dumps({"do": "start", **request}).encode() + b"\n"
        with suppress(ConnectionError):  # it has died, which `hear` tells
            sent = socket.send_fds(self._control, [data], [theirs])
            self._control.sendall(data[sent:])
        os.close(theirs)
        return ours

    def signal(self, number: int, signal_number: int) -> None:
        """Send a signal to the child of a job, if it still runs."""
        request = {"do": "signal", "number": number, "signal": int(signal_number)}
        with suppress(ConnectionError):  # it has died, and its children with it
            self._control.sendall(json.dumps(request).encode() + b"\n")

    def hear(self) -> list[dict[str, Any]] | None:
        """Return the messages that have come, or None when the process is gone."""
        try:
            data = self._control.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            return None
        *lines, self._text = (self._text + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        """End it at once; the kernel ends its children."""
        self._process.kill()

    def close(self) -> int:
        """Ask it to end by closing the socket; kill it when it does not; return its exit code."""
        self._control.close()
        try:
            return self._process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """Return the last line of its log."""
        return last_line(self.log)


def last_line(log: Path) -> str:
    """Return the last line of a file that is not blank, or an empty string."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
