"""`assay runs`, `assay runs show ID`, `assay runs rm ID`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from records import as_rows, make_record, make_spec

from assay.cli import main
from assay.store.store import Store

NAME = "photos\x1b[31m\n中"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A stopped run: one trial finished, one failed, one not run."""
    done, broken, waiting = make_spec(0, "mlp"), make_spec(1, "mlp"), make_spec(0, NAME)
    with Store.open(tmp_path / "runs") as store:
        store.add_study("abc123", {"budget": "3s"}, as_rows(done, broken, waiting), {"name": NAME})
        store.add_trial(make_record(done, steps=100, train_seconds=2.5))
        store.add_trial(make_record(broken, status="failed", reason="diverged at step 3"))
        (store.trial_folder(done.hash) / "record.json").write_text("{}")
        (store.run_folder("abc123") / "report.html").write_text("")
        store.add_study("xyz", {}, [], {"name": "digits"})
        store.set_status("xyz", "finished")
    return tmp_path / "runs"


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["runs", *map(str, words)])
    return (code, *capsys.readouterr())


def test_runs_are_listed_oldest_first(runs: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "--store", runs)
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert rows[0] == ["ID", "CREATED", "STATUS", "DATA", "TRIALS"]
    assert rows[1][0] == "abc123"
    assert rows[1][2:] == ["stopped", "photos\\x1b[31m\\n中", "2", "of", "3,", "1", "failed"]
    assert (rows[2][0], rows[2][2:]) == ("xyz", ["finished", "digits", "0", "of", "0"])


def test_the_divisions_of_a_joined_run_are_listed_on_demand(
    runs: Path, capsys: pytest.CaptureFixture[str]
):
    with Store.open(runs) as store:
        store.add_study("joined", {}, [], {"name": "digits", "parts": ["xyz"]})
    _, out, _ = call(capsys, "--store", runs)
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["abc123", "joined"]
    assert lines[3:] == [
        "",
        "and 1 more, joined in these by --splits: `assay runs --all` lists them",
    ]
    _, out, _ = call(capsys, "--all", "--store", runs)
    assert [line.split()[0] for line in out.splitlines()] == ["ID", "abc123", "xyz", "joined"]


def test_wide_characters_take_two_places_in_the_list(
    runs: Path, capsys: pytest.CaptureFixture[str]
):
    with Store.open(runs) as store:
        store.add_study("wide", {}, [], {"name": "数据"})
    _, out, _ = call(capsys, "--store", runs)
    lines = out.splitlines()
    assert lines[3].index("0 of 0") + 2 == lines[2].index("0 of 0")


def test_a_run_is_shown_whole_with_the_way_to_continue(
    runs: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, _ = call(capsys, "show", "abc", "--store", runs)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert "budget 3s" in lines
    assert f"files {runs}/runs/abc123" in lines
    assert lines[-6:] == [
        "CANDIDATE SEED STATUS STEPS SECONDS RESULT",
        "mlp 0 finished 100 2.5 val_accuracy 0.875",
        "mlp 1 failed 0 0.0 diverged at step 3",
        "photos\\x1b[31m\\n中 0 not run",
        "",
        f"continue with: assay resume abc123 --store {runs}",
    ]


def test_runs_are_json_for_programs(runs: Path, capsys: pytest.CaptureFixture[str]):
    _, out, _ = call(capsys, "--json", "--store", runs)
    assert [study["id"] for study in json.loads(out)] == ["abc123", "xyz"]
    _, out, _ = call(capsys, "show", "abc123", "--json", "--store", runs)
    facts = json.loads(out)
    assert (facts["data"]["name"], facts["finished"], facts["failed"]) == (NAME, 1, 1)
    assert [record["status"] for record in facts["records"]] == ["finished", "failed"]


def test_a_run_is_removed_with_its_files(runs: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "rm", "abc", "--yes", "--store", runs)
    assert (code, out) == (
        0,
        "removed abc123: its files and 3 trials that no other run uses\n",
    )
    assert list((runs / "runs").iterdir()) == list((runs / "trials").iterdir()) == []
    _, out, _ = call(capsys, "--json", "--store", runs)
    assert [study["id"] for study in json.loads(out)] == ["xyz"]


def test_removing_without_a_terminal_needs_yes(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    code, _, err = call(capsys, "rm", "abc", "--store", runs)
    assert (code, err) == (
        2,
        "assay: Removing a run needs a yes. Received none for 'abc123', and there is no terminal "
        "to ask on; add --yes.\n",
    )
    assert (runs / "runs" / "abc123" / "report.html").exists()


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 2), ("", 1, 2), ("y", 0, 1)])
def test_removing_asks_on_a_terminal(
    runs: Path, capsys, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert call(capsys, "rm", "abc", "--store", runs)[0] == code
    with Store.open(runs, readonly=True) as store:
        assert len(store.studies()) == left


def test_a_run_in_progress_is_not_removed(runs: Path, capsys: pytest.CaptureFixture[str]):
    with Store.open(runs) as store, store.joined(store.study("abc").id):
        code, _, err = call(capsys, "rm", "abc", "--yes", "--store", runs)
        assert code == 1
        assert err.startswith(
            "assay: A study that is being written cannot be removed. 'abc123' is in use"
        )
        assert len(store.studies()) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["show"],
            "`assay runs show` needs the ID of a run. Received none; `assay runs` lists them.",
        ),
        (["rm"], "`assay runs rm` needs the ID of a run. Received none; `assay runs` lists them."),
        (
            ["list", "abc"],
            "`assay runs list` takes no ID. Received 'abc'; did you mean `assay runs show abc`?",
        ),
    ],
)
def test_a_wrong_call_is_explained(words: list[str], text: str, capsys):
    assert call(capsys, *words) == (2, "", f"assay: {text}\n")


def test_no_runs_is_said_and_nothing_is_made(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys)
    assert (code, err) == (
        2,
        f"assay: There are no runs in '{tmp_path}/assay-runs'. Run `assay compare DATA` first, "
        "or name another store with --store.\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_runs_import_no_torch(runs: Path):
    code = (
        "import sys; from assay.cli import main;"
        f"main(['runs', 'show', 'abc', '--store', {str(runs)!r}]); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
