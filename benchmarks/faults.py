"""Does a study that is killed, again and again, end with the table of one that was not?

    python -m benchmarks.faults [--kills 200] [--seconds 500] [--seed 0]
    python -m benchmarks.faults --part full | disks | locked | parents | ray | controls [--times 20]

Every study is killed several times and continued by the same command until it ends: at moments
that are named (half of a checkpoint is on disk, a record has not got its name yet, before a commit;
see `benchmarks/killing.py`) and at any time; the parent, the warm process, a worker. After each
death nothing that lies there under its final name may be half of something. At the end the ranking,
the scores of every seed, the verdicts, the recommendation, the outcomes and the weights equal the
uninterrupted study's, and every trial has been recorded once. A run adds to results/faults.json
until the kills asked for have been done; with --seconds it stops earlier, to be run again. The part
`ray` kills that many workers of a Ray cluster that we start for it, at any time and while they are
being made.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.killing import (
    BY_WORKERS,
    MOMENTS,
    Kill,
    StudyProcess,
    fallen,
    recorded,
    seats,
    warm_up,
)

RESULTS = Path(__file__).parent / "results" / "faults.json"
ANY_TIME = "any time"
_SECONDS_ALONE = 300.0  # longer, and a study hangs
_RUNS_AT_MOST = 40  # of one study, until it must have ended
_LOOSE = ("data", "report", "winner")  # of what the parent writes into files
_RAY_STEPS = 1500  # of a trial on Ray, long enough to be killed in
_RAY_KILLS = 3  # of one run
_RAY_START = 90.0  # seconds that a cluster may take to start

Point = tuple[str, str, str]  # what, moment, victim
AT_POINTS: tuple[Point, ...] = (
    *((w, m, v) for w in BY_WORKERS for m in MOMENTS for v in ("itself", "warm", "parent")),
    *((w, m, "itself") for w in ("report", "winner") for m in MOMENTS),
    *(("data", m, "itself") for m in MOMENTS[1:]),
    *(("database", m, "itself") for m in ("torn", "named")),
)
PLANTED: Mapping[str, tuple[Point, ...]] = {  # and where a kill may reveal it
    "files written in place": (("record", "torn", "itself"),),
    "optimizer not restored": (("checkpoint", "named", "itself"),),
    "finished trials run again": (("record", "named", "itself"),),
}
AT_ANY_TIME: tuple[Point, ...] = tuple((ANY_TIME, "", v) for v in ("itself", "warm", "worker"))


def words(store: Path, seeds: int = 3, steps: int = 60) -> list[str]:
    """Return the command line of the study."""
    options = (
        f"compare digits --models softmax_regression,mlp --seeds {seeds} --budget {steps}steps "
        "--no-autotune --no-baselines --workers 2 --evaluations 3 --patience none "
        "--prefer params --json --store"
    )
    return [*options.split(), str(store)]


class Reference:
    """The study that nobody disturbed: its table, its files, its duration.

    Args:
        folder: For its store.
        seeds: Of each candidate.
        steps: Of each trial.
    """

    def __init__(self, folder: Path, seeds: int, steps: int = 60) -> None:
        self.seeds, self.store = seeds, folder / "reference"
        began = time.monotonic()
        study = StudyProcess(words(self.store, seeds, steps), folder / "reference-control")
        if study.wait(_SECONDS_ALONE):
            raise RuntimeError(f"the uninterrupted study failed: {study.said[-2000:]}")
        self.seconds = time.monotonic() - began
        self.table = table(self.store)
        self.trials = {f.name: trial(f) for f in sorted((self.store / "trials").iterdir())}


def table(store: Path) -> dict[str, Any]:
    """Return what a finished study says, without times and costs."""
    (file,) = (store / "runs").glob("*/results.json")
    found = json.loads(file.read_text())
    kept = ("name", "rank", "score", "metrics", "confusion", "recommended", "recipe")
    of_a_seed = ("seed", "hash", "status", "reason", "score", "metrics")
    return {
        "candidates": [
            {**{k: c[k] for k in kept}, "seeds": [{k: s[k] for k in of_a_seed} for s in c["seeds"]]}
            for c in found["candidates"]
        ],
        **{k: found[k] for k in ("verdicts", "recommendation", "hardest", "resolution")},
    }


def trial(folder: Path) -> dict[str, Any]:
    """Return what a finished trial left, without times."""
    record = json.loads((folder / "record.json").read_text())
    curve = [{k: v for k, v in point.items() if k != "seconds"} for point in record["curve"]]
    kept = ("hash", "candidate", "seed", "status", "steps", "best_step", "metrics", "moved")
    files = {n: _sha(folder / n) for n in ("outcome.parquet", "weights.safetensors")}
    return {**{k: record[k] for k in kept}, "curve": curve, **files}


def half_written(store: Path, reference: Reference) -> list[str]:
    """Return what lies in a store under its final name and is not whole, or is not right."""
    found = [*_wrong_trials(store, reference), *_wrong_database(store)]
    for file in store.glob("runs/*/results.json"):
        if table(store) != reference.table:
            found.append(f"{file.parent.name}/results.json is another table")
    return [*found, *_wrong_winner(store)]


def _wrong_trials(store: Path, reference: Reference) -> Iterator[str]:
    from assay.engine import checkpoint

    for folder in sorted(store.glob("trials/*")):
        if (folder / "record.json").exists():
            try:
                if trial(folder) != reference.trials.get(folder.name):
                    yield f"{folder.name} is another trial"
            except (OSError, ValueError) as error:
                yield f"{folder.name}: {error}, {(folder / 'record.json').read_text()[:300]}"
        for file in folder.glob("checkpoint-*"):
            try:
                checkpoint._read(file, ())
            except FileNotFoundError:  # a worker that has not died yet has removed it
                continue
            except ValueError as error:
                yield f"{folder.name}: {error}"


def _wrong_winner(store: Path) -> Iterator[str]:
    from assay.ship.artifact import check_weights, read_artifact

    for folder in store.glob("runs/*/winner"):
        try:
            check_weights(read_artifact(folder))
        except Exception as error:
            yield f"winner: {error}"


def _wrong_database(store: Path) -> Iterator[str]:
    if not (store / "assay.db").exists():
        return
    with closing(sqlite3.connect(store / "assay.db", timeout=30)) as database:
        (state,) = database.execute("PRAGMA integrity_check").fetchone()
        if state != "ok":
            yield f"assay.db: {state}"
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        rows = database.execute("SELECT hash, record FROM trials") if "trials" in tables else ()
        for name, text in rows:
            record = json.loads(text)
            kept = store / "trials" / name / "record.json"
            if record["status"] == "finished" and json.loads(kept.read_text()) != record:
                yield f"{name} is another record in the database"


def at_the_end(store: Path, control: Path, reference: Reference) -> list[str]:
    """Return what distinguishes a finished study from the uninterrupted one."""
    wrong = half_written(store, reference)
    if table(store) != reference.table:
        wrong.append("the final table differs")
    if {f.name: trial(f) for f in sorted((store / "trials").iterdir())} != reference.trials:
        wrong.append("the trials differ")
    if recorded(control) != Counter(dict.fromkeys(reference.trials, 1)):
        wrong.append(f"records were written {dict(recorded(control))} times")
    with closing(sqlite3.connect(store / "assay.db")) as database:
        rows = [r[0] for r in database.execute("SELECT hash FROM trials ORDER BY hash")]
        opened = database.execute("SELECT count(*) FROM openings").fetchone()[0]
    if rows != sorted(reference.trials) or opened != 1:
        wrong.append(f"the database holds {len(rows)} trials and {opened} openings")
    return [*wrong, *(f"left behind: {path.relative_to(store)}" for path in litter(store))]


def litter(store: Path) -> list[Path]:
    """Return the temporary files and checkpoints that are still there."""
    unfinished = [p for p in store.rglob(".*") if not p.is_relative_to(store / "data")]
    return sorted([*unfinished, *store.rglob("checkpoint-*")])


class Tally:
    """How often each kind of kill was tried and done, and what was found wrong."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.tried = Counter({tuple(row["point"]): row["tried"] for row in facts.get("points", ())})
        self.done = Counter({tuple(row["point"]): row["done"] for row in facts.get("points", ())})
        self.studies = facts.get("studies", 0)
        self.runs = facts.get("runs", 0)
        self.seconds = facts.get("seconds", 0.0)
        self.wrong: list[str] = list(facts.get("wrong", ()))

    @property
    def kills(self) -> int:
        """All that were done."""
        return sum(self.done.values())

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        points = sorted(self.tried | self.done)
        return {
            "kills": self.kills,
            "studies": self.studies,
            "runs": self.runs,
            "seconds": round(self.seconds, 1),
            "wrong": self.wrong,
            "points": [
                {"point": list(p), "tried": self.tried[p], "done": self.done[p]} for p in points
            ],
        }


