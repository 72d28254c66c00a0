"""Runs jobs in worker processes. Knows nothing of torch, and little of what a job is."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from assay.engine.spec import Event
from assay.engine.warm import WarmProcess, last_line
from assay.errors import BadArgumentError, DeviceError, StoreError, TrialError

OnEvent = Callable[[Event], None]

_RETRIES = 2  # of a job whose process somebody else killed
_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
_LOOK_AROUND = 1.0  # seconds between two looks at the clock


@dataclass(frozen=True)
class Job:
    """A piece of work for a process of its own.

    Attributes:
        kind: What is to be done: `engine/worker.py` has the handlers.
        key: The caller's name for it.
        payload: What the handler needs; JSON.
    """

    kind: str
    key: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        status: "stopped" is a job that was asked to stop and can be continued.
        value: What the handler returned; JSON.
        reason: Why it failed, one sentence.
        detail: The traceback, if there was one.
    """

    status: Literal["done", "failed", "stopped"]
    value: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""


@dataclass
class _Waiting:
    """A job that has not started yet, or has to start again."""

    job: Job
    killed: int = 0  # times that its process was killed from outside


class _Queue:
    """What waits: jobs that start again, the last put back first, then those that are new."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._again: list[_Waiting] = []
        self._new = iter(jobs)

    def put_back(self, waiting: _Waiting) -> None:
        self._again.append(waiting)

    def take(self) -> _Waiting | None:
        """Return the next, or None when there is none."""
        if self._again:
            return self._again.pop()
        job = next(self._new, None)
        return None if job is None else _Waiting(job)


@dataclass
class _Running:
    """A job whose process runs, and what has been heard from it."""

    number: int
    waiting: _Waiting
    pipe: int
    log: Path
    out_of_memory: int  # processes that the kernel had killed for memory when this one started
    text: bytes = b""
    silent: bool = False  # it has closed its end: nothing more will come
    outcome: dict[str, Any] | None = None
    pid: int | None = None
    ended: int | None = None  # exit code, negative for a signal


class Pool:
    """A warm process that has torch imported, and the children it forks, one for each job.

    Args:
        workers: Jobs at once.
        memory: Bytes that one job may take beyond what the warm process holds; None is no limit.
        preload: Modules that jobs will need, imported once: "timm", for example.
        later: Modules that only jobs after the first ones need, imported while those run.
        options: Further words of the worker's command line; tests use them.
        accelerated: Whether jobs compute on accelerators, which they do not see otherwise.
    """

    def __init__(
        self,
        workers: int,
        *,
        memory: int | None = None,
        preload: Iterable[str] = (),
        later: Iterable[str] = (),
        options: Iterable[str] = (),
        accelerated: bool = False,
    ) -> None:
        if workers < 1:
            raise BadArgumentError(f"`workers` must be at least 1. Received workers={workers}.")
        self.workers, self._memory, self._accelerated = workers, memory, accelerated
        self._options = [*options, "--preload", *preload, "--later", *later]
        self._folder = Path()
        self._warm: WarmProcess | None = None
        self._deaths = 0  # of the warm process since a job last ended well
        self._number = 0
        self._running: dict[int, _Running] = {}
        self._deadline: float | None = None  # of a stop, on the monotonic clock
        self._bell, self._rope = -1, -1  # a pipe: `stop` may be called by a signal handler

    def __enter__(self) -> Self:
        """Start the warm process; it imports while the caller goes on."""
        self._folder = Path(tempfile.mkdtemp(prefix="assay-pool-"))
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._rope, False)
        self._warm = self._new_process()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._forget_all()
        if self._warm is not None:
            self._warm.close()
        self._warm = None
        for end in (self._bell, self._rope):
            os.close(end)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _new_process(self) -> WarmProcess:
        return WarmProcess(self._folder, self._options, accelerated=self._accelerated)

    @property
    def pid(self) -> int:
        """Process id of the warm process."""
        return self._process.pid

    @property
    def children(self) -> tuple[int, ...]:
        """Process ids of the jobs that run."""
        return tuple(r.pid for r in self._running.values() if r.pid is not None)

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._deadline is not None

    def run(
        self,
        jobs: Iterable[Job],
        on_event: OnEvent | None = None,
        *,
        at_once: int | None = None,
    ) -> Iterator[tuple[Job, JobResult]]:
        """Yield every job with its result as it ends. They start in the order given.

        A job is taken from `jobs` when there is room for it and not before.

        Args:
            jobs: What is to be done.
            on_event: Called with what the jobs report, in this process and thread.
            at_once: Jobs at once, when other than `workers`; 1 keeps a measurement undisturbed.

        Raises:
            StoreError: When a job cannot write its files; the others are killed.
            TrialError: When the warm process dies again and again.
        """
        queue = _Queue(jobs)
        try:
            self._fill(queue, at_once or self.workers)
            while self._running:
                self._listen(queue, on_event or _ignore)
                results = self._ended(queue, on_event or _ignore)
                self._fill(queue, at_once or self.workers)  # nobody waits for what the caller does
                yield from results
        finally:
            self._forget_all()

    def stop(self, grace: float = 30.0) -> None:
        """Ask all jobs to write a checkpoint and end; nothing new starts. Returns at once.

        Safe inside a signal handler. `run` yields the jobs that ended so as "stopped".

        Args:
            grace: Seconds until those that still run are killed.
        """
        if self._deadline is None:
            self._deadline = time.monotonic() + grace
            self._ring()

    def kill(self) -> None:
        """End all jobs at once; they continue from their last checkpoints another time."""
        self._deadline = time.monotonic()
        self._signal_all(signal.SIGKILL)  # by name, where the kernel does not do it
        if self._warm is not None:
            self._warm.kill()

    @property
    def _process(self) -> WarmProcess:
        if self._warm is None:
            raise BadArgumentError("A Pool works inside its `with` block. Received a call outside.")
        return self._warm

    def _ring(self) -> None:
        if self._rope >= 0:
            os.write(self._rope, b"!")

    def _fill(self, queue: _Queue, at_once: int) -> None:
        """Start jobs until `at_once` run; after a stop, none."""
        while not self.stopping and len(self._running) < at_once:
            waiting = queue.take()
            if waiting is None:
                return
            self._start(waiting)

    def _start(self, waiting: _Waiting) -> None:
        self._number += 1
        log = self._folder / f"{self._number}.log"
        request = {
            "number": self._number,
            "job": asdict(waiting.job),
            "log": str(log),
            "memory": self._memory,
        }
        pipe = self._process.start(request)
        self._running[self._number] = _Running(self._number, waiting, pipe, log, kills_for_memory())

    def _listen(self, queue: _Queue, on_event: OnEvent) -> None:
        """Wait until something happens, and take it in."""
        if not self._running:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            selector.register(self._process, selectors.EVENT_READ)
            for running in self._running.values():
                if not running.silent:
                    selector.register(running.pipe, selectors.EVENT_READ, running)
            ready = {key.fd: key.data for key, _ in selector.select(self._patience())}
        for running in filter(None, ready.values()):
            _take(running, on_event)
        if self._bell in ready:
            os.read(self._bell, 4096)
            self._ask_to_stop()
        if self._process.fileno() in ready:
            self._hear(queue)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.kill()

    def _ask_to_stop(self) -> None:
        """Pass SIGTERM on; a warm process that still imports has nothing worth keeping."""
        if self.children:
            self._signal_all(signal.SIGTERM)
        else:
            self.kill()

    def _patience(self) -> float:
        if self._deadline is None:
            return _LOOK_AROUND
        return min(_LOOK_AROUND, max(0.02, self._deadline - time.monotonic()))

    def _signal_all(self, signal_number: int) -> None:
        if self._warm is not None:
            for number in self._running:
                self._warm.signal(number, signal_number)

    def _hear(self, queue: _Queue) -> None:
        """Take in what the warm process says."""
        messages = self._process.hear()
        if messages is None:
            self._start_again(queue)
            return
        for message in messages:
            running = self._running.get(message.get("number", 0))
            if running is not None:
                running.ended = message.get("ended", running.ended)

    def _start_again(self, queue: _Queue) -> None:
        """Replace the warm process, which is gone and its children with it."""
        self._deaths += 1
        words, code = self._process.last_words(), self._process.close()
        self._warm = None
        for running in self._running.values():
            running.ended = -signal.SIGKILL if running.ended is None else running.ended
        if self._deaths > 1 and not self.stopping:
            raise TrialError(
                f"The worker process must stay alive. It has died twice in a row: "
                f"{describe_end(code)}{f', {words}' if words else ''}; what was measured is kept, "
                "run the same command again to continue."
            )
        lost = [r for r in self._running.values() if not self.stopping and not _heard(r)]
        for running in reversed(lost):
            queue.put_back(running.waiting)
            self._forget(running)
        if not self.stopping:
            self._warm = self._new_process()

    def _ended(self, queue: _Queue, on_event: OnEvent) -> list[tuple[Job, JobResult]]:
        """Return the jobs whose processes have ended; put back those that may try again."""
        results = []
        for running in [r for r in self._running.values() if r.ended is not None]:
            _take(running, on_event)  # what it wrote before it ended
            self._forget(running)
            result = self._result(running)
            if result is None:
                queue.put_back(_Waiting(running.waiting.job, running.waiting.killed + 1))
                on_event(_again(running))
            else:
                results.append((running.waiting.job, result))
        return results

    def _result(self, running: _Running) -> JobResult | None:
        """Return how a job ended, or None when it is to start again."""
        outcome = running.outcome
        if outcome is not None and "value" in outcome:
            self._deaths = 0
            return JobResult("done", outcome["value"])
        if outcome is not None and "stopped" not in outcome:
            self._deaths = 0
            return _failure(outcome)
        if self.stopping:
            return JobResult("stopped")
        return self._death(running)

    def _death(self, running: _Running) -> JobResult | None:
        """Return the failure of a job whose process ended without an outcome, or None: again."""
        code = running.ended or 0
        stopped = running.outcome is not None  # somebody sent SIGTERM to the process alone
        if code == -signal.SIGKILL and kills_for_memory() > running.out_of_memory:
            return JobResult("failed", {}, "out of memory: the system killed the process")
        outside = stopped or -code in _OUTSIDE
        if outside and running.waiting.killed < _RETRIES:
            return None
        often = f" {running.waiting.killed + 1} times" if outside else ""
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        how = "asked to stop by somebody else" if stopped else describe_end(code)
        return JobResult("failed", {}, f"{how}{often}{hint}", last_line(running.log))

    def _forget(self, running: _Running) -> None:
        os.close(running.pipe)
        del self._running[running.number]

    def _forget_all(self) -> None:
        """Kill what still runs; nobody waits for it any more."""
        self._signal_all(signal.SIGKILL)
        for running in list(self._running.values()):
            self._forget(running)


class Inline:
    """The same jobs in this process, one after another: for short ones, or without fork."""

    def __init__(self) -> None:
        self.workers = 1
        self.stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Nothing runs once a `run` has ended."""

    def run(
        self,
        jobs: Iterable[Job],
        on_event: OnEvent | None = None,
        *,
        at_once: int | None = None,  # noqa: ARG002 - as Pool has it
    ) -> Iterator[tuple[Job, JobResult]]:
        """Yield every job with its result. A keyboard interrupt counts as a stop.

        Args:
            jobs: What is to be done.
            on_event: Called with what the jobs report.
            at_once: As Pool has it; here it is always one.
        """
        from assay.engine.worker import HANDLERS, attempt

        for job in jobs:
            if self.stopping:
                return
            outcome = attempt(HANDLERS, asdict(job), on_event or _ignore, lambda: self.stopping)
            self.stopping = self.stopping or "stopped" in outcome
            yield job, _inline_result(outcome)

    def stop(self, grace: float = 30.0) -> None:  # noqa: ARG002 - as Pool has it
        """Ask the running job to write a checkpoint and end.

        Args:
            grace: As Pool has it; there is no other process to kill here.
        """
        self.stopping = True

    def kill(self) -> None:
        """Do what `stop` does."""
        self.stopping = True


