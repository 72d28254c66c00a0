"""The warm process: it imports torch once, then forks a child for every job.

`python -m assay.engine.worker FD` talks JSON lines on the socket FD with `engine/executor.py`. A
child reports on a pipe of its own. The warm process ends, and its children with it, when the
process that started it is gone; a child ends when the warm process is gone.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from assay.engine.spec import Candidate, Event, Plan, Recipe, record_from_json, spec_from_json
from assay.errors import AssayError, BadArgumentError, DeviceError, Interrupted, StoreError

Emit = Callable[[Event], None]
Stopped = Callable[[], bool]
Handler = Callable[[Mapping[str, Any], Emit, Stopped], Mapping[str, Any]]

_LOOK_AROUND = 1.0  # seconds between two looks at whether the parent is still there
_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_USED_BY_JOBS = (  # imported once, before the first fork
    "assay.data.load",
    "assay.engine.classical_trial",
    "assay.engine.measure",
    "assay.engine.plan",
    "assay.engine.trial",
    "assay.models.foreign",
)


def handle_plan(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Choose how a candidate is computed here."""
    from assay.engine.plan import choose_plan

    candidate = candidate_from_json(payload["candidate"])
    emit(Event(kind="plan", candidate=candidate.name))
    plan = choose_plan(
        candidate,
        task=payload["task"],
        inputs=tuple(payload["inputs"]),
        outputs=payload["outputs"],
        precision=payload["precision"],
        autotune=payload["autotune"],
        threads=payload["threads"],
        accelerator=payload["accelerator"],
        duration=_duration(payload, candidate) if "budget" in payload else None,
    )
    return asdict(plan)


def _duration(payload: Mapping[str, Any], candidate: Candidate) -> Callable[[float], float]:
    """Return what tells how long a trial trains when a step takes so many seconds."""
    from assay.engine.budget import parse_budget

    limit = parse_budget(payload["budget"])
    size, macs = payload["train_size"], payload["macs"]
    batch_size = min(candidate.recipe.batch_size, size)

    def duration(step: float) -> float:
        steps = limit.steps(train_size=size, batch_size=batch_size, step_seconds=step, macs=macs)
        return steps * step

    return duration