class Faults:
    """Studies that are killed until they have ended.

    Args:
        folder: For the stores; each is removed when it has turned out well.
        reference: To compare with.
        tally: To add to.
        rng: Chooses what happens when.
        points: That kills at a named moment choose from.
    """

    def __init__(
        self,
        folder: Path,
        reference: Reference,
        tally: Tally,
        rng: random.Random,
        points: Sequence[Point] = AT_POINTS,
    ) -> None:
        self.folder, self.reference, self.tally, self.rng = folder, reference, tally, rng
        self.points = points

    def study(self) -> None:
        """Kill one study and continue it until it has ended, and look at what came out."""
        number, began = self.tally.studies, time.monotonic()
        store, control = self.folder / f"store-{number}", self.folder / f"control-{number}"
        wrong: list[str] = []
        for run in range(_RUNS_AT_MOST):
            code, said = self._run(store, control / str(run))
            wrong += [f"run {run}: {w}" for w in half_written(store, self.reference)]
            wrong += [f"run {run}: {w}" for w in _words_wrong(code, said)]
            if code == 0 and not _failed(store):
                break
        else:
            wrong.append(f"had not ended after {_RUNS_AT_MOST} runs")
        _gather(control)
        if not wrong:
            wrong += at_the_end(store, control, self.reference)
        self.tally.studies += 1
        self.tally.seconds += time.monotonic() - began
        self.tally.wrong += [f"study {number}: {w}" for w in wrong]
        if not wrong:
            shutil.rmtree(store)
            shutil.rmtree(control)

    def _run(self, store: Path, control: Path) -> tuple[int, str]:
        """Start the study, with three kills to come; return how it ended."""
        ends = self._choose(1, lambda p: _ends(p) and (p[0] != "data" or not store.exists()))
        points = [*self._choose(2, lambda p: not _ends(p)), *ends]
        planned = [self._kill(p) for p in points if p[0] != ANY_TIME]
        timed = sorted(
            (self.rng.uniform(0, 0.7 * self.reference.seconds), p[2])
            for p in points
            if p[0] == ANY_TIME
        )
        began = time.monotonic()
        study = StudyProcess(words(store, self.reference.seeds), control, planned)
        for moment, victim in timed:
            if _kill_at(study, began + moment, victim):
                self.tally.done[ANY_TIME, "", victim] += 1
        code = study.wait(_SECONDS_ALONE)
        self.tally.runs += 1
        self.tally.done.update((k.what, k.moment, k.victim) for k in fallen(control))
        return code, study.said

    def _choose(self, count: int, fits: Callable[[Point], bool]) -> list[Point]:
        """Return so many kinds of kill: those tried least; a third of all at any time."""
        chosen = []
        for _ in range(count):
            at_points = [p for p in self.points if fits(p) and p not in chosen]
            at_any_time = [p for p in AT_ANY_TIME if fits(p) and p not in chosen]
            fitting = at_any_time if self.rng.random() < 1 / 3 else at_points or at_any_time
            point = min(fitting, key=lambda p: (self.tally.tried[p], self.rng.random()))
            self.tally.tried[point] += 1
            chosen.append(point)
        return chosen

    def _kill(self, point: Point) -> Kill:
        """Return a kill at that point, after a random number of the same moments."""
        what, moment, victim = point
        most = {"checkpoint": 3, "database": 12, "report": 7}.get(what, 1)
        return Kill(what, moment, self.rng.randint(1, most), victim)  # type: ignore[arg-type]


