"""Old databases become new ones with every row, or stay as they were."""

import os
import signal
import sqlite3
from pathlib import Path

import pytest
from records import make_record, make_spec
from sqlalchemy import event

from assay.errors import StoreError
from assay.store.database import Database
from assay.store.migrate import MIGRATIONS, newest
from assay.store.place import locate
from assay.store.schema import HEAD, metadata
from assay.store.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of fork

TODAY = (MIGRATIONS / "versions" / "v0001_first.py").read_text()
ENV = """
from alembic import context
context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
"""
NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None

def upgrade():
    op.add_column("trials", sa.Column("colour", sa.Text(), server_default="red"))
    op.create_table("extra", sa.Column("name", sa.Text(), primary_key=True))
    op.execute("INSERT INTO extra SELECT hash FROM trials")
    {more}
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of today with trials: the old one in these tests."""
    with Store.open(tmp_path / "runs") as store:
        for seed in range(30):
            store.add_trial(make_record(make_spec(seed), status="failed"))
    return tmp_path / "runs"


def make_migrations(folder: Path, more: str = "pass") -> Path:
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    (folder / "versions" / "v0001.py").write_text(TODAY)
    (folder / "versions" / "v0002.py").write_text(NEXT.format(more=more))
    return folder


def look(database: Path) -> tuple[str, int, bool]:
    """Return the version, the number of trials, and whether the new column is there."""
    connection = sqlite3.connect(database)
    version = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    rows = connection.execute("SELECT count(*) FROM trials").fetchone()[0]
    columns = [row[1] for row in connection.execute("PRAGMA table_info(trials)")]
    extra = connection.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchall()
    connection.close()
    assert bool(extra) == ("colour" in columns)
    return version, rows, bool(extra)


def open_as_next(old: Path, migrations: Path) -> Database:
    return Database(locate(old), migrations=migrations, head="0002")


def test_the_newest_migration_is_the_one_that_the_program_expects():
    assert newest() == HEAD


def test_the_migrations_make_the_tables_that_the_program_expects(tmp_path: Path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from assay.store.migrate import upgrade

    database = Database(locate(tmp_path))
    with database.writing() as connection:
        for table in [*reversed(metadata.sorted_tables)]:
            table.drop(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
        upgrade(connection)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_an_old_store_is_upgraded_and_backed_up(old: Path, tmp_path: Path):
    open_as_next(old, make_migrations(tmp_path / "m")).close()
    assert look(old / "assay.db") == ("0002", 30, True)
    assert look(old / "assay.db.backup-0001") == ("0001", 30, False)


def test_an_upgrade_that_fails_leaves_the_old_store(old: Path, tmp_path: Path):
    migrations = make_migrations(tmp_path / "m", 'raise RuntimeError("planted")')
    with pytest.raises(RuntimeError, match="planted"):
        open_as_next(old, migrations)
    assert look(old / "assay.db") == ("0001", 30, False)


def test_an_upgrade_that_loses_rows_is_refused(old: Path, tmp_path: Path):
    migrations = make_migrations(tmp_path / "m", 'op.execute("DELETE FROM trials WHERE 1")')
    with pytest.raises(StoreError) as caught:
        open_as_next(old, migrations)
    assert str(caught.value) == (
        "An upgrade of the store must keep every row. It lost rows of trials; nothing was "
        "changed: please report this."
    )
    assert look(old / "assay.db") == ("0001", 30, False)


def test_an_upgrade_killed_at_any_statement_is_whole_or_absent(old: Path, tmp_path: Path):
    migrations = make_migrations(tmp_path / "m")
    versions = []
    for statement in range(1, 200):
        pid = os.fork()
        if pid == 0:
            _die_at(statement)
            open_as_next(old, migrations).close()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        version, rows, new = look(old / "assay.db")
        assert (rows, new) == (30, version == "0002")
        versions.append(version)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert versions[-1] == "0002"
    assert versions.count("0001") > 10  # kills that hit before the commit


def _die_at(number: int) -> None:
    """Kill this process before the statement of that number."""
    from sqlalchemy import Engine

    left = [number]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)


def test_a_newer_store_is_refused_with_both_versions(old: Path):
    connection = sqlite3.connect(old / "assay.db")
    connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.commit()
    connection.close()
    for readonly in (False, True):
        with pytest.raises(StoreError) as caught:
            Store.open(old, readonly=readonly)
        assert str(caught.value) == (
            "A store is read by the assay that wrote it or a newer one. "
            f"{old}/assay.db has schema 0999, this assay reads up to 0001; upgrade assay, or name "
            "another store with --store."
        )


def test_viewing_an_old_store_changes_nothing(old: Path, tmp_path: Path):
    with pytest.raises(StoreError) as caught:
        Database(
            locate(old), readonly=True, migrations=make_migrations(tmp_path / "m"), head="0002"
        )
    assert str(caught.value) == (
        f"Viewing changes nothing, and {old}/assay.db has the older schema 0001 "
        "(this assay reads 0002); run any `assay compare` with this store to upgrade it, "
        "a backup is kept."
    )
    assert look(old / "assay.db") == ("0001", 30, False)
