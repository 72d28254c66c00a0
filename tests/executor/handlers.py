"""What jobs do in these tests: `--handlers handlers`, in a worker without torch."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.engine.spec import Event
from assay.engine.worker import Emit, Stopped
from assay.errors import DataError, Interrupted, StoreError


def echo(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    return {"echo": payload, "pid": os.getpid(), "parent": os.getppid()}


def note(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Append when the job began and ended to a file that all jobs share."""
    with Path(payload["file"]).open("a") as file:
        file.write(f"+{payload['name']}\n")
    time.sleep(payload.get("seconds", 0.05))
    with Path(payload["file"]).open("a") as file:
        file.write(f"-{payload['name']}\n")
    return {}


def talk(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    for step in range(payload["times"]):
        emit(Event(kind="progress", candidate="a", step=step, text="x" * payload.get("size", 1)))
    return {"long": "y" * payload.get("size", 1)}


def fail(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    errors = {
        "value": ValueError("two\nlines"),
        "silent": ValueError(),
        "assay": DataError("The sentence of the error."),
        "disk": StoreError("Cannot write x."),
        "memory": MemoryError(),
        "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: 4000000000000 bytes"),
    }
    raise errors[payload["how"]]


def grab(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    return {"bytes": len(bytearray(payload["bytes"]))}


def die(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Die by a signal or an exit code; with `times`, only so often, counted in a file."""
    count = Path(payload["count"])
    count.write_text(f"{count.read_text() if count.exists() else ''}x")
    if len(count.read_text()) > payload.get("times", 10**9):
        return {"tries": len(count.read_text())}
    os.write(1, b"last words\n")
    if "code" in payload:
        os._exit(payload["code"])
    os.kill(os.getpid(), payload["signal"])
    time.sleep(10)
    return {}


def count(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Count in a file, one number a step, from where the file stands: a trial in small."""
    file = Path(payload["file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    start = int(file.read_text()) if file.exists() else 0
    for step in range(start + 1, payload["steps"] + 1):
        part = file.with_suffix(".part")
        part.write_text(str(step))
        part.replace(file)
        emit(Event(kind="progress", candidate=payload.get("name", "a"), step=step))
        if stop():
            file.with_suffix(".stopped").touch()
            raise Interrupted("stopped")
        time.sleep(payload.get("seconds", 0.01))
    return {"steps": int(file.read_text()), "began": start}


def deaf(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Hear no SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(600):
        emit(Event(kind="progress", candidate="deaf"))
        time.sleep(0.1)
    return {}


def mute(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Hear no SIGTERM, and say nothing once the file `quiet` is there: no pipe will break."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while not Path(payload["file"]).with_name("quiet").exists():
        emit(Event(kind="progress", candidate="mute"))
        time.sleep(0.02)
    time.sleep(60)
    return {}


def imported(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Say whether a module was there when the process began; stay until `file` is there."""
    there = payload["module"] in sys.modules
    end = time.monotonic() + 10
    while not Path(payload["file"]).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return {"there": there}


HANDLING = (echo, note, talk, fail, grab, die, count, deaf, mute, imported)
HANDLERS = {f"test:{f.__name__}": f for f in HANDLING}