def _ends(point: Point) -> bool:
    """Return whether such a kill ends the parent."""
    what, _, victim = point
    return victim == "parent" or (victim == "itself" and what not in BY_WORKERS)


def _kill_at(study: StudyProcess, moment: float, victim: str) -> bool:
    """Kill a process of the study at `moment` or, when there is none, as soon as there is."""
    while not study.ended:
        if time.monotonic() >= moment and study.kill(victim):  # type: ignore[arg-type]
            return True
        time.sleep(0.005)
    return False


def _words_wrong(code: int, said: str) -> Iterator[str]:
    """Yield what should not have been said: a study ends by a signal, well, or with a sentence."""
    if "Traceback" in said or code not in (-9, 0, 1):
        yield f"exit code {code}, {said[-1500:]}"
    if code == 1 and "died twice in a row" not in said and "killed by signal 9" not in said:
        yield f"exit code 1, {said[-500:]}"


def _failed(store: Path) -> bool:
    """Return whether a trial gave up, its worker killed three times: another run tries again."""
    with closing(sqlite3.connect(store / "assay.db")) as database:
        return bool(
            database.execute("SELECT count(*) FROM trials WHERE status='failed'").fetchone()[0]
        )


def _gather(control: Path) -> None:
    """Put the runs' lists of records written into one."""
    lists = [file.read_text() for file in sorted(control.glob("*/records"))]
    (control / "records").write_text("".join(lists))


