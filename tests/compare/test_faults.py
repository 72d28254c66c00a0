"""Killed studies end with the table of one that was not: the quick form of benchmarks/faults."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from assay.compare import keep
from assay.data.load import load_arrays
from assay.engine import checkpoint, worker
from assay.engine.spec import TrialRecord
from assay.errors import StoreError
from assay.store import lock
from assay.store.store import Store
from benchmarks.faults import AT_ANY_TIME, AT_POINTS, render
from benchmarks.killing import _what

KILLS = 6
HASH = "0123456789abcdef"


def test_a_study_that_is_killed_again_and_again_ends_with_the_same_table(
    tmp_path: Path, repository: Path
):
    out = tmp_path / "faults.json"
    words = ["--kills", str(KILLS), "--seeds", "2", "--out", str(out)]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *words],
        cwd=repository,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    facts = json.loads(out.read_text())
    assert facts["wrong"] == []
    assert facts["kills"] >= KILLS
    assert facts["runs"] > facts["studies"] > 0
    known = {*AT_POINTS, *AT_ANY_TIME}
    assert {tuple(row["point"]) for row in facts["points"]} <= known
    assert f"{facts['kills']} SIGKILLs over {facts['studies']} studies" in render(facts)


def test_a_job_whose_parent_is_gone_ends_and_does_not_fail():
    """A worker outlives its parent for a moment: what it says then must not become its reason."""
    ours, theirs = os.pipe()
    os.close(ours)
    pid = os.fork()
    if pid == 0:
        try:
            worker._write(theirs, {"event": {}})
        finally:
            os._exit(7)
    os.close(theirs)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_a_record_taken_in_leaves_no_checkpoint_behind(tmp_path: Path):
    record = TrialRecord(hash=HASH, candidate="mlp", seed=0, status="finished")
    with Store.open(tmp_path) as store:
        folder = store.trial_folder(HASH)
        for name in ("record.json", "weights.safetensors", "checkpoint-000000001-00.safetensors"):
            (folder / name).write_text(json.dumps(asdict(record)))
        (folder / ".record.json.7.tmp").touch()
        assert store.trial(HASH) == record
        left = sorted(path.name for path in folder.iterdir())
    assert left == ["record.json", "weights.safetensors"]


def test_a_checkpoint_that_vanishes_while_it_is_looked_at_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / f"checkpoint-000000001-{HASH}.safetensors").touch()
    stat = Path.stat

    def gone(path: Path, **options: bool) -> os.stat_result:
        if path.name.startswith("checkpoint-"):
            raise FileNotFoundError(path)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", gone)
    assert checkpoint.newest(tmp_path) is None


def test_a_lock_holds_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock.os, "write", full)
    held = lock.claim(tmp_path / "a.trial")
    assert held is not None
    assert lock.claim(tmp_path / "a.trial") is None
    held.release()


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path):
    file = tmp_path / "nowhere" / "a.trial"
    with pytest.raises(StoreError) as caught:
        lock.claim(file)
    assert str(caught.value) == (
        f"A lock needs the file {file}, which cannot be made (No such file or directory). Nothing "
        "measured is lost; free some space there and run the same command again."
    )


def test_the_next_report_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in (".report.html.7.tmp", "plots/.ranking.png.7.tmp", ".winner-x1/fresh/model"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr("assay.report.write.write_report", lambda *_: {})
    keep.write(SimpleNamespace(), tmp_path, "en")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.rglob("*")] == ["plots"]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("trials/0/.record.json.12.tmp", "record"),
        ("trials/0/checkpoint-000000001-00.safetensors", "checkpoint"),
        ("runs/0/.winner-ab/fresh/model.safetensors", "winner"),
        ("runs/0/plots/.ranking.png.12.tmp", "report"),
        ("data/.preparing-ab/x.npy", "data"),
    ],
)
def test_what_is_written_is_known_by_its_path(path: str, what: str):
    assert _what(Path("/store") / path) == what


def test_data_that_find_the_disk_full_are_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError("114688 requested and 4032 written")  # NumPy's words

    monkeypatch.setattr("assay.data.prepare.np.save", full)
    with pytest.raises(StoreError) as caught:
        load_arrays([[float(i), 1.0] for i in range(60)], [0, 1] * 30, folder=tmp_path)
    assert str(caught.value) == (
        f"Prepared data is kept in {tmp_path}, which cannot be written (No space left on device); "
        "free space there, or name another folder with --store."
    )