def handle_accelerator(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Say what an accelerator is called, if it is there."""
    from assay.engine.accelerator import name_of

    return {"name": name_of(payload["accelerator"])}


def handle_trial(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Run one trial, or continue it from its checkpoint."""
    from assay.data.load import open_prepared
    from assay.engine.classical import FAMILY
    from assay.engine.classical_trial import run_classical
    from assay.engine.trial import run_trial

    spec = spec_from_json(payload["spec"])
    data, folder = Path(payload["data"]), Path(payload["folder"])
    if spec.plan.devices * spec.plan.nodes > 1 and spec.candidate.family != FAMILY:
        from assay.engine.distributed import run_distributed

        opener = partial(open_prepared, data)
        return asdict(run_distributed(spec, opener, folder, emit=emit, stop=stop))
    dataset = open_prepared(data)
    if spec.candidate.family == FAMILY:
        return asdict(run_classical(spec, dataset, folder, emit=emit))
    return asdict(run_trial(spec, dataset, folder, emit=emit, stop=stop))


def handle_stack(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Run several seeds of one candidate together, or continue them."""
    from assay.data.load import open_prepared
    from assay.engine.stacked_trial import run_stack

    specs = [spec_from_json(facts) for facts in payload["specs"]]
    folders = [Path(folder) for folder in payload["folders"]]
    dataset = open_prepared(Path(payload["data"]))
    records = run_stack(specs, dataset, folders, emit=emit, stop=stop)
    return {"records": [asdict(record) for record in records]}


def handle_stacking(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Measure whether a stack of seeds trains faster than the seeds one after another."""
    from assay.engine.stack_worth import stack_worth

    worth = stack_worth(
        candidate_from_json(payload["candidate"]),
        task=payload["task"],
        inputs=tuple(payload["inputs"]),
        outputs=payload["outputs"],
        plan=plan_from_json(payload["plan"]),
        seeds=payload["seeds"],
    )
    return asdict(worth)


def handle_measure(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Measure what a trained candidate costs."""
    from assay.engine.measure import measure

    candidate = candidate_from_json(payload["candidate"])
    emit(Event(kind="measure", candidate=candidate.name))
    return asdict(
        measure(
            candidate,
            task=payload["task"],
            inputs=tuple(payload["inputs"]),
            outputs=payload["outputs"],
            weights=Path(payload["weights"]),
            record=record_from_json(payload["record"]),
            plan=plan_from_json(payload["plan"]),
        )
    )


def handle_count(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Count what a network learns and what one example costs it."""
    from assay.engine.measure import count_learned, count_macs
    from assay.models.foreign import build_any

    name, inputs = payload["candidate"]["name"], tuple(payload["inputs"])
    task = payload["task"]
    network = build_any(name, inputs, payload["outputs"], task)
    return {"params": count_learned(network), "macs": count_macs(network, inputs, task)}


HANDLERS: dict[str, Handler] = {
    "accelerator": handle_accelerator,
    "count": handle_count,
    "plan": handle_plan,
    "trial": handle_trial,
    "stack": handle_stack,
    "stacking": handle_stacking,
    "measure": handle_measure,
}


def candidate_from_json(facts: Mapping[str, Any]) -> Candidate:
    """Return the Candidate that `asdict` and JSON made `facts` of."""
    return Candidate(**{**facts, "recipe": Recipe(**facts["recipe"])})


def plan_from_json(facts: Mapping[str, Any]) -> Plan:
    """Return the Plan that `asdict` and JSON made `facts` of."""
    return Plan(**{**facts, "fp32_layers": tuple(facts["fp32_layers"])})


def attempt(
    handlers: Mapping[str, Handler], job: Mapping[str, Any], emit: Emit, stop: Stopped
) -> dict[str, Any]:
    """Do one job and tell its end: `value`, `reason`, `stopped`, `unwritable`, `deviceless`."""
    try:
        if job["kind"] not in handlers:
            raise BadArgumentError(
                f"A job's kind must be one of {', '.join(sorted(handlers))}. "
                f"Received {job['kind']!r}."
            )
        return {"value": handlers[job["kind"]](job["payload"], emit, stop)}
    except (Interrupted, KeyboardInterrupt):
        return {"stopped": True}
    except StoreError as error:  # a full disk is no fault of the candidate
        return {"unwritable": str(error)}
    except DeviceError as error:  # nor is a card that is gone
        return {"deviceless": str(error)}
    except Exception as error:  # noqa: BLE001 - one candidate's failure must not end the study
        return {"reason": _reason(error), "detail": traceback.format_exc()}


def main(argv: Sequence[str] | None = None) -> int:
    """Warm up, then serve until the other side is gone."""
    parser = argparse.ArgumentParser(prog="python -m assay.engine.worker")
    parser.add_argument("socket", type=int, help="descriptor of the socket to serve")
    parser.add_argument("--handlers", help="module with more HANDLERS, for tests")
    parser.add_argument("--preload", nargs="*", default=[], help="modules that the jobs will need")
    parser.add_argument("--later", nargs="*", default=[], help="the same, imported as others run")
    parser.add_argument("--accelerated", action="store_true", help="leave devices to the jobs")
    parser.add_argument("--cold", action="store_true", help="import no torch, for tests")
    args = parser.parse_args(argv)
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us
    more = import_module(args.handlers).HANDLERS if args.handlers else {}
    if not args.cold:
        _warm_up(args.preload, train=not args.accelerated)
    gc.freeze()  # what is shared stays shared: the collector will not touch these pages
    control = socket.socket(fileno=args.socket)
    _Server(control, {**HANDLERS, **more}, parent, args.later).serve()
    return 0


class _Server:
    """The warm process's loop: start children, signal them, tell how they ended."""

    def __init__(
        self,
        control: socket.socket,
        handlers: Mapping[str, Handler],
        parent: int,
        later: Sequence[str] = (),
    ) -> None:
        self._control, self._handlers, self._parent = control, handlers, parent
        self._later = [*later]  # modules to import while nobody waits for this process
        self._children: dict[int, int] = {}  # process id: job number
        self._pipes: list[int] = []  # received, for the `start` lines that follow
        self._text = b""
        self._deaths, self._deaths_end = socket.socketpair()  # a byte for every SIGCHLD

    def serve(self) -> None:
        """Work until the other side closes the socket or is gone."""
        for end in (self._deaths, self._deaths_end):
            os.set_blocking(end.fileno(), False)  # noqa: FBT003 - positional only
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._deaths_end.fileno(), warn_on_full_buffer=False)
        self._tell({"ready": os.getpid()})
        while os.getppid() == self._parent:
            busy = bool(self._later and self._children)
            patience = 0.0 if busy else _LOOK_AROUND
            readable, _, _ = select.select([self._control, self._deaths], [], [], patience)
            if busy and not readable:
                _import_all([self._later.pop(0)])
                gc.freeze()
            if self._deaths in readable:
                self._deaths.recv(4096)
            if self._control in readable and not self._listen():
                break
            self._bury()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _listen(self) -> bool:
        """Do what has been asked; return whether the other side is still there."""
        try:
            data, pipes, _, _ = socket.recv_fds(self._control, 65536, 16)
        except ConnectionError:
            return False
        self._pipes.extend(pipes)
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            self._do(json.loads(line))
        return bool(data)

    def _do(self, request: Mapping[str, Any]) -> None:
        if request["do"] == "start":
            self._start(request, self._pipes.pop(0))
        else:
            for pid in [p for p, n in self._children.items() if n == request["number"]]:
                os.kill(pid, request["signal"])

    def _start(self, request: Mapping[str, Any], pipe: int) -> None:
        warm = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            _run_child(self._handlers, request, pipe, warm)
        os.close(pipe)
        self._children[pid] = request["number"]

    def _bury(self) -> None:
        """Tell how children ended that have ended."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                self._tell({"number": number, "ended": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")


def _run_child(
    handlers: Mapping[str, Handler], request: Mapping[str, Any], pipe: int, warm: int
) -> NoReturn:
    """Be a child: do the job, write its outcome into the pipe, end."""
    code = 1
    try:
        _die_with(warm)
        stopped = _own_signals()
        _own_output(request["log"])
        _limit_memory(request.get("memory"))
        _write(pipe, {"pid": os.getpid()})

        def emit(event: Event) -> None:
            _write(pipe, {"event": asdict(event)})

        _write(pipe, attempt(handlers, request["job"], emit, stopped))
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may climb into the warm process's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _die_with(warm: int) -> None:
    """Let the kernel end this process when the warm process ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != warm:  # it ended before the line above
        os._exit(1)


def _own_signals() -> Stopped:
    """Let SIGTERM set a flag and nothing else; return what reads the flag."""
    asked: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, remember)
    return lambda: bool(asked)


def _own_output(log: str) -> None:
    """Send what the job prints to its log: the terminal belongs to the progress display."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _limit_memory(limit: int | None) -> None:
    """Let the job take `limit` bytes of address space beyond what it has now."""
    if limit is None or not Path("/proc/self/statm").exists():
        return
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + limit, hard))


def _write(pipe: int, message: Mapping[str, Any]) -> None:
    """Tell the process that asked; end at once when it is gone, which is no failure of the job."""
    data = memoryview(json.dumps(message).encode() + b"\n")
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except BrokenPipeError:
        os._exit(1)


def _reason(error: Exception) -> str:
    """Return one sentence for people; torch says in many words that memory ran out."""
    text = " ".join(str(error).split())
    low = text.lower()
    if isinstance(error, MemoryError) or "allocate memory" in low or "out of memory" in low:
        return "out of memory"
    if isinstance(error, AssayError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _warm_up(preload: Sequence[str], *, train: bool = True) -> None:
    """Import what jobs need, read the cards, train for a step: no job waits for a first time.

    A backward pass wakes every accelerator that torch sees, and no child could use one then.
    """
    import torch

    from assay.engine.machine import keep_memory

    keep_memory()

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    for name in _USED_BY_JOBS:
        import_module(name)
    _import_all(preload)
    from assay.canon.catalog import catalog
    from assay.learners.optimization import Optimization

    catalog()
    if not train or torch.accelerator.is_available():
        return
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.BatchNorm2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(72, 2),
    )
    recipes = [Recipe(optimizer="sgd"), Recipe(optimizer="adamw", clip=1.0)]
    for recipe in recipes:
        optimization = Optimization(model, recipe=recipe, steps=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = model(torch.zeros(2, 1, 8, 8))
        targets = torch.zeros(2, dtype=torch.int64)
        loss = torch.nn.functional.cross_entropy(scores.float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimization.step()


def _import_all(names: Sequence[str]) -> None:
    """Import modules; the job that needs one that is not there says so."""
    for name in names:
        with suppress(ImportError):
            import_module(name)


if __name__ == "__main__":
    os._exit(main())  # taking torch apart would keep the study waiting