def _sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


# What else may go wrong


def resumed(store: Path, control: Path, reference: Reference) -> list[str]:
    """Run the study to its end, undisturbed, and return what differs from the reference."""
    study = StudyProcess(words(store, reference.seeds), control / "last")
    code = study.wait(_SECONDS_ALONE)
    _gather(control)
    if code:
        return [f"exit code {code}: {study.said[-1500:]}"]
    return at_the_end(store, control, reference)


def full_at_a_moment(folder: Path, reference: Reference, rng: random.Random, times: int) -> dict:
    """Let a write fail with ENOSPC at every named moment in turn; go on when there is room."""
    points = [(w, m) for w in (*BY_WORKERS, *_LOOSE) for m in MOMENTS[:2]]
    rng.shuffle(points)
    wrong, refused = [], 0
    for number, (what, moment) in enumerate(points[:times]):
        store, control = folder / f"full-{number}", folder / f"full-control-{number}"
        kill = Kill(what, moment, 1, "disk")
        study = StudyProcess(words(store, reference.seeds), control / "0", [kill])
        code = study.wait(_SECONDS_ALONE)
        refused += bool(fallen(control / "0"))
        wrong += [f"{what} {moment}: {w}" for w in _sentence_wrong(code, study, "No space left")]
        wrong += [f"{what} {moment}: {w}" for w in half_written(store, reference)]
        wrong += [f"{what} {moment}: {w}" for w in resumed(store, control, reference)]
    return {"studies": min(times, len(points)), "refused": refused, "wrong": wrong}


def _sentence_wrong(code: int, study: StudyProcess, *expected: str) -> Iterator[str]:
    """Yield what is wrong with how a study gave up; one that ended well was not in need."""
    said = study.said
    if code and not (code == 1 and "Traceback" not in said and any(e in said for e in expected)):
        yield f"exit code {code}: {said[-1500:]}"


