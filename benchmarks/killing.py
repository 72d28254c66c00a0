"""Studies that are killed at a chosen moment, for `benchmarks/faults.py` and its test.

A study is a fork of this process, its warm process a fork of the study, its workers forks of that:
torch is imported once for all of them, and the moments are hooks that forks inherit. Nothing of
this is in the product: `os.fsync`, `os.replace`, `os.rename` and the database's commit are wrapped
in the forked process only.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NoReturn

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # a thread that no fork would have

Victim = Literal["itself", "warm", "parent", "disk"]
BY_WORKERS = ("checkpoint", "outcome", "weights", "record")
BY_PARENTS = ("data", "report", "winner", "database")
MOMENTS = ("torn", "written", "named")  # half on disk; whole, without its name; in its place
RECORDS, TOLD, FALLEN = "records", "out", "fallen"  # files of the control folder
_OFTEN = 0.02  # seconds between two checkpoints
_IMPORTED = (
    "assay.cli.compare",
    "assay.compare.study",
    "assay.data.load",
    "assay.engine.checkpoint",
    "assay.engine.measure",
    "assay.engine.plan",
    "assay.engine.trial",
    "assay.engine.worker",
    "assay.models.foreign",
    "assay.models.mlp",
    "assay.models.softmax_regression",
    "assay.report.codec",
    "assay.report.terminal",
    "assay.report.write",
    "assay.ship.artifact",
    "assay.store.database",
    "assay.store.migrate",
    "matplotlib.backends.backend_agg",
    "rich.console",
    "scipy.stats",
    "sklearn.datasets",
)


@dataclass(frozen=True)
class Kill:
    """A SIGKILL, or a full disk, at the `turn`-th time that a process comes to a moment.

    Attributes:
        what: Is being written: one of BY_WORKERS or BY_PARENTS.
        moment: One of MOMENTS; the database has "torn" (before the commit) and "named" (after).
        turn: From 1.
        victim: The writing process itself, the warm process, the parent; "disk" kills nobody: the
            call fails with ENOSPC.
    """

    what: str
    moment: str
    turn: int = 1
    victim: Victim = "itself"


def warm_up() -> None:
    """Import what studies need, once."""
    from assay.engine import worker
    from assay.engine.machine import versions

    for name in _IMPORTED:
        with suppress(ImportError):
            import_module(name)
    worker._warm_up(())
    versions()  # kept: whoever edits the code meanwhile must not make these other trials


class StudyProcess:
    """`assay WORDS` in a forked process.

    Args:
        words: Of the command line.
        control: A folder for what it prints and which of the kills have happened.
        plan: What is to happen.
        before: Called in the new process first.
    """

    def __init__(
        self,
        words: Sequence[str],
        control: Path,
        plan: Sequence[Kill] = (),
        before: Callable[[], None] = lambda: None,
    ) -> None:
        control.mkdir(parents=True, exist_ok=True)
        self.control, self.code = control, None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _be_study(words, control, plan, before)

    @property
    def ended(self) -> bool:
        """Whether it has ended; then `code` is its exit code, negative for a signal."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float = 300.0) -> int:
        """Return the exit code; a study that hangs is killed and a TimeoutError raised."""
        deadline = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"a study did not end in {seconds:g} s: {self.said}")
            time.sleep(0.01)
        return self.code

    def kill(self, victim: Victim = "itself") -> bool:
        """Kill the parent ("itself"), its warm process or a worker; False when there is none."""
        found = {"itself": [self.pid], "warm": children(self.pid)}.get(victim)
        if found is None:
            found = [worker for warm in children(self.pid) for worker in children(warm)]
        if self.ended or not found:
            return False
        with suppress(ProcessLookupError):
            os.kill(found[-1], signal.SIGKILL)
        return True

    @property
    def said(self) -> str:
        """What it printed, standard error included."""
        with suppress(OSError):
            return (self.control / TOLD).read_text(errors="replace")
        return ""


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    with suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def seats(pid: int) -> list[tuple[int, str]]:
    """Return the Ray workers below a process: process ids, and what they do.

    That is "being made", "at work" (its warm process has a child) or "waiting".
    """
    found = []
    for child in children(pid):
        title = ""
        with suppress(OSError):
            title = Path(f"/proc/{child}/cmdline").read_text()
        if not title.startswith("ray::RaySeat"):
            found += seats(child)
        elif title.startswith("ray::RaySeat.__init__"):
            found.append((child, "being made"))
        else:
            busy = any(children(warm) for warm in children(child))
            found.append((child, "at work" if busy else "waiting"))
    return found


def fallen(control: Path) -> list[Kill]:
    """Return the kills that have happened, in their order."""
    with suppress(OSError):
        lines = (control / FALLEN).read_text().splitlines()
        return [Kill(**json.loads(line)) for line in lines]
    return []


