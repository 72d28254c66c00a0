"""Runs jobs on a Ray cluster, as `engine/executor.py` runs them on this machine.

Every seat is a Ray actor (`ray_worker.RayWorker`) with a warm process of its own, which forks a
child for each job. What we hand to Ray are JSON texts and bytes. Ray's own transport pickles the
envelope of its messages: whoever reaches a cluster's ports can run code there, so keep them on a
network that you trust.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.engine.artifacts import (
    Arriving,
    Depot,
    as_json,
    data_key,
    in_order,
    keep_newest,
    pieces,
    plain,
)
from assay.engine.executor import Job, JobResult, OnEvent, Pool, _Queue, _Waiting
from assay.engine.machine import cores, versions
from assay.engine.ray_address import RayCluster, check_within_reach
from assay.engine.spec import Event
from assay.errors import BadArgumentError, TrialError

_RETRIES = 2  # of a job whose worker was lost
_POLL = 1.0  # seconds that a worker waits for something to tell
_LOOK_AROUND = 0.2  # seconds between two looks at whether somebody asked to stop
_SILENCE = 120.0  # seconds without an answer after which a worker counts as lost
_ROOM = 90.0  # seconds that a cluster may have no room at all
_COUNT_AGAIN = 5.0  # seconds between two looks at which nodes there are
_CHECKPOINTS = 10.0  # seconds between two checkpoints that are fetched, at least
_LAST_WORDS = 15.0  # seconds that a worker gets beyond the grace of a stop
_AT_HOME = frozenset({"count", "measure"})  # a network's costs are those on the machine that asks
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would have the working folder uploaded
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "4",  # of each of three tries
    "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "4",
}


@dataclass
class _Seat:
    """An actor, the answer that it owes, and the job it has."""

    actor: Any
    call: Any  # of `facts`, later of `poll`
    facts: dict[str, Any] = field(default_factory=dict)
    waiting: _Waiting | None = None
    heard: float = field(default_factory=time.monotonic)
    asked_to_stop: bool = False
    arriving: dict[str, Arriving] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return str(self.facts.get("host", "a node"))


class RayPool:
    """Seats on a Ray cluster, with Pool's interface.

    A trial trains in a folder of its worker; what it writes there comes back into the payload's
    `folder`, `record.json` last, and a checkpoint every ten seconds (less often when they are
    large: sending takes at most a twentieth of the time). A trial whose worker is lost continues
    elsewhere from the last checkpoint that came; what was trained since then is lost. After three
    losses it is a failed trial. A job that counts or measures a network runs on this machine.

    Args:
        cluster: From `parse_executor`.
        workers: Jobs at once; None is as many as the cluster has room for, counted again as nodes
            come and go.
        preload: As Pool has it.
        options: As Pool has it.
        accelerated: As Pool has it.
        same_files: Whether a worker that finds the data at this machine's path uses them there.
        checkpoints: Seconds between two checkpoints that are fetched, at least.
    """

    def __init__(
        self,
        cluster: RayCluster,
        *,
        workers: int | None = None,
        preload: Iterable[str] = (),
        options: Iterable[str] = (),
        accelerated: bool = False,
        same_files: bool = True,
        checkpoints: float = _CHECKPOINTS,
    ) -> None:
        if workers is not None and workers < 1:
            raise BadArgumentError(f"`workers` must be at least 1. Received workers={workers}.")
        self.workers = workers or 1
        self._cluster, self._most = cluster, workers
        self._preload, self._options = tuple(preload), tuple(options)
        self._words = as_json(
            {
                "preload": self._preload,
                "options": self._options,
                "accelerated": accelerated,
                "memory": cluster.memory,
                "every": checkpoints,
                "artifacts": cluster.artifacts,
                "same_files": same_files,
            }
        )
        self._seats: list[_Seat] = []
        self._home: Pool | None = None
        self._depot: Depot | None = None
        self._parcels: dict[str, tuple[str, list[Any]]] = {}  # data sets that were handed over
        self._keys: dict[str, str] = {}
        self._ray: Any = None
        self._connected_here = False
        self._counted = 0.0
        self._room_since = 0.0
        self._failures = 0  # of workers to start, in a row
        self._grace = 0.0
        self._deadline: float | None = None

    def __enter__(self) -> Self:
        """Connect, and wait for the first worker that is ready.

        Raises:
            MissingExtraError: ray is not installed.
            BadArgumentError: The cluster cannot be reached, has no room for a trial, or has other
                versions of what computes.
        """
        check_within_reach(self._cluster)
        if self._cluster.artifacts:
            self._depot = Depot(self._cluster.artifacts)
            self._depot.check()
        self._ray, self._connected_here = connect(self._cluster)
        try:
            self._count(first=True)
            self._take_seats(self.workers)
            self._room_since = time.monotonic()
            while not any(seat.facts for seat in self._seats):
                self._wake(self._answers())
                self._take_seats(self.workers)
                self._insist_on_room()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._home is not None:
            self._home.__exit__(kind, error, at)
            self._home = None
        for seat in list(self._seats):
            self._remove(seat)
        self._parcels.clear()
        if self._connected_here:
            self._ray.shutdown()
        self._ray, self._connected_here = None, False

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._deadline is not None

    @property
    def processors(self) -> tuple[str, ...]:
        """The names of the processors of the workers that have answered, each once."""
        return tuple(sorted({seat.facts["processor"] for seat in self._seats if seat.facts}))

    def run(
        self,
        jobs: Iterable[Job],
        on_event: OnEvent | None = None,
        *,
        at_once: int | None = None,
    ) -> Iterator[tuple[Job, JobResult]]:
        """Yield every job with its result as it ends: see `Pool.run`.

        Args:
            jobs: All of one kind. One is taken when a worker is ready for it and not before.
            on_event: Called with what the jobs report, in this process and thread.
            at_once: Jobs at once, when other than `workers`.

        Raises:
            StoreError: A trial's files cannot be written here; the others are ended.
            TrialError: The cluster has no room any more.
            BadArgumentError: A node has other versions of what computes.
        """
        line = iter(jobs)
        first = next(line, None) if not self.stopping else None
        if first is None:
            return
        line = chain([first], line)
        if first.kind in _AT_HOME:
            yield from self._at_home().run(line, on_event, at_once=at_once)
            return
        try:
            yield from self._run(_Queue(line), on_event or _ignore, at_once)
        finally:
            for seat in [s for s in self._seats if s.waiting is not None]:
                self._remove(seat)  # nobody waits for what it does any more

    def stop(self, grace: float = 30.0) -> None:
        """Ask all jobs to write a checkpoint and end; nothing new starts. Returns at once.

        Safe inside a signal handler: `run` sees it within a second.

        Args:
            grace: Seconds until those that still run are killed.
        """
        if self._deadline is None:
            self._grace = grace
            self._deadline = time.monotonic() + grace + _LAST_WORDS
        if self._home is not None:
            self._home.stop(grace)

    def kill(self) -> None:
        """End all jobs at once; they continue from what has come back another time."""
        self._deadline = time.monotonic()
        if self._home is not None:
            self._home.kill()

    def _run(
        self, queue: _Queue, on_event: OnEvent, at_once: int | None
    ) -> Iterator[tuple[Job, JobResult]]:
        self._room_since = time.monotonic()
        more = True
        while True:
            if not self.stopping:
                self._count()
                self._take_seats(at_once or self.workers)
                more = self._fill(queue, at_once or self.workers)
            running = [seat for seat in self._seats if seat.waiting is not None]
            if not running and (self.stopping or not more):
                return
            self._pass_on_stop(running)
            answers = self._answers()
            self._wake(answers)
            results = [r for s in running for r in self._hear(s, answers, queue, on_event)]
            self._insist_on_room()
            yield from results

    def _fill(self, queue: _Queue, at_once: int) -> bool:
        """Give jobs to workers that are ready; return whether there may be more jobs."""
        busy = sum(seat.waiting is not None for seat in self._seats)
        for seat in self._seats:
            if not seat.facts or seat.waiting is not None or busy >= at_once:
                continue
            waiting = queue.take()
            if waiting is None:
                return False
            self._begin(seat, waiting)
            busy += 1
        return True

    def _begin(self, seat: _Seat, waiting: _Waiting) -> None:
        job, names, contents = asdict(waiting.job), [], []
        payload = job["payload"]
        if "folders" in payload:  # what it wrote would stay on the worker
            raise BadArgumentError(
                "A job on a Ray cluster has one folder at most. Received several, "
                f"in {job['kind']!r}; send its trials one by one."
            )
        if "data" in payload:
            payload["data_key"] = self._key(payload["data"])
        if "folder" in payload:
            files = in_order(Path(payload["folder"]))
            names, contents = [f.name for f in files], [f.read_bytes() for f in files]
        seat.actor.begin.remote(as_json(job), as_json(names), *contents)
        seat.waiting, seat.heard = waiting, time.monotonic()
        seat.call = seat.actor.poll.remote(_POLL)

    def _hear(
        self, seat: _Seat, answers: Mapping[Any, Any], queue: _Queue, on_event: OnEvent
    ) -> list[tuple[Job, JobResult]]:
        """Take in what a worker told of its job; return the job if it has ended."""
        if seat.waiting is None:
            return []
        if seat.call not in answers:
            silent = time.monotonic() - seat.heard > _SILENCE
            late = self._deadline is not None and time.monotonic() >= self._deadline
            if not silent and not late:
                return []
            return self._lost(seat, f"no answer for {_SILENCE:g} seconds", queue, on_event)
        told = answers[seat.call]
        if isinstance(told, Exception):
            return self._lost(seat, _first_line(told), queue, on_event)
        seat.heard = time.monotonic()
        for text, content in told:
            ended = self._take(seat, text, content, on_event)
            if ended is not None:
                return self._ended(seat, ended, queue, on_event)
        seat.call = seat.actor.poll.remote(_POLL)
        return []

    def _take(
        self, seat: _Seat, text: str, content: bytes, on_event: OnEvent
    ) -> dict[str, Any] | None:
        """Take in one message; return how the job ended if that is what it tells."""
        waiting = seat.waiting
        message: dict[str, Any] = json.loads(text)
        ended: dict[str, Any] | None = message.get("ended")
        if waiting is None or ended is not None:
            return ended
        payload = waiting.job.payload
        if "event" in message:
            on_event(Event(**message["event"]))
        elif "wants" in message:
            self._hand_over(seat, Path(payload["data"]), message["wants"])
        elif "file" in message:
            folder, name = Path(payload["folder"]), plain(message["file"])
            folder.mkdir(parents=True, exist_ok=True)
            arriving = seat.arriving.setdefault(name, Arriving(folder / name))
            arriving.add(content, last=message["last"])
            if message["last"]:
                del seat.arriving[name]
                keep_newest(folder)
        elif "stored" in message and self._depot is not None:
            folder, name = Path(payload["folder"]), plain(message["stored"])
            folder.mkdir(parents=True, exist_ok=True)
            self._depot.get(f"trials/{waiting.job.key}/{name}", folder / name)
            self._depot.remove(f"trials/{waiting.job.key}/{name}")
            keep_newest(folder)
        return None

    def _ended(
        self, seat: _Seat, ended: dict[str, Any], queue: _Queue, on_event: OnEvent
    ) -> list[tuple[Job, JobResult]]:
        if ended["status"] == "lost":
            return self._lost(seat, ended["reason"], queue, on_event)
        if ended["status"] == "stopped" and not self.stopping:
            return self._lost(seat, "asked to stop by somebody else", queue, on_event)
        waiting, seat.waiting = seat.waiting, None
        return [] if waiting is None else [(waiting.job, JobResult(**ended))]

    def _lost(
        self, seat: _Seat, why: str, queue: _Queue, on_event: OnEvent
    ) -> list[tuple[Job, JobResult]]:
        """Give up a worker; its job starts again elsewhere, unless that has been too often."""
        waiting, where = seat.waiting, seat.where
        self._remove(seat)
        if waiting is None:
            return []
        if self.stopping:
            return [(waiting.job, JobResult("stopped"))]
        if waiting.killed >= _RETRIES:
            reason = f"its worker was lost {waiting.killed + 1} times, last {where}: {why}"
            return [(waiting.job, JobResult("failed", {}, reason))]
        queue.put_back(_Waiting(waiting.job, waiting.killed + 1))
        on_event(_again(waiting.job, f"{where} was lost; trying again elsewhere"))
        return []

    def _hand_over(self, seat: _Seat, folder: Path, key: str) -> None:
        """Give a worker a data set; it is read and put in Ray's store, or in the depot, once."""
        if key not in self._parcels:
            self._parcels[key] = self._wrap(folder, key)
        seat.actor.give.remote(*self._parcels[key])

    def _wrap(self, folder: Path, key: str) -> tuple[str, list[Any]]:
        if self._depot is not None:
            return as_json({"names": self._depot.put_folder(folder, f"data/{key}")}), []
        marks: list[tuple[str, bool]] = []
        refs = []
        for path in in_order(folder):
            with path.open("rb") as file:
                size, sent = os.fstat(file.fileno()).st_size, 0
                for piece in pieces(file):
                    sent += len(piece)
                    refs.append(self._ray.put(piece))
                    marks.append((path.name, sent == size))
        return as_json({"pieces": marks}), refs

    def _key(self, folder: str) -> str:
        if folder not in self._keys:
            self._keys[folder] = data_key(Path(folder))
        return self._keys[folder]

    def _at_home(self) -> Pool:
        if self._home is None:
            self._home = Pool(cores(), preload=self._preload, options=self._options)
            self._home.__enter__()
        return self._home

    def _count(self, *, first: bool = False) -> None:
        """Count how many jobs the cluster has room for."""
        if time.monotonic() - self._counted < _COUNT_AGAIN:
            return
        self._counted = time.monotonic()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        room = sum(self._room(node) for node in nodes)
        if first and not room:
            has = "; ".join(
                f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU, "
                f"{node.get('memory', 0) / 2**30:.1f} GiB"
                for node in nodes
            )
            raise BadArgumentError(
                f"A cluster must have room for one trial ({self._takes}). The nodes of "
                f"{self._cluster.shown} have {has}; ask for less, or add a node."
            )
        self.workers = min(self._most or room, room) or 1

    def _room(self, node: Mapping[str, float]) -> int:
        needs = {
            "CPU": self._cluster.cpus,
            "GPU": self._cluster.gpus,
            "memory": self._cluster.memory or 0,
        }
        return min(int(node.get(name, 0) / need + 1e-9) for name, need in needs.items() if need)

    @property
    def _takes(self) -> str:
        cluster = self._cluster
        memory = f", memory={cluster.memory / 2**30:g}" if cluster.memory else ""
        return f"cpus={cluster.cpus:g}, gpus={cluster.gpus:g}{memory}"

    def _take_seats(self, wanted: int) -> None:
        """Have as many actors as jobs may run; Ray places each when there is room."""
        while len(self._seats) < wanted:
            actor = _actor_class(self._ray, self._cluster).remote(self._words)
            self._seats.append(_Seat(actor, actor.facts.remote()))

    def _answers(self) -> dict[Any, Any]:
        """Return what the seats answered, or how they failed, within a fraction of a second."""
        owed = [seat.call for seat in self._seats if seat.call is not None]
        if not owed:
            time.sleep(_LOOK_AROUND)
            return {}
        ready, _ = self._ray.wait(owed, num_returns=1, timeout=_LOOK_AROUND)
        if ready:
            ready, _ = self._ray.wait(owed, num_returns=len(owed), timeout=0)
        return {ref: self._answer(ref) for ref in ready}

    def _answer(self, ref: Any) -> Any:
        try:
            return self._ray.get(ref)
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker is lost
            return error

    def _wake(self, answers: Mapping[Any, Any]) -> None:
        """Take in which actors have a place now; refuse those that would compute otherwise."""
        for seat in [s for s in self._seats if not s.facts and s.call in answers]:
            told = answers[seat.call]
            seat.call = None
            if isinstance(told, Exception):
                self._remove(seat)
                _refuse_without_assay(told)
                self._failed_to_start(told)
                continue
            self._failures = 0
            seat.facts = json.loads(told)
            _refuse_other_versions(seat.facts)

    def _failed_to_start(self, error: Exception) -> None:
        """Count; a node may die while a worker starts there, but not again and again."""
        self._failures += 1
        if self._failures > _RETRIES + self.workers:
            raise TrialError(
                f"Workers must start on {self._cluster.shown}. {self._failures} in a row did not, "
                f"the last one because: {_first_line(error)}."
            )

    def _insist_on_room(self) -> None:
        """Raise when no worker has been ready for long."""
        if self.stopping or any(seat.facts for seat in self._seats):
            self._room_since = time.monotonic()
        elif time.monotonic() - self._room_since > _ROOM:
            raise TrialError(
                f"A cluster must have room for one trial ({self._takes}). {self._cluster.shown} "
                f"has had none for {_ROOM:g} seconds; what was measured is kept, run the same "
                "command again to continue."
            )

    def _pass_on_stop(self, running: list[_Seat]) -> None:
        if not self.stopping:
            return
        for seat in running:
            if not seat.asked_to_stop:
                seat.asked_to_stop = True
                seat.actor.stop.remote(self._grace)

    def _remove(self, seat: _Seat) -> None:
        for arriving in seat.arriving.values():
            arriving.drop()
        self._seats.remove(seat)
        with suppress(Exception):  # it may be gone
            self._ray.kill(seat.actor)