def small_disks(folder: Path, reference: Reference, rng: random.Random, times: int) -> dict:
    """Run studies on disks that are too small, then enlarge them. Needs mounts of its own."""
    needed = sum(f.stat().st_size for f in reference.store.rglob("*") if f.is_file())
    wrong, refused, sentences = [], 0, Counter()
    for number in range(times):
        store, control = folder / f"disk-{number}", folder / f"disk-control-{number}"
        store.mkdir()
        share = (number + rng.random()) / times
        size = int(needed**share if number % 2 else needed * share) // 4096 * 4096 + 4096
        with _disk(store, size) as enlarge:
            study = StudyProcess(words(store, reference.seeds), control / "0")
            code = study.wait(_SECONDS_ALONE)
            refused += code != 0
            expected = ("No space left", "disk is full", "could not be written", "space")
            found = [*_sentence_wrong(code, study, *expected), *half_written(store, reference)]
            sentences[_first_words(study.said) if code else "ended well"] += 1
            enlarge()
            found += resumed(store, control, reference)
            wrong += [f"{size} bytes: {w}" for w in found]
    facts = {"studies": times, "refused": refused, "needed_bytes": needed, "wrong": wrong}
    return {**facts, "sentences": dict(sentences)}


def _first_words(said: str) -> str:
    last = next((line for line in said.splitlines() if line.startswith("assay: ")), "?")
    return " ".join(last.split()[1:3])


