"""One training by several processes: start its ranks, watch them, tell how they ended."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from assay.data.dataset import Dataset
from assay.engine.executor import describe_end
from assay.engine.place import Place, place
from assay.engine.spec import Event, TrialRecord, TrialSpec, spec_from_json
from assay.errors import AssayError, Interrupted, StoreError, TrialError

Emit = Callable[[Event], None]
OpenData = Callable[[], Dataset]

TIMEOUT = 300.0  # seconds that a rank waits for another before it counts as lost
PATIENCE = 1800.0  # seconds that a host waits for the first one's next trial
_GRACE = 3.0  # seconds that ranks may outlive one that failed
_LOOK_AROUND = 0.1  # seconds between two looks at the ranks
_GOODBYE = 10.0  # seconds for the other hosts to hear that the study is over
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def run_distributed(
    spec: TrialSpec,
    open_data: OpenData,
    folder: Path,
    *,
    emit: Emit | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint_every: float = 2.0,
    timeout: float = TIMEOUT,
    where: Place | None = None,
) -> TrialRecord:
    """Run one trial, or what is left of it, on the ranks that its plan asks for.

    Leaves what `run_trial` leaves in `folder`. Ranks of this host are forked from this process;
    those of others are started by `follow` there. With "ddp" in fp32 the record is that of one
    process within rounding, unless the network draws random numbers or has batch normalisation,
    whose statistics are of each rank's own examples.

    Args:
        spec: Whose plan says how many ranks there are.
        open_data: Opens the data set; called in each rank.
        folder: The trial's own.
        emit: Told of start, resume, progress and finish.
        stop: Asked all the time; true checkpoints and raises `Interrupted`.
        checkpoint_every: Seconds between checkpoints, at least.
        timeout: Seconds that a rank waits for another before it counts as lost; above what an
            evaluation takes, while which rank 0 works alone.
        where: Of this process; by default as the plan and the environment say.

    Raises:
        Interrupted: `stop` asked for it.
        HostError: Another host was lost, or has other data or code; the trial can continue.
        StoreError: A file could not be written.
        TrialError: A rank failed or was killed; nothing is recorded, and the trial can continue.
    """
    from assay.engine.trial import make_folder, recorded

    here = where or place(spec.plan.devices, spec.plan.nodes)
    check_shared(spec, here.world)
    make_folder(folder)
    finished = recorded(spec, folder)
    if finished is not None:
        return finished
    with _meeting(here, {"spec": asdict(spec)}) as meeting:
        crew = _Crew(here, meeting, folder, checkpoint_every, timeout)
        crew.start(open_data)
        meeting.open()
        crew.watch(emit or _silent, stop or _never)
        meeting.wait_for(here.followers, _GRACE)  # they ask the store why, and then it ends
        record = recorded(spec, folder)
        if record is not None:
            return record
        raise crew.reason(meeting)


def follow(
    open_data: OpenData,
    where: Place,
    *,
    timeout: float = TIMEOUT,
    patience: float = PATIENCE,
    tell: Callable[[str], None] | None = None,
) -> int:
    """Be a host, or a process of torchrun's, that does not lead: start ranks for each trial.

    Args:
        open_data: Opens the same data set as on the first host.
        where: Of this process.
        timeout: As in `run_distributed`.
        patience: Seconds to wait for the first host's next trial.
        tell: Told in one sentence of each trial that failed for a reason of its own.

    Returns:
        How many trials it took part in until the first host said that the study is over.

    Raises:
        HostError: The first host, or another rank, was lost; or other code is here than there.
        Interrupted: The study was stopped there.
        StoreError: A file could not be written there.
    """
    from assay.engine.rank import check_code

    number, last, trials = 1, "", 0
    while True:
        meeting, job = _next_job(where, number, last, patience)
        last, number = job["id"], number + where.hosted
        if "over" in job:
            meeting.leave()
            return trials
        try:
            check_code(spec_from_json(job["spec"]))
        except AssayError as error:
            meeting.refuse(str(error))
            meeting.leave()
            raise HostError(str(error)) from None
        with tempfile.TemporaryDirectory() as folder:
            crew = _Crew(where, meeting, Path(folder), 0.0, timeout)
            crew.start(open_data)
            crew.watch(_silent, _never)
        trials += 1
        lost = crew.reason(meeting) if any(crew.ends.values()) else None
        meeting.leave()
        if isinstance(lost, CandidateError):
            (tell or _unheard)(str(lost))
        elif lost:
            raise lost


def dismiss(where: Place) -> None:
    """Tell the processes that follow that the study is over; wait seconds at most."""
    if where.alone:
        return
    with suppress(Exception), _meeting(where, {"over": True}) as meeting:
        meeting.open()
        meeting.wait_for(where.followers, _GOODBYE)


def check_shared(spec: TrialSpec, world: int) -> None:
    """Raise TrialError where several ranks cannot train what one could."""
    asked = spec.plan.devices * spec.plan.nodes
    if asked != world:
        raise TrialError(
            f"A trial runs on the ranks it was planned for. Received {world}, planned {asked}; "
            "start as many as before, or a new study."
        )
    if spec.candidate.recipe.batch_size < world:
        raise TrialError(
            f"Every rank needs an example of each batch. Received {world} ranks and batches of "
            f"{spec.candidate.recipe.batch_size}; use fewer ranks."
        )
    if spec.candidate.tune == "gradual":
        raise TrialError(
            "Ranks agree once on which layers learn, and gradual fine-tuning changes that. "
            "Received --pretrained gradual on several ranks; use full or head."
        )


class CandidateError(TrialError):
    """The network itself failed: the next one may do better."""


class HostError(StoreError):
    """Another host is gone or does not fit: no trial can go on, and none has failed."""


_KINDS: Mapping[str, Callable[[str], AssayError]] = {
    "failed": CandidateError,
    "unwritable": StoreError,
}


@dataclass
class _Meeting:
    """Where the ranks of one trial find each other and what to do.

    Attributes:
        address: Of the store.
        port: There.
        prefix: Of the trial's keys.
        job: JSON that the ranks read.
        listening: Of the store that this process will host, where it does.
    """

    address: str
    port: int
    prefix: str
    job: Mapping[str, Any] | None = None
    listening: socket.socket | None = None
    _store: Any = field(default=None, repr=False)
    _server: Any = field(default=None, repr=False)

    def open(self) -> None:
        """Say what is to be done. A store hosted here starts a thread: fork before, not after."""
        import torch.distributed as dist

        from assay.engine.rank import JOB

        if self.listening is not None:
            self._server = dist.TCPStore(
                self.address,
                self.port,
                is_master=True,
                wait_for_workers=False,
                master_listen_fd=self.listening.detach(),
                timeout=timedelta(seconds=TIMEOUT),
            )
            self._store = dist.PrefixStore(self.prefix, self._server)
        self._connected().set(JOB, json.dumps(self.job))

    def why(self) -> dict[str, Any]:
        """Return what the first rank with a reason of its own left, or nothing."""
        from assay.engine.rank import WHY

        with suppress(Exception):
            store = self._connected(_GRACE)
            if store.check([WHY]):
                return dict(json.loads(store.get(WHY)))
        return {}

    def refuse(self, text: str) -> None:
        """Say why this host cannot take part."""
        from assay.engine.rank import WHY

        why = {"kind": "absent", "rank": -1, "text": text}
        with suppress(Exception):
            self._connected(_GRACE).compare_set(WHY, "", json.dumps(why))

    def lost(self, ranks: Iterable[int]) -> str:
        """Return the address that one of these ranks lost, where torch told it, or ""."""
        from assay.engine.rank import WHY

        with suppress(Exception):
            store = self._connected(_GRACE)
            for key in (f"{WHY}/{rank}" for rank in ranks):
                if store.check([key]):
                    return str(json.loads(store.get(key))["text"])
        return ""

    def wait_for(self, followers: int, seconds: float) -> None:
        """Keep the store until so many have left, for seconds at most."""
        deadline = time.monotonic() + seconds
        with suppress(Exception):
            while followers and self._connected().add("left", 0) < followers:
                if time.monotonic() > deadline:
                    return
                time.sleep(_LOOK_AROUND)

    def leave(self) -> None:
        """Tell the first host that this one needs the store no more."""
        with suppress(Exception):
            self._connected(_GRACE).add("left", 1)

    def close(self) -> None:
        """Forget the store; one that was hosted here ends."""
        if self.listening is not None:
            self.listening.close()
        self._store = self._server = None

    def _connected(self, timeout: float = TIMEOUT) -> Any:
        from assay.engine.rank import connect

        if self._store is None:
            self._store = connect(self.address, self.port, self.prefix, timeout)
        return self._store


@contextmanager
def _meeting(here: Place, job: Mapping[str, Any]) -> Iterator[_Meeting]:
    """Prepare where the ranks of one trial meet; the process that leads only."""
    facts = {"id": uuid.uuid4().hex, **job}
    if here.hosted:
        from assay.engine.rank import connect

        number = connect(here.address, here.port, "assay", TIMEOUT).add("trials", 1)
        meeting = _Meeting(here.address, here.port, f"assay/{number}", facts)
    else:
        listening = _listen(here)
        port = listening.getsockname()[1]
        meeting = _Meeting(here.address, port, "assay/1", facts, listening)
    try:
        yield meeting
    finally:
        meeting.close()


def _listen(here: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in here.address else socket.AF_INET
    try:
        host = here.address if here.alone else ""
        return socket.create_server((host, here.port), family=family)
    except OSError as error:
        raise HostError(
            f"The first host listens for the others on port {here.port}. It is not free here "
            f"({error.strerror or error}); set another in MASTER_PORT on every host."
        ) from error


def _next_job(
    where: Place, number: int, last: str, patience: float
) -> tuple[_Meeting, dict[str, Any]]:
    """Wait for what the first host wants done next."""
    from assay.engine.rank import JOB, connect

    deadline = time.monotonic() + patience
    prefix = f"assay/{number}"
    while time.monotonic() < deadline:
        with suppress(Exception):  # nobody there yet, or not any more
            socket.create_connection((where.address, where.port), 2.0).close()
            store = connect(where.address, where.port, prefix, 5.0)
            if store.check([JOB]):
                job = json.loads(store.get(JOB))
                if job["id"] != last:
                    return _Meeting(where.address, where.port, prefix, _store=store), job
        time.sleep(2 * _LOOK_AROUND)
    raise HostError(
        f"A host that helps waits for the first one at {where.address}, port {where.port}. "
        f"Nothing came from there for {patience:g} s; start the command there too."
    )


class _Crew:
    """The ranks that this process starts."""

    def __init__(
        self,
        here: Place,
        meeting: _Meeting,
        folder: Path,
        checkpoint_every: float,
        timeout: float,
    ) -> None:
        self._here, self._meeting, self._folder = here, meeting, folder
        self._every, self._timeout = checkpoint_every, timeout
        self._alive: dict[int, int] = {}  # process id: rank
        self.ends: dict[int, int] = {}  # rank: how its process ended
        self.stopped = False  # because it was asked to
        self._ours: set[int] = set()  # ranks that this process killed
        self._pipe = -1
        self._text = b""

    def start(self, open_data: OpenData) -> None:
        """Fork the ranks."""
        parent = os.getpid()
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)  # noqa: FBT003 - positional only
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or each rank would write it again
        for local in range(self._here.count):
            pid = os.fork()
            if pid == 0:
                self._be(local, open_data, theirs, parent)
            self._alive[pid] = self._here.first + local
        os.close(theirs)

    def watch(self, emit: Emit, stop: Callable[[], bool]) -> None:
        """Pass events on until every rank has ended; one that fails takes the others along."""
        asked, look, deadline = 0.0, 0.0, float("inf")
        try:
            while self._alive:
                select.select([self._pipe], [], [], _LOOK_AROUND)
                self._hear(emit)
                self._bury()
                if stop() and time.monotonic() > asked + 1:  # a rank may not listen yet
                    asked = time.monotonic()
                    self._signal(signal.SIGTERM)
                    self.stopped = True
                failed = any(self.ends.values())
                if self._here.leads and time.monotonic() > look + 1:
                    look = time.monotonic()
                    failed |= bool(self._meeting.why())
                if failed and deadline == float("inf"):
                    deadline = time.monotonic() + _GRACE
                if time.monotonic() > deadline:
                    self._end()
            self._hear(emit)
        finally:
            self._end()
            os.close(self._pipe)

    def reason(self, meeting: _Meeting) -> Exception:
        """Return the error that says why there is no record."""
        from assay.engine.rank import LOST, STOPPED

        here, why = self._here, meeting.why()
        beyond: type[AssayError] = TrialError if here.alone else HostError
        if why:
            return _KINDS.get(why["kind"], beyond)(why["text"])
        if self.stopped or STOPPED in self.ends.values():
            return Interrupted("The trial was stopped and can be resumed.")
        again = f"run the same command again{'' if here.alone else ' on every host'} to continue"
        for rank, code in sorted(self.ends.items()):
            if rank not in self._ours and code not in (0, LOST):
                return beyond(f"rank {rank} of {here.world} {_was(code)}; {again}")
        whom = meeting.lost(self.ends) or "another host"
        return beyond(
            f"the connection to {whom} was lost, where other ranks of {here.world} ran; {again}"
        )

    def _be(self, local: int, open_data: OpenData, pipe: int, parent: int) -> NoReturn:
        """Be a rank, and end with its exit code."""
        code = 1
        try:
            _die_with(parent)
            if self._meeting.listening is not None:
                self._meeting.listening.close()
            from assay.engine.rank import Seat, be_rank

            seat = Seat(
                rank=self._here.first + local,
                local=local,
                world=self._here.world,
                address=self._meeting.address,
                port=self._meeting.port,
                prefix=self._meeting.prefix,
                folder=self._folder,
                checkpoint_every=self._every,
                timeout=self._timeout,
            )

            def emit(event: Event) -> None:
                os.write(pipe, json.dumps(asdict(event)).encode() + b"\n")

            code = be_rank(seat, open_data, emit)
        except BaseException:  # noqa: BLE001 - nothing may climb into the caller's stack
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, emit: Emit) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._pipe, 65536):
                self._text += data
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            emit(Event(**json.loads(line)))

    def _bury(self) -> None:
        for pid in list(self._alive):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.ends[self._alive.pop(pid)] = os.waitstatus_to_exitcode(status)

    def _signal(self, number: int) -> None:
        for pid in self._alive:
            os.kill(pid, number)

    def _end(self) -> None:
        """Kill what is left."""
        self._ours |= set(self._alive.values())
        self._signal(signal.SIGKILL)
        for pid in list(self._alive):
            os.waitpid(pid, 0)
            self.ends[self._alive.pop(pid)] = -signal.SIGKILL


def _was(code: int) -> str:
    told = describe_end(code)
    return told if told.startswith(("ended", "crashed")) else f"was {told}"


def _die_with(parent: int) -> None:
    """Let the kernel end this process when the one that forked it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def _silent(event: Event) -> None:
    del event


def _unheard(text: str) -> None:
    del text


def _never() -> bool:
    return False
