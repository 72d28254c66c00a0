"""What is written comes back, once, whole."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from records import as_rows, make_measurement, make_record, make_spec

from assay.engine.spec import spec_from_json
from assay.errors import BadArgumentError, MissingPathError, StoreError, UnknownNameError
from assay.store.place import default_store, locate, refuse_network_folder
from assay.store.store import Store


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "runs") as opened:
        yield opened


def keep_files(store: Store, *hashes: str) -> None:
    for name in hashes:
        (store.trial_folder(name) / "record.json").write_text("{}")


def test_a_study_comes_back_as_it_was_asked(store: Store):
    specs = [make_spec(seed) for seed in (2, 0, 1)]
    store.add_study("abc", {"models": ["a", "é"], "seeds": 3}, as_rows(*specs), {"name": "digits"})
    entry = store.study("abc")
    assert (entry.request, entry.data) == ({"models": ["a", "é"], "seeds": 3}, {"name": "digits"})
    assert [spec_from_json(spec) for spec in entry.specs] == specs
    assert entry.trials == tuple(spec.hash for spec in specs)
    assert (entry.finished, entry.failed) == (0, 0)


def test_a_study_that_is_there_stays_as_it_is(store: Store):
    store.add_study("abc", {"seeds": 1}, as_rows(make_spec()), {})
    store.add_study("abc", {"seeds": 2}, [], {})
    assert store.study("abc").request == {"seeds": 1}
    assert len(store.study("abc").specs) == 1


def test_studies_come_in_the_order_of_their_making(store: Store):
    for name in ("c", "a", "b"):
        store.add_study(name, {}, [], {})
    assert [entry.id for entry in store.studies()] == ["c", "a", "b"]


def test_a_study_counts_its_own_trials(store: Store):
    done, broken, waiting, foreign = (make_spec(seed) for seed in range(4))
    store.add_study("abc", {}, as_rows(done, broken, waiting), {})
    store.add_trial(make_record(done))
    store.add_trial(make_record(broken, status="failed", reason="diverged at step 3"))
    store.add_trial(make_record(foreign))
    assert (store.study("abc").finished, store.study("abc").failed) == (1, 1)


def test_a_run_that_nobody_works_on_is_not_shown_as_running(store: Store):
    store.add_study("abc", {}, [], {})
    assert store.study("abc").status == "stopped"
    with store.joined("abc"):
        assert store.study("abc").status == "running"
    store.set_status("abc", "finished")
    assert store.study("abc").status == "finished"


def test_a_status_outside_the_list_is_refused(store: Store):
    store.add_study("abc", {}, [], {})
    with pytest.raises(BadArgumentError) as caught:
        store.set_status("abc", "done")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "`status` must be one of failed, finished, running, stopped. Received 'done'."
    )


def test_a_trial_comes_back_equal(store: Store):
    record = make_record(make_spec(), spec=as_rows(make_spec())[0])
    store.add_trial(record)
    keep_files(store, record.hash)
    facts = json.loads(json.dumps(asdict(record)))
    assert json.loads(json.dumps(asdict(store.trial(record.hash)))) == facts
    assert store.trial("0" * 16) is None


def test_scores_that_are_not_numbers_survive(store: Store):
    record = make_record(make_spec(), status="failed", metrics={"val_accuracy": float("nan")})
    store.add_trial(record)
    value = store.trial(record.hash).metrics["val_accuracy"]
    assert value != value


def test_the_first_record_of_a_trial_stays(store: Store):
    record = make_record(make_spec())
    store.add_trial(record)
    store.add_trial(replace(record, steps=99))
    keep_files(store, record.hash)
    assert store.trial(record.hash).steps == 0


def test_many_trials_are_found_at_once(store: Store):
    specs = [make_spec(seed) for seed in range(1200)]
    wanted = [spec.hash for spec in specs]
    with store._database.writing() as connection:
        from assay.store.schema import trials

        failed = [asdict(make_record(s, status="failed")) for s in specs]
        rows = [{"hash": f["hash"], "status": "failed", "record": json.dumps(f)} for f in failed]
        connection.execute(trials.insert(), rows)
    assert sorted(store.trials(wanted)) == sorted(wanted)


def test_a_record_on_disk_that_missed_the_database_counts(store: Store):
    record = make_record(make_spec())
    (store.trial_folder(record.hash) / "record.json").write_text(json.dumps(asdict(record)))
    assert store.trial(record.hash) == record
    assert store._recorded([record.hash]) == {record.hash: record}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hash": "x", "curve": []}', "null"])
def test_a_broken_record_on_disk_does_not_count(store: Store, text: str):
    (store.trial_folder("abc") / "record.json").write_text(text)
    assert store.trial("abc") is None


def test_a_record_under_another_hash_does_not_count(store: Store):
    record = make_record(make_spec())
    (store.trial_folder("other") / "record.json").write_text(json.dumps(asdict(record)))
    assert store.trial("other") is None


def test_a_finished_trial_without_its_files_is_measured_again(store: Store):
    finished, failed = make_record(make_spec(0)), make_record(make_spec(1), status="failed")
    store.add_trial(finished)
    store.add_trial(failed)
    assert list(store.trials([finished.hash, failed.hash])) == [failed.hash]
    with Store.open(store.files, readonly=True) as view:
        assert sorted(view.trials([finished.hash, failed.hash])) == sorted(
            [finished.hash, failed.hash]
        )


def test_failures_may_be_forgotten_and_nothing_else(store: Store):
    finished, failed = make_record(make_spec(0)), make_record(make_spec(1), status="failed")
    for record in (finished, failed):
        store.add_trial(record)
        keep_files(store, record.hash)
    on_disk = store.trial_folder(failed.hash) / "record.json"
    on_disk.write_text(json.dumps(asdict(failed)))
    checkpoint = on_disk.with_name("checkpoint.safetensors")
    checkpoint.touch()
    store.forget_failures([finished.hash, failed.hash, "0" * 16])
    assert list(store.trials([finished.hash, failed.hash])) == [finished.hash]
    assert checkpoint.exists()
    store.add_trial(replace(failed, status="finished"))
    on_disk.write_text("{}")
    assert store.trial(failed.hash).status == "finished"


def test_a_study_may_be_extended(store: Store):
    first, more = make_spec(0), [make_spec(1), make_spec(2)]
    store.add_study("abc", {"seeds": 1}, as_rows(first), {"name": "digits", "failures": {"a": "x"}})
    store.extend_study("abc", as_rows(*more), {"name": "digits", "failures": {}})
    entry = store.study("abc")
    assert entry.trials == tuple(spec.hash for spec in (first, *more))
    assert (entry.request, entry.data) == ({"seeds": 1}, {"name": "digits", "failures": {}})


def test_a_measurement_is_written_once(store: Store):
    assert store.measurement("key") is None
    store.add_measurement("key", make_measurement(1))
    store.add_measurement("key", make_measurement(2))
    assert store.measurement("key") == make_measurement(1)


def test_openings_of_the_test_part_are_counted_by_study(store: Store):
    counts = [store.note_test_opened("split", study) for study in ("a", "a", "b")]
    assert counts == [1, 1, 2]
    assert store.note_test_opened("other", "a") == 1


def test_an_id_may_be_shortened_while_it_is_clear(store: Store):
    for name in ("abcd", "abxy", "ab"):
        store.add_study(name, {}, [], {})
    assert store.study("abc").id == "abcd"
    assert store.study("ab").id == "ab"
    with pytest.raises(UnknownNameError) as caught:
        store.study("a")
    assert str(caught.value) == (
        "A run is named by so much of its id that only one fits. Received 'a', "
        "which fits ab, abcd, abxy; type more of it."
    )


@pytest.mark.parametrize(("name", "hint"), [("abdc", " Did you mean 'abcd'?"), ("", "")])
def test_an_unknown_id_is_named_with_the_nearest(store: Store, name: str, hint: str):
    store.add_study("abcd", {}, [], {})
    text = f"No run {name!r} in {store.files}/assay.db.{hint} `assay runs` lists them."
    for ask in (
        store.study,
        store.remove_study,
        lambda i: store.set_status(i, "failed"),
        lambda i: store.extend_study(i, [], {}),
    ):
        with pytest.raises(UnknownNameError) as caught:
            ask(name)
        assert str(caught.value) == text


def test_a_long_unknown_id_is_cut(store: Store):
    with pytest.raises(UnknownNameError) as caught:
        store.study("x" * 5000)
    assert str(caught.value) == (
        f"No run '{'x' * 79}…' in {store.files}/assay.db. `assay runs` lists them."
    )


def test_removing_a_study_keeps_the_trials_of_others(store: Store):
    shared, own = make_spec(0), make_spec(1)
    store.add_study("first", {}, as_rows(shared, own), {})
    store.add_study("second", {}, as_rows(shared), {})
    for spec in (shared, own):
        store.add_trial(make_record(spec))
        keep_files(store, spec.hash)
    (store.run_folder("first") / "report.html").write_text("")
    store.note_test_opened("split", "first")
    assert store.remove_study("fir") == 1
    assert [entry.id for entry in store.studies()] == ["second"]
    assert list(store.trials([shared.hash, own.hash])) == [shared.hash]
    assert [f.name for f in (store.files / "trials").iterdir()] == [shared.hash]
    assert list((store.files / "runs").iterdir()) == []
    assert store.note_test_opened("split", "second") == 1


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "", "a/b", "a\n", "x" * 65, ".hidden"])
def test_an_id_cannot_leave_the_store(store: Store, name: str):
    text = (
        "An id is 1 to 64 letters, digits, '-' and '_', since it names a folder. "
        f"Received {name!r}."
    )
    for ask in (store.trial_folder, store.run_folder, lambda i: store.add_study(i, {}, [], {})):
        with pytest.raises(BadArgumentError) as caught:
            ask(name)
        assert str(caught.value) == text


def test_viewing_makes_nothing(tmp_path: Path):
    with pytest.raises(MissingPathError) as caught:
        Store.open(tmp_path / "none", readonly=True)
    assert str(caught.value) == (
        f"There are no runs in '{tmp_path}/none'. Run `assay compare DATA` first, "
        "or name another store with --store."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_view_cannot_be_written(store: Store):
    with Store.open(store.files, readonly=True) as view, pytest.raises(StoreError) as caught:
        view.add_measurement("key", make_measurement())
    assert str(caught.value) == (
        f"{store.files}/assay.db cannot be opened for writing (attempt to write a readonly "
        "database); make its folder writable, or name another with --store."
    )


def test_names_with_odd_characters_hold_a_store(tmp_path: Path):
    for name in ("a b", "100%", "a?b#c", "ünï", "%41"):
        with Store.open(tmp_path / name) as store:
            store.add_study("abc", {}, [], {})
        assert (tmp_path / name / "assay.db").exists()
        with Store.open(tmp_path / name, readonly=True) as view:
            assert len(view.studies()) == 1


def test_the_default_store_lies_beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "table.csv").touch()
    assert default_store(tmp_path / "photos") == tmp_path / "assay-runs"
    assert default_store("photos/table.csv") == tmp_path / "photos" / "assay-runs"
    assert default_store("digits") == default_store() == tmp_path / "assay-runs"
    assert locate(None).files == tmp_path / "assay-runs"


def test_urls_name_their_files_and_hide_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    absolute, relative = locate("sqlite:////data/x.db"), locate("sqlite:///x.db")
    assert (absolute.database, absolute.files) == (Path("/data/x.db"), Path("/data/x.db-files"))
    assert relative.database == tmp_path / "x.db"
    assert locate("sqlite:////data/assay.db").files == Path("/data")
    server = locate("postgresql://me:secret@host:5432/runs")
    assert server.url == "postgresql+psycopg://me:secret@host:5432/runs"
    assert server.shown == "postgresql://me:***@host:5432/runs"
    assert server.files == tmp_path / "assay-runs"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://me:secret@host/x", "mysql://me:***@host/x"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///", "sqlite:///"),
        ("http://host/x", "http://host/x"),
    ],
)
def test_other_urls_are_refused_without_their_password(url: str, shown: str):
    with pytest.raises(BadArgumentError) as caught:
        locate(url)
    assert str(caught.value) == (
        f"A store is a folder, sqlite:///FILE or postgresql://USER@HOST/NAME. Received {shown!r}."
    )


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "x.db").touch()
    with pytest.raises(BadArgumentError) as caught:
        Store.open(tmp_path / "x.db")
    assert str(caught.value) == (
        f"A store is a folder. Received the file '{tmp_path}/x.db'; "
        f"name its folder, or write sqlite:///{tmp_path}/x.db."
    )


def test_a_network_folder_is_refused():
    mounts = "/dev/sda1 / ext4 rw 0 0\nserver:/x /home/my\\040data nfs4 rw 0 0\n"
    refuse_network_folder(Path("/home/other"), mounts)
    with pytest.raises(StoreError) as caught:
        refuse_network_folder(Path("/home/my data/runs"), mounts)
    assert str(caught.value) == (
        "SQLite cannot lock files on a network file system. Received '/home/my data/runs', which "
        "is on nfs4; use --store with a local folder or with postgresql://USER@HOST/NAME."
    )


def test_a_study_in_use_names_host_and_process(store: Store):
    with store.joined("abc"), pytest.raises(StoreError) as caught, store.alone("abc"):
        pass
    assert str(caught.value) == (
        "A study that is being written cannot be removed. 'abc' is in use by process "
        f"{os.getpid()} on {socket.gethostname()}; wait until it ends."
    )
    with store.alone("abc"):  # free again
        pass


def test_several_processes_may_work_on_one_study(store: Store):
    with store.joined("abc"), store.joined("abc"), store.joined("other"):
        pass


def test_a_trial_is_claimed_by_one_at_a_time(store: Store):
    first = store.claim("0123")
    assert first is not None
    assert store.claim("0123") is None
    first.release()
    again = store.claim("0123")
    assert again is not None
    again.release()


def test_a_turn_is_waited_for_and_given_up_when_asked(store: Store):
    looks = []
    with store.turn(lambda: False), store.turn(lambda: looks.append(1) or len(looks) > 2):
        pass
    assert len(looks) == 3


def test_opening_imports_neither_torch_nor_alembic(tmp_path: Path):
    code = (
        "import sys; from assay.store.store import Store; import assay.cli.runs;"
        "assert 'sqlalchemy' not in sys.modules;"
        f"s = Store.open({str(tmp_path)!r}); s.add_study('a', {{}}, [], {{}}); s.close();"
        f"Store.open({str(tmp_path)!r}).close();"
        "print([m for m in ('torch', 'alembic', 'pandas', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
