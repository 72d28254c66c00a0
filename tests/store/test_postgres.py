"""The store on a PostgreSQL server: one of the test's own, or the one in ASSAY_TEST_POSTGRES."""

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from records import as_rows, make_measurement, make_record, make_spec
from sqlalchemy import create_engine, inspect, make_url

from assay.compare.study import Study
from assay.engine.spec import Event
from assay.errors import BadArgumentError, Interrupted, MissingExtraError, StoreError
from assay.store.database import Database
from assay.store.migrate import MIGRATIONS, upgrade
from assay.store.place import locate
from assay.store.schema import metadata
from assay.store.store import Store

pytest.importorskip("psycopg", reason="psycopg is not installed")

HERE = Path(__file__).parent
NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None

def upgrade():
    op.add_column("trials", sa.Column("colour", sa.Text(), server_default="red"))
    {more}
"""


def programs() -> Path | None:
    """Return the folder of the newest initdb and pg_ctl on this machine."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    for folder in [*reversed(debian), *map(Path, os.get_exec_path())]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


def unprivileged() -> dict[str, Any]:
    """Return how to start a program as somebody else, since the server refuses to be root."""
    if os.getuid():
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    name = next((n for n in ("postgres", "nobody") if n in known), None)
    if name is None:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server that tests may make schemas in."""
    if "ASSAY_TEST_POSTGRES" in os.environ:
        yield os.environ["ASSAY_TEST_POSTGRES"]
        return
    binaries = programs()
    if binaries is None:
        pytest.skip("no PostgreSQL server here (initdb, pg_ctl), and no ASSAY_TEST_POSTGRES")
    someone = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))  # a socket's path is at most 107 bytes
    if someone:
        os.chown(folder, someone["user"], someone["group"])

    def call(program: str, *words: str) -> None:
        whole = [str(binaries / program), "-D", str(folder / "data"), *words]
        with (folder / "log").open("ab") as log:
            subprocess.run(
                whole, check=True, stdout=log, stderr=log, timeout=120, cwd=folder, **someone
            )

    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    try:
        call("initdb", "--auth=trust", "--username=assay", "--no-sync", "--encoding=UTF8")
        call("pg_ctl", "start", "-w", "-o", options)
        yield f"postgresql://assay@/postgres?host={folder}"
    finally:
        call("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder)


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty schema of the test's own."""
    schema = f"assay_test_{os.getpid()}_{abs(hash(request.node.name)) % 10**8}"
    at = make_url(server).set(drivername="postgresql+psycopg")
    own = at.update_query_dict({"options": f"-csearch_path={schema}"})
    engine = create_engine(at, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        yield own.render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture
def store(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)  # the files of a store on a server lie in the working folder
    with Store.open(url) as opened:
        yield opened


def run_both(code: str, *words: str) -> list[str]:
    """Run Python twice at once and return what the two printed, errors included."""
    command = [sys.executable, "-c", code, *words]
    path = {**os.environ, "PYTHONPATH": str(HERE)}
    both = [
        subprocess.Popen(
            command, env=path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    return [process.communicate(timeout=60)[0] for process in both]


def migrations_until_0002(folder: Path, more: str = "pass") -> Path:
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions" / "v0002.py").write_text(NEXT.format(more=more))
    return folder


def test_the_migrations_make_the_tables_from_nothing(url: str):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = create_engine(locate(url).url)
    with engine.begin() as connection:
        upgrade(connection)
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    with Store.open(url) as store:
        assert store.studies() == []


def test_an_upgrade_is_whole_or_absent(store: Store, url: str, tmp_path: Path):
    store.add_trial(make_record(make_spec(), status="failed"))
    broken = migrations_until_0002(tmp_path / "broken", 'op.execute("DELETE FROM trials")')
    with pytest.raises(StoreError, match="It lost rows of trials; nothing was changed"):
        Database(locate(url), migrations=broken, head="0002")
    assert store.trial(make_spec().hash).status == "failed"
    good = migrations_until_0002(tmp_path / "good")
    database = Database(locate(url), migrations=good, head="0002")
    with database.reading() as connection:
        asked = connection.exec_driver_sql("SELECT colour FROM trials")
        assert asked.scalars().all() == ["red"]
    database.close()


def test_studies_and_trials_come_back_and_go(store: Store, url: str):
    shared, own = make_spec(0), make_spec(1)
    store.add_study("first", {"models": ["é"]}, as_rows(shared, own), {"name": "digits"})
    store.add_study("second", {}, as_rows(shared), {})
    for spec in (shared, own):
        store.add_trial(make_record(spec, status="failed", metrics={"val_accuracy": float("nan")}))
    store.add_measurement("key", make_measurement())
    assert [store.note_test_opened("split", who) for who in ("first", "second")] == [1, 2]
    with Store.open(url, readonly=True) as view:
        entry = view.study("fir")
        assert (entry.request, entry.data) == ({"models": ["é"]}, {"name": "digits"})
        assert (entry.trials, entry.failed) == ((shared.hash, own.hash), 2)
        assert [study.id for study in view.studies()] == ["first", "second"]
        value = view.trial(own.hash).metrics["val_accuracy"]
        assert value != value
        assert asdict(view.measurement("key")) == asdict(make_measurement())
    assert store.remove_study("first") == 1
    assert [study.id for study in store.studies()] == ["second"]
    assert list(store.trials([shared.hash, own.hash])) == [shared.hash]
    assert store.note_test_opened("split", "second") == 1


def test_a_view_cannot_be_written(store: Store, url: str):
    with Store.open(url, readonly=True) as view, pytest.raises(StoreError) as caught:
        view.add_measurement("key", make_measurement())
    shown = locate(url).shown
    assert str(caught.value) == f"{shown} was opened for viewing and cannot be changed."
    assert store.measurement("key") is None


BOTH_WRITE = """
import sys
from records import as_rows, make_measurement, make_record, make_spec
from assay.store.store import Store
with Store.open(sys.argv[1]) as store:
    for seed in range(40):
        spec = make_spec(seed)
        store.add_study(f"study-{seed}", {}, as_rows(spec), {})
        store.add_trial(make_record(spec, status="failed"))
        store.add_measurement(spec.hash, make_measurement())
        store.note_test_opened("split", f"study-{seed}")
"""


def test_two_processes_may_make_and_fill_one_store_at_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert run_both(BOTH_WRITE, url) == ["", ""]
    with Store.open(url, readonly=True) as view:
        assert len(view.studies()) == 40
        assert {study.failed for study in view.studies()} == {1}
        assert len(view.trials([make_spec(seed).hash for seed in range(40)])) == 40


def test_a_store_that_another_writes_is_waited_for_and_then_named(store: Store, url: str):
    with Store.open(url, wait=0.3) as late, store._database.writing():
        with pytest.raises(StoreError) as caught:
            late.add_measurement("key", make_measurement())
        assert late.studies() == []  # reading goes on
    assert str(caught.value) == (
        f"Another process held {locate(url).shown} locked for 0.3 seconds. Nothing measured is "
        "lost; run the same command again when it is free."
    )
    with Store.open(url, wait=10) as late:
        held = threading.Event()
        with store._database.writing():
            writer = threading.Thread(
                target=lambda: (held.set(), late.add_measurement("key", make_measurement()))
            )
            writer.start()
            held.wait()
        writer.join()
    assert store.measurement("key") == make_measurement()


def end_backends(url: str) -> None:
    """End every connection of this test but the one that asks, as a restart of a server does."""
    engine = create_engine(locate(url).url)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'assay-victim'"
        )
    engine.dispose()


def test_a_connection_that_the_server_ended_is_made_again(store: Store, url: str):
    with Store.open(f"{url}&application_name=assay-victim") as victim:
        victim.add_measurement("a", make_measurement(1))
        end_backends(url)
        victim.add_measurement("b", make_measurement(2))
    assert [store.measurement(key) for key in "ab"] == [make_measurement(1), make_measurement(2)]


def test_a_connection_that_ends_within_a_write_is_named_and_nothing_is_half_written(
    store: Store, url: str
):
    with Store.open(f"{url}&application_name=assay-victim") as victim:
        with (  # noqa: PT012 - the block is the transaction
            pytest.raises(StoreError) as caught,
            victim._database.writing() as connection,
        ):
            connection.exec_driver_sql("INSERT INTO measurements VALUES ('a', '{}')")
            end_backends(url)
            connection.exec_driver_sql("INSERT INTO measurements VALUES ('b', '{}')")
        assert str(caught.value).startswith(f"The database {locate(url).shown}&application_name=")
        assert str(caught.value).endswith(
            "Nothing measured is lost; run the same command again when it answers."
        )
        assert (store.measurement("a"), store.measurement("b")) == (None, None)


def test_a_server_that_does_not_answer_is_named_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as caught:
        Store.open(f"postgresql://me:secret@/runs?host={tmp_path}", wait=2)
    assert str(caught.value).startswith(
        f"The database postgresql://me:***@/runs?host={tmp_path} cannot be reached (connection "
    )
    assert str(caught.value).endswith(
        "). Nothing measured is lost; run the same command again when it answers."
    )
    assert "secret" not in str(caught.value)


def test_an_address_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadArgumentError) as caught:
        Store.open("postgresql://me:secret@host:port/runs")
    assert str(caught.value) == (
        "A store on a server is postgresql://USER:PASSWORD@HOST:PORT/NAME. "
        "Received 'postgresql://me:***@host:port/runs'."
    )


def test_a_missing_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError) as caught:
        Store.open("postgresql://me@host/runs")
    assert str(caught.value) == (
        "A postgresql:// store needs psycopg, which is not installed; "
        "`pip install assay[postgresql]` brings it."
    )


def test_a_study_is_kept_on_the_server_and_asked_from_there(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    password = make_url(url).password or "secret"
    secret = make_url(url).set(password=password).render_as_string(hide_password=False)
    options = {"budget": "20steps", "seeds": 1, "workers": 0, "store": secret, "baselines": False}
    study = Study("digits", models=["softmax_regression"], autotune=False, **options)

    def stop_after_training(event: Event) -> None:
        if event.kind == "finish":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        study.run(on_event=stop_after_training)
    shown = shlex.quote(locate(secret).shown)
    assert str(caught.value) == f"Stopped; continue with: assay resume {study.id} --store {shown}"
    result = Study.again(study.id, store=secret).run()
    assert (result.trials_run, result.recommendation.candidate) == (0, "softmax_regression")
    with Store.open(secret, readonly=True) as view:
        assert view.study(study.id).finished == 1
        written = str(view.study(study.id).request)
    report = (tmp_path / "assay-runs" / "runs" / study.id / "results.json").read_text()
    for text in (written, report):
        assert "postgresql" in text
        assert f":{password}@" not in text