def recorded(control: Path) -> Counter[str]:
    """Return how often each trial's record was written."""
    with suppress(OSError):
        return Counter((control / RECORDS).read_text().split())
    return Counter()


class _Hooks:
    """What stands between a process and the system."""

    def __init__(self, control: Path, plan: Sequence[Kill]) -> None:
        self.control, self.plan, self.parent = control, plan, os.getpid()
        self.seen: Counter[tuple[str, str]] = Counter()

    def install(self) -> None:
        from assay.store.database import Database

        fsync, replace, rename, writing = os.fsync, os.replace, os.rename, Database.writing

        def synced(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self.reach(_what(path), "torn", descriptor)
            fsync(descriptor)
            if path.name == "record.json":  # not by its temporary name: a planted fault
                _append(self.control / RECORDS, path.parent.name)

        def moved(move: Callable[..., None]) -> Callable[..., None]:
            def inner(source: Any, target: Any, **options: Any) -> None:
                what = _what(Path(target))
                self.reach(what, "written")
                move(source, target, **options)
                if what == "record":
                    _append(self.control / RECORDS, Path(target).parent.name)
                self.reach(what, "named")

            return inner

        @contextmanager
        def written(database: Database) -> Iterator[Any]:
            with writing(database) as connection:
                yield connection
                self.reach("database", "torn")
            self.reach("database", "named")

        os.fsync, os.replace, os.rename = synced, moved(replace), moved(rename)
        Database.writing = written  # type: ignore[method-assign]

    def reach(self, what: str, moment: str, descriptor: int = -1) -> None:
        self.seen[what, moment] += 1
        for number, kill in enumerate(self.plan):
            due = (kill.what, kill.moment) == (what, moment)
            if due and self.seen[what, moment] >= kill.turn and self._first(number):
                self._fall(kill, descriptor)

    def _first(self, number: int) -> bool:
        try:
            os.close(os.open(self.control / f"kill-{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _fall(self, kill: Kill, descriptor: int) -> None:
        _append(self.control / FALLEN, json.dumps(asdict(kill)))
        if descriptor >= 0 and kill.victim in ("itself", "disk"):  # any other would name it
            with suppress(OSError):  # a folder, or opened for reading
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        if kill.victim == "disk":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        victims = {"itself": os.getpid(), "warm": os.getppid(), "parent": self.parent}
        os.kill(victims[kill.victim], signal.SIGKILL)


def _what(path: Path) -> str:
    """Return what is kept under that path, or in the temporary file of that name."""
    name, folders = path.name.removeprefix("."), {p.removeprefix(".") for p in path.parts[:-1]}
    if name.startswith(("checkpoint-", "outcome.", "weights.", "record.")):
        return name.replace("-", ".").partition(".")[0]
    if name.startswith("winner") or any(f.startswith("winner") for f in folders):
        return "winner"
    if "runs" in folders:
        return "report"
    return "data" if "data" in folders else "folder"


def _be_study(
    words: Sequence[str], control: Path, plan: Sequence[Kill], before: Callable[[], None]
) -> NoReturn:
    """Be the forked process: run the command and end."""
    code = 70
    try:
        out = os.open(control / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = (os.fdopen(i, "w", closefd=False) for i in (1, 2))
        from assay.cli import main
        from assay.engine import loop, trial, warm

        trial.run_trial.__kwdefaults__["checkpoint_every"] = _OFTEN
        loop._SAVING_SHARE = 1.0
        warm.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
            Popen=_Forked, DEVNULL=-3, TimeoutExpired=subprocess.TimeoutExpired
        )
        _Hooks(control, plan).install()
        before()
        code = main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Forked:
    """A stand-in for the Popen of the warm process."""

    def __init__(
        self, words: Sequence[str], *, pass_fds: Sequence[int], env: dict[str, str], stderr: Any,
        **_: Any,
    ) -> None:  # fmt: skip
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            own = words[words.index("assay.engine.worker") + 1 :]
            _be_warm(own, pass_fds, stderr.fileno(), env)

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout or 1e9)
        while self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("warm", timeout or 0)
            else:
                time.sleep(0.005)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def _be_warm(words: Sequence[str], kept: Sequence[int], log: int, env: dict[str, str]) -> NoReturn:
    """Be the warm process, with the descriptors that a new program would have."""
    code = 70
    try:
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = (os.fdopen(i, "w", closefd=False) for i in (1, 2))
        lowest = 3
        for descriptor in sorted(kept):
            os.closerange(lowest, descriptor)
            lowest = descriptor + 1
        os.closerange(lowest, 4096)
        os.environ.update(env)
        from assay.engine import worker

        worker._warm_up = lambda preload, *, train: None  # it was done before the fork
        code = worker.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _append(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)