@contextmanager
def _disk(where: Path, size: int) -> Iterator[Callable[[], None]]:
    """Mount a disk of `size` bytes; give what makes it large."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(where)]
    subprocess.run(mount, check=True)
    try:
        larger = ["mount", "-o", "remount,size=256m", str(where)]
        yield lambda: subprocess.run(larger, check=True) and None
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def locked(folder: Path, reference: Reference, rng: random.Random, times: int) -> dict:
    """Hold the database locked at random times, for a while and for too long."""
    wrong, waited, refused = [], 0, 0
    for number in range(times):
        store, control = folder / f"locked-{number}", folder / f"locked-control-{number}"
        patience = 0.3 if number % 2 else 30.0
        before = lambda wait=patience: _be_patient(wait)  # noqa: E731
        study = StudyProcess(words(store, reference.seeds), control / "0", before=before)
        moment = time.monotonic() + rng.uniform(0.1, 0.8) * reference.seconds
        while not study.ended and not (time.monotonic() > moment and _has_tables(store)):
            time.sleep(0.01)
        with closing(sqlite3.connect(store / "assay.db", isolation_level=None, timeout=60)) as own:
            own.execute("BEGIN IMMEDIATE")
            if patience > 1:
                time.sleep(1.5)
                own.execute("ROLLBACK")
                waited += 1
            code = study.wait(_SECONDS_ALONE)
        refused += code != 0
        found = _sentence_wrong(code, study, "locked for 0.3 seconds. Nothing measured is lost")
        wrong += [f"locked {number}: {w}" for w in found]
        if code and patience > 1:
            wrong.append(f"locked {number}: did not wait")
        wrong += [f"locked {number}: {w}" for w in resumed(store, control, reference)]
    return {"studies": times, "waited": waited, "refused": refused, "wrong": wrong}


def _be_patient(wait: float) -> None:
    from assay.store.store import Store

    Store.open.__func__.__kwdefaults__["wait"] = wait  # type: ignore[attr-defined]


def _has_tables(store: Path) -> bool:
    with suppress(sqlite3.Error), closing(sqlite3.connect(store / "assay.db")) as database:
        return bool(database.execute("SELECT count(*) FROM studies").fetchone()[0])
    return False


def parents(folder: Path, reference: Reference, rng: random.Random, times: int) -> dict:
    """Let two parents share a study; every other time one of them is killed."""
    wrong, kills, shares = [], 0, []
    for number in range(times):
        store, control = folder / f"two-{number}", folder / f"two-control-{number}"
        both = [StudyProcess(words(store, reference.seeds), control / str(i)) for i in range(2)]
        if number % 2:
            moment = time.monotonic() + rng.uniform(0, 1.2) * reference.seconds
            kills += _kill_at(both[rng.randrange(2)], moment, "itself")
        codes = [study.wait(_SECONDS_ALONE) for study in both]
        shares.append([sum(recorded(control / str(i)).values()) for i in range(2)])
        _gather(control)
        found = [] if 0 in codes and set(codes) <= {0, -9} else [f"ended with {codes}"]
        found += [s.said[-1500:] for s in both if "Traceback" in s.said or s.code == 1]
        wrong += [f"two {number}: {w}" for w in found or at_the_end(store, control, reference)]
    return {"studies": times, "kills": kills, "shares": shares, "wrong": wrong}


def ray_workers(folder: Path, reference: Reference, rng: random.Random, times: int) -> dict:
    """Kill `times` workers of a Ray cluster, some while they are being made."""
    seeds = reference.seeds
    alone = Reference(folder / "ray", seeds, _RAY_STEPS)
    wrong, studies, runs, by = [], 0, 0, Counter()
    with _ray_cluster(folder / "ray.log") as (pid, address):
        while by.total() < times and not wrong:
            store = folder / f"ray-{studies}"
            for _ in range(_RUNS_AT_MOST):
                log = folder / f"ray-{studies}-{runs}.log"
                most = min(_RAY_KILLS, times - by.total())
                code = _on_ray(words(store, seeds, _RAY_STEPS), address, log, pid, rng, most, by)
                runs += 1
                found = [*half_written(store, alone), *_words_wrong(code, log.read_text())]
                if found or (code == 0 and not _failed(store)):
                    break
            found = found or _other_results(store, alone)
            wrong += [f"ray {studies}: {w}" for w in found]
            studies += 1
            print(f"{by.total()} kills of Ray workers, {studies} studies {found}", flush=True)
    return {"studies": studies, "runs": runs, "kills": dict(by), "wrong": wrong}


def _other_results(store: Path, reference: Reference) -> list[str]:
    """Return what distinguishes a finished study whose workers had no hooks."""
    trials = {f.name: trial(f) for f in sorted((store / "trials").iterdir())}
    wrong = ["the final table differs"] if table(store) != reference.table else []
    wrong += ["the trials differ"] if trials != reference.trials else []
    return [*wrong, *(f"left behind: {path.relative_to(store)}" for path in litter(store))]


def _on_ray(
    line: Sequence[str],
    address: str,
    log: Path,
    cluster: int,
    rng: random.Random,
    most: int,
    by: Counter[str],
) -> int:
    """Run a study on a cluster, kill workers at random times, return the exit code.

    Args:
        line: Its words.
        address: Of the cluster.
        log: For what it prints: a pipe that nobody reads would make it wait for ever.
        cluster: Process id; the workers are below it.
        rng: Chooses whom and when.
        most: Kills.
        by: What those who were killed did; added to.
    """
    command = [sys.executable, "-m", "assay", *line, "--executor", "ray"]
    environment = {**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
    with log.open("wb") as out:
        study = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    deadline, before = time.monotonic() + _SECONDS_ALONE, by.total()
    while study.poll() is None:
        if time.monotonic() > deadline:
            study.kill()
            raise TimeoutError(f"a study on Ray did not end in {_SECONDS_ALONE:g} s: {log}")
        if by.total() - before < most:
            doing = "being made" if rng.random() < 0.4 else "at work"
            at = time.monotonic() + rng.uniform(0.0, 0.2 if doing == "being made" else 3.0)
            if _kill_seat(study, cluster, at, doing):
                by[doing] += 1
        else:
            time.sleep(0.05)
    return study.returncode


def _kill_seat(study: subprocess.Popen, cluster: int, at: float, doing: str) -> bool:
    """Kill a worker that does `doing`, at `at` or soon after; return whether there was one."""
    while study.poll() is None and time.monotonic() < at + 2.0:
        found = [pid for pid, does in seats(cluster) if does == doing]
        if found and time.monotonic() >= at:
            with suppress(ProcessLookupError):
                os.kill(found[-1], signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False


@contextmanager
def _ray_cluster(log: Path) -> Iterator[tuple[int, str]]:
    """Start a cluster of two cores; give the process above its workers, and its address."""
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as one,
        closing(socket.create_server(("127.0.0.1", 0))) as other,
    ):
        port, clients = one.getsockname()[1], other.getsockname()[1]
    options = (
        f"start --head --block --node-ip-address 127.0.0.1 --port {port} --num-cpus 2 "
        "--include-dashboard false --disable-usage-stats "
        f"--object-store-memory 100000000 --ray-client-server-port {clients}"
    )
    command = [sys.executable, "-m", "ray.scripts.scripts", *options.split()]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}  # it listens here only
    address = f"127.0.0.1:{port}"
    with log.open("wb") as out:
        cluster = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        deadline = time.monotonic() + _RAY_START
        while "--block" not in log.read_text(errors="replace"):
            if cluster.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no Ray cluster: {log.read_text(errors='replace')[-1000:]}")
            time.sleep(0.2)
        yield cluster.pid, address
    finally:
        cluster.terminate()
        cluster.wait(30)


def controls(folder: Path, reference: Reference, rng: random.Random, times: int) -> dict:
    """Plant a fault that the kills must reveal, each in a few studies; name those not revealed."""
    found = {}
    for name, points in PLANTED.items():
        tally, here = Tally({}), folder / name.replace(" ", "-")
        pid = os.fork()  # what is planted stays in this process
        if pid == 0:
            _plant(name)
            faults = Faults(here, reference, tally, rng, points)
            while tally.kills < times and not tally.wrong:
                with suppress(Exception):
                    faults.study()
                    continue
                tally.wrong.append("the study could not be read")
            here.mkdir(exist_ok=True)
            (here / "facts.json").write_text(json.dumps(tally.facts()))
            os._exit(0)
        os.waitpid(pid, 0)
        facts = json.loads((here / "facts.json").read_text())
        found[name] = {"kills": facts["kills"], "wrong": [w[:300] for w in facts["wrong"][:3]]}
    return {"planted": found, "wrong": [n for n, facts in found.items() if not facts["wrong"]]}


def _plant(name: str) -> None:
    from assay.engine import files, trial
    from assay.learners.optimization import Optimization

    if name == "files written in place":
        files.write = _in_place
    elif name == "optimizer not restored":
        Optimization.load_state = lambda self, state: None  # type: ignore[method-assign]
    else:
        trial.recorded = lambda spec, folder: None


def _in_place(path: Path, *chunks: Any) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def render(facts: Mapping[str, Any]) -> str:
    """Return the section of docs/calibration.md."""
    done = {tuple(row["point"]): row["done"] for row in facts["points"]}
    lines = [
        "## Faults",
        "",
        f"`python -m benchmarks.faults --kills {facts['kills']}`",
        "",
        facts["machine"],
        "",
        f"{facts['kills']} SIGKILLs over {facts['studies']} studies, which were continued by the "
        f"same command after each ({facts['runs']} runs). {_verdict(facts['wrong'])} Zero faults "
        f"in so many kills bound their rate at {3 / max(facts['kills'], 1):.1%} (95 %).",
        "",
        "| killed while | half on disk | whole, not yet named | just named |",
        "| --- | ---: | ---: | ---: |",
    ]
    for what in dict.fromkeys(p[0] for p in AT_POINTS):
        counts = [sum(n for p, n in done.items() if p[:2] == (what, m)) for m in MOMENTS]
        lines.append(f"| {what} | " + " | ".join(str(c) if c else "" for c in counts) + " |")
    by = Counter()
    for point, count in done.items():
        by[_whom(point)] += count
    lines += [
        "",
        f"At any time: {sum(n for p, n in done.items() if p[0] == ANY_TIME)}. Killed were "
        + ", ".join(f"{count} times {who}" for who, count in sorted(by.items()))
        + ". For the database the columns are: before a commit, and after it.",
        *_more(facts),
    ]
    return "\n".join(lines)


def _whom(point: Point) -> str:
    what, _, victim = point
    if victim == "itself":
        return "a worker" if what in BY_WORKERS else "the parent"
    return {"warm": "the warm process", "parent": "the parent", "worker": "a worker"}[victim]


def _more(facts: Mapping[str, Any]) -> Iterator[str]:
    if part := facts.get("full"):
        yield f"\nENOSPC at a named moment: {part['refused']} studies. {_verdict(part['wrong'])}"
    if part := facts.get("disks"):
        yield (
            f"\nDisks of 4 kB to {part['needed_bytes']:,} bytes, which is what the study needs: "
            f"{part['studies']} studies, of which {part['refused']} stopped with a sentence and "
            f"went on when there was room. {_verdict(part['wrong'])}"
        )
    if part := facts.get("locked"):
        yield (
            f"\nA locked database: {part['studies']} studies; {part['waited']} waited, "
            f"{part['refused']} gave up with a sentence and went on. {_verdict(part['wrong'])}"
        )
    if part := facts.get("parents"):
        yield (
            f"\nTwo parents on one store: {part['studies']} studies, in {part['kills']} of which "
            f"one parent was killed. {_verdict(part['wrong'])}"
        )
    if part := facts.get("ray"):
        kills = part["kills"]
        yield (
            f"\nWorkers of a Ray cluster: {sum(kills.values())} SIGKILLs "
            f"({', '.join(f'{kills[k]} {k}' for k in sorted(kills))}) over {part['studies']} "
            f"studies, {part['runs']} runs. {_verdict(part['wrong'], '')}"
        )
    if part := facts.get("controls"):
        seen = sum(bool(f["wrong"]) for f in part["planted"].values())
        yield (
            f"\nPlanted faults that the kills revealed: {seen} of {len(part['planted'])} "
            f"({', '.join(part['planted'])})."
        )


def _verdict(wrong: Sequence[str], more: str = ", every trial was recorded once") -> str:
    if wrong:
        return f"Faults found: {len(wrong)}."
    return f"Every final table equals the uninterrupted one{more}."


def killed(folder: Path, facts: dict, *, kills: int, seconds: float, seed: int, seeds: int) -> dict:
    """Add kills to those of `facts`, as long as time allows; return the facts."""
    tally, deadline = Tally(facts), time.monotonic() + seconds
    reference = Reference(folder, seeds)
    faults = Faults(folder, reference, tally, random.Random(f"{seed} {tally.studies}"))
    while tally.kills < kills and time.monotonic() < deadline:
        faults.study()
        said = tally.wrong[-1][:2000] if tally.wrong else ""
        print(f"{tally.kills} kills, {tally.studies} studies, {tally.runs} runs {said}", flush=True)
    return tally.facts()


PARTS: Mapping[str, Callable[[Path, Reference, random.Random, int], dict]] = {
    "full": full_at_a_moment,
    "disks": small_disks,
    "locked": locked,
    "parents": parents,
    "ray": ray_workers,
    "controls": controls,
}


def main() -> None:
    """Kill, tell, and keep the figures."""
    from benchmarks.common import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.part == "disks" and "ASSAY_OWN_MOUNTS" not in os.environ:
        own = ["unshare", "-rm", sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]]
        raise SystemExit(
            subprocess.run(own, env={**os.environ, "ASSAY_OWN_MOUNTS": "1"}).returncode
        )
    warm_up()
    facts = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    folder = Path(tempfile.mkdtemp(prefix="assay-faults-"))
    if asked.part:
        reference = Reference(folder, asked.seeds)
        rng = random.Random(f"{asked.seed} {asked.part}")
        facts[asked.part] = PARTS[asked.part](folder, reference, rng, asked.times)
        wrong = facts[asked.part]["wrong"]
        print(json.dumps(facts[asked.part], indent=1)[:6000])
    else:
        given = {"kills": asked.kills, "seconds": asked.seconds, "seed": asked.seed}
        facts |= killed(folder, facts, **given, seeds=asked.seeds)
        wrong = facts["wrong"]
    asked.out.write_text(json.dumps({**facts, "machine": machine()}, indent=1) + "\n")
    if wrong:
        raise SystemExit(f"{len(wrong)} faults; the stores are kept in {folder}")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