def _actor_class(ray: Any, cluster: RayCluster) -> Any:
    from assay.engine.ray_worker import RaySeat

    return ray.remote(RaySeat).options(
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus,
        memory=cluster.memory,
        max_restarts=0,
        max_concurrency=4,
        scheduling_strategy="SPREAD",
    )


def connect(cluster: RayCluster) -> tuple[Any, bool]:
    """Return ray, connected, and whether this call has done that."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return ray, False
    _hush()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        with _own_signals():
            if cluster.address:
                ray.init(address=cluster.address, **quiet)
            else:
                _join_or_start(ray, quiet)
    except Exception as error:
        with suppress(Exception):
            ray.shutdown()
        raise BadArgumentError(
            f"A Ray cluster must take this process in. {cluster.shown} did not: "
            f"{_first_line(error)}; see that it runs, with the same ray and python as here."
        ) from error
    return ray, True


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our answers to signals, which `ray.init` replaces, and its warnings to itself."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, answer in before.items():
                signal.signal(number, answer)


def _hush() -> None:
    """Have Ray print nothing of lost nodes into the progress display: we tell of them."""
    with suppress(ImportError):
        from ray._private import worker

        if hasattr(worker, "print_to_stdstream"):
            worker.print_to_stdstream = lambda *args, **named: None


def _join_or_start(ray: Any, quiet: Mapping[str, Any]) -> None:
    """Join the cluster that this machine is part of; start one for ourselves when there is none."""
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        if os.environ.get("RAY_ADDRESS"):
            raise
        ray.init(address="local", num_cpus=cores(), include_dashboard=False, **quiet)


def _refuse_without_assay(error: Exception) -> None:
    """Raise where a worker could not even begin for want of our package."""
    text = str(error)
    if "ModuleNotFoundError" in text or "No module named" in text:
        missing = text.partition("No module named")[2].split()[:1]
        raise BadArgumentError(
            f"Every node must have assay installed as it is here. One lacks "
            f"{missing[0] if missing else 'a module'}; install the same there."
        ) from error


def _refuse_other_versions(facts: Mapping[str, Any]) -> None:
    """Raise where a node's python, torch, numpy or assay is not ours."""
    ours, theirs = versions(), facts["versions"]
    other = [name for name in ours if ours[name] != theirs.get(name)]
    if other:
        there = ", ".join(f"{name} {theirs.get(name)}" for name in other)
        here = ", ".join(f"{name} {ours[name]}" for name in other)
        raise BadArgumentError(
            "Every node must have the python, torch, numpy and assay of this machine. "
            f"{facts['host']} has {there}, here it is {here}; install the same there."
        )


def _again(job: Job, text: str) -> Event:
    spec = job.payload.get("spec", {})
    candidate = spec.get("candidate") or job.payload.get("candidate") or {}
    name = candidate.get("name", job.key)
    return Event(kind="resume", candidate=name, seed=spec.get("seed", -1), text=text)


def _first_line(error: Exception) -> str:
    """Return what a long message of Ray's says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line for line in lines if "because" in line), next(iter(lines), ""))
    if first.endswith(":"):  # a traceback follows
        first = f"{first} {lines[-1]}"
    return first.rstrip(".")[:300] or type(error).__name__


def _ignore(event: Event) -> None:
    del event