def describe_end(code: int) -> str:
    """Return how a process ended, for the middle of a sentence.

    Args:
        code: As `os.waitstatus_to_exitcode` gives it: negative for a signal.
    """
    if code >= 0:
        return f"ended without a result (exit code {code})"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    verb = "killed by" if -code in _OUTSIDE else "crashed with"
    return f"{verb} signal {-code}{name}"


def kills_for_memory() -> int:
    """Return how many processes the kernel has killed here for memory, as far as it tells."""
    for table in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        try:
            facts = dict(line.split(maxsplit=1) for line in table.read_text().splitlines())
        except (OSError, ValueError):
            continue
        if "oom_kill" in facts:
            return int(facts["oom_kill"])
    return 0


def _ignore(event: Event) -> None:
    """Do nothing with an event."""


def _heard(running: _Running) -> bool:
    """Return whether a job's outcome has come, reading what is left in its pipe."""
    _take(running, _ignore)
    return running.outcome is not None


def _take(running: _Running, on_event: OnEvent) -> None:
    """Read what a job has written: events go to the caller, the outcome is kept."""
    while data := _read(running.pipe):
        running.text += data
    running.silent = data == b""
    *lines, running.text = running.text.split(b"\n")
    for message in map(json.loads, lines):
        if "event" in message:
            on_event(Event(**message["event"]))
        elif "pid" in message:
            running.pid = message["pid"]
        else:
            running.outcome = message


def _read(pipe: int) -> bytes | None:
    """Return what is there, None when nothing has come, and nothing at all at the end."""
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return None


def _again(running: _Running) -> Event:
    """Return the event that says that a killed job starts again."""
    spec = running.waiting.job.payload.get("spec", {})
    candidate = spec.get("candidate") or running.waiting.job.payload.get("candidate") or {}
    return Event(
        kind="resume",
        candidate=candidate.get("name", running.waiting.job.key),
        seed=spec.get("seed", -1),
        text=f"{describe_end(running.ended or 0)}; trying again",
    )


def _inline_result(outcome: Mapping[str, Any]) -> JobResult:
    if "value" in outcome:
        return JobResult("done", json.loads(json.dumps(outcome["value"])))
    if "stopped" in outcome:
        return JobResult("stopped")
    return _failure(outcome)


def _failure(outcome: Mapping[str, Any]) -> JobResult:
    """Return a failed job's result; a full disk or a lost device fails the study, not the job."""
    if "unwritable" in outcome:
        raise StoreError(outcome["unwritable"])
    if "deviceless" in outcome:
        raise DeviceError(outcome["deviceless"])
    return JobResult("failed", {}, outcome["reason"], outcome["detail"])
