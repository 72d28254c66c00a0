"""Kills, locks, full disks, damage. The processes are real and so are the signals."""

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TextIO

import pytest
from records import as_rows, make_measurement, make_record, make_spec

from assay.errors import AssayError, StoreError
from assay.store.store import Store

HERE = Path(__file__).parent


pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of fork


@dataclass
class Child:
    """A forked process and what it says."""

    pid: int
    voice: TextIO

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def fork(work: Callable[[Callable[[str], None]], None]) -> Child:
    """Start `work` in a process of its own: forked, because importing SQLAlchemy takes longer."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work(lambda line: os.write(write, f"{line}\n".encode()) and None)
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(7)
    os.close(write)
    return Child(pid, os.fdopen(read))


def run(code: str, *words: object, prefix: tuple[str, ...] = ()) -> str:
    """Run Python on `code` to its end, with this folder's modules; return what it printed."""
    result = subprocess.run(
        [*prefix, sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_killed_holder_leaves_no_lock(tmp_path: Path):
    def hold(say: Callable[[str], None]) -> None:
        with Store.open(tmp_path) as store, store.joined("abc"):
            say("in")
            time.sleep(60)

    for _ in range(5):
        holder = fork(hold)
        with holder.voice, Store.open(tmp_path) as store:
            assert holder.voice.readline() == "in\n"
            with pytest.raises(StoreError, match=rf"in use by process {holder.pid} on "):
                store.alone("abc").__enter__()
            holder.kill()
            with store.alone("abc"):
                pass


def test_what_was_committed_survives_kill_9(tmp_path: Path):
    def write(say: Callable[[str], None]) -> None:
        with Store.open(tmp_path) as store:
            for seed in count(os.getpid() * 1_000_000):
                record = make_record(make_spec(seed), status="failed", reason="x" * 20_000)
                store.add_trial(record)
                say(record.hash)

    rng, told = random.Random(0), []
    for _ in range(20):
        writer = fork(write)
        with writer.voice:
            told.append(writer.voice.readline().strip())
            time.sleep(rng.uniform(0, 0.03))
            writer.kill()
            told.extend(writer.voice.read().split("\n")[:-1])  # the last may be half a line
    with Store.open(tmp_path) as store:
        assert len(told) > 40
        assert sorted(store.trials(told)) == sorted(told)


def test_a_killed_study_is_there_whole_or_not_at_all(tmp_path: Path):
    rows = as_rows(*map(make_spec, range(60)))

    def add(say: Callable[[str], None]) -> None:
        with Store.open(tmp_path) as store:
            say("go")
            for number in count():
                store.add_study(f"{os.getpid()}-{number}", {}, rows, {})

    rng = random.Random(1)
    for _ in range(20):
        writer = fork(add)
        with writer.voice:
            assert writer.voice.readline() == "go\n"
            time.sleep(rng.uniform(0.02, 0.15))
            writer.kill()
    with Store.open(tmp_path) as store:
        assert len(store.studies()) > 20
        assert {len(study.specs) for study in store.studies()} == {60}


def test_many_may_make_one_store_at_once(tmp_path: Path):
    def make(say: Callable[[str], None]) -> None:
        try:
            Store.open(folder).close()
            say("made")
        except Exception as error:
            say(repr(error))

    for attempt in range(60):  # without waiting at the switch to a log, 1 in 12 fails
        folder = tmp_path / str(attempt)
        for child in [fork(make) for _ in range(2)]:
            with child.voice:
                assert child.voice.read() == "made\n"
                os.waitpid(child.pid, 0)


def test_a_locked_database_is_waited_for_and_then_named(tmp_path: Path):
    with Store.open(tmp_path, wait=0.3) as store:
        store.add_study("abc", {}, [], {})
        other = sqlite3.connect(tmp_path / "assay.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreError) as caught:
            store.add_measurement("key", make_measurement())
        assert time.monotonic() - began >= 0.3
        assert str(caught.value) == (
            f"Another process held {tmp_path}/assay.db locked for 0.3 seconds. Nothing measured "
            "is lost; run the same command again when it is free."
        )
        assert store.study("abc").id == "abc"  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        store.add_measurement("key", make_measurement())


def test_a_lock_that_is_let_go_in_time_is_not_noticed(tmp_path: Path):
    def hold(say: Callable[[str], None]) -> None:
        other = sqlite3.connect(tmp_path / "assay.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        say("in")
        time.sleep(0.5)
        other.execute("ROLLBACK")

    with Store.open(tmp_path) as store:
        holder = fork(hold)
        with holder.voice:
            assert holder.voice.readline() == "in\n"
            store.add_measurement("key", make_measurement())
        os.waitpid(holder.pid, 0)
        assert store.measurement("key") == make_measurement()


def damage(database: Path, how: str) -> None:
    if how == "text":
        database.write_text("This is no database, but it is long enough to look like one." * 9)
    else:
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 40_000)


@pytest.mark.parametrize(
    ("how", "says"),
    [("text", "file is not a database"), ("holes", "database disk image is malformed")],
)
def test_a_damaged_database_is_named_and_trials_are_read_from_their_files(
    tmp_path: Path, how: str, says: str
):
    database, record = tmp_path / "assay.db", make_record(make_spec())
    with Store.open(tmp_path) as store:
        store.add_study("abc", {}, as_rows(*map(make_spec, range(50))), {})
    damage(database, how)
    with pytest.raises(StoreError) as caught, Store.open(tmp_path) as store:
        store.studies()
    assert str(caught.value) == (
        f"{database} is damaged or not a database ({says}). The trials' own files are untouched: "
        "move the database away and run the same command again to read them into a new one."
    )
    database.unlink()
    with Store.open(tmp_path) as store:
        (store.trial_folder(record.hash) / "record.json").write_text(json.dumps(asdict(record)))
        assert store.trial(record.hash) == record


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path):
    database = tmp_path / "assay.db"
    other = sqlite3.connect(database)
    other.execute("CREATE TABLE songs (name TEXT)")
    other.close()
    for readonly in (True, False):
        with pytest.raises(StoreError) as caught:
            Store.open(tmp_path, readonly=readonly)
        assert str(caught.value) == (
            f"A store is a database that assay made. {database} has no schema of assay; "
            "name another store with --store."
        )
    other = sqlite3.connect(database)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    other.close()


FILL = """
import sys
from pathlib import Path
from records import make_record, make_spec
from assay.errors import StoreError
from assay.store.store import Store
store = Store.open(sys.argv[1])
kept = []
try:
    for seed in range(100_000):
        record = make_record(make_spec(seed), status="failed", reason="x" * 20_000)
        store.add_trial(record)
        kept.append(record.hash)
except StoreError as error:
    print(error)
    assert len(kept) > 5
    assert len(store.trials(kept)) == len(kept)
for junk in Path(sys.argv[1]).glob("ballast"):
    junk.unlink()
store.add_trial(make_record(make_spec(-1), status="failed"))
assert len(Store.open(sys.argv[1]).trials(kept)) == len(kept)
"""

SMALL_DISK = "mount -t tmpfs -o size=2m none {0} && head -c 300000 /dev/zero > {0}/ballast && "
READ_ONLY = "mount --bind {0} {0} && mount -o remount,ro,bind {0} && "


def own_mounts(command: str, folder: Path) -> tuple[str, ...]:
    """Return the words that run a program where `command` has changed the mounts of `folder`."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody have mounts of their own (unshare -rm)")
    return ("unshare", "-rm", "sh", "-c", command.format(folder) + 'exec "$@"', "sh")


def test_a_full_disk_is_named_and_keeps_what_was_written(tmp_path: Path):
    out = run(FILL, tmp_path, prefix=own_mounts(SMALL_DISK, tmp_path))
    assert out.startswith(f"{tmp_path}/assay.db could not be written (database or disk is full): ")
    assert out.endswith(
        f" bytes are free in '{tmp_path}'. What was written before is kept; free some space "
        "and run the same command again.\n"
    )


VIEW = """
import sys
from assay.errors import StoreError
from assay.store.store import Store
print(len(Store.open(sys.argv[1], readonly=True).studies()))
try:
    Store.open(sys.argv[1])
except StoreError as error:
    print(error)
"""


def test_a_read_only_folder_can_be_viewed_and_is_refused_before_work(tmp_path: Path):
    with Store.open(tmp_path) as store:
        store.add_study("abc", {}, [], {})
    out = run(VIEW, tmp_path, prefix=own_mounts(READ_ONLY, tmp_path))
    assert out == (
        f"1\nThe store's folder '{tmp_path}' cannot be written (Read-only file system); "
        "make it writable, or name another with --store.\n"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "file" / "runs")
    assert str(caught.value) == (
        f"The store's folder '{tmp_path}/file/runs' cannot be written (Not a directory); "
        "make it writable, or name another with --store."
    )


def test_every_failing_write_ends_in_a_sentence_and_loses_nothing(tmp_path: Path):
    """A limit on the file's size fails the n-th write, for every n."""
    refused = 0
    for kilobytes in range(40, 200, 8):
        folder = tmp_path / str(kilobytes)
        pid = os.fork()
        if pid == 0:
            os._exit(_write_under_limit(folder, kilobytes * 1024))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, 3), kilobytes
        refused += code == 3
        told = (folder.with_suffix(".told")).read_text().split()
        with Store.open(folder) as store:
            assert sorted(store.trials(told)) == sorted(told)
    assert refused > 5


def _write_under_limit(folder: Path, limit: int) -> int:
    """Be the child: write trials until the limit refuses; 3 is a refusal in words."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    told = folder.with_suffix(".told").open("w")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        with Store.open(folder) as store:
            for seed in range(20):
                record = make_record(make_spec(seed), status="failed", reason="x" * 5_000)
                store.add_trial(record)
                told.write(f"{record.hash}\n")
                told.flush()
    except AssayError as error:
        return 3 if "could not be written" in str(error) else 4
    except BaseException:
        return 5
    return 0
