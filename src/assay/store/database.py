"""Opening the database: engine, version, and errors a user can act on. SQLAlchemy lives here."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from assay.errors import BadArgumentError, MissingExtraError, StoreError
from assay.store.migrate import MIGRATIONS, back_up, upgrade
from assay.store.place import Place
from assay.store.schema import HEAD, metadata

_ONE_WRITER = 0x61737361  # a server has no lock for a whole database but those that programs number


class Database:
    """An open database at this version's schema.

    Args:
        place: Where it is.
        readonly: Neither made nor upgraded, and opened so that it cannot be written.
        wait: Seconds to wait for another process's lock.
        migrations: Folder of the migrations.
        head: The schema that this program reads.
    """

    def __init__(
        self,
        place: Place,
        *,
        readonly: bool = False,
        wait: float = 30.0,
        migrations: Path = MIGRATIONS,
        head: str = HEAD,
    ) -> None:
        self._place, self._wait = place, wait
        self._migrations, self._head = migrations, head
        self._engine = self._make_engine(readonly=readonly)
        try:
            self._check_version(readonly=readonly)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database."""
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are kept together when the block ends well."""
        with self._told(), self._engine.connect() as plain:
            connection = plain.execution_options(assay_writes=True)
            with connection.begin():
                yield connection

    def _make_engine(self, *, readonly: bool) -> Engine:
        if self._place.database is None:
            return _server_engine(self._place, readonly=readonly, wait=self._wait)
        return _sqlite_engine(self._place.database, readonly=readonly, wait=self._wait)

    def _check_version(self, *, readonly: bool) -> None:
        with self.reading() as connection:
            version = _version(connection)
        if version == self._head:
            return
        if version is not None:
            self._refuse_newer(version)
        if readonly:
            self._refuse_old(version)
        self._bring_up(version)

    def _bring_up(self, version: str | None) -> None:
        """Make the tables of an empty database, or run the missing migrations of an old one."""
        if version is not None and self._place.database is not None:
            with self._told():
                back_up(self._place.database, version)
        with self.writing() as connection:
            version = _version(connection)  # again: another process may have been faster
            if version is None and not inspect(connection).get_table_names():
                _create(connection, self._head)
            elif version is None:
                self._refuse_foreign()
            elif version != self._head:
                upgrade(connection, self._migrations)

    def _refuse_newer(self, version: str) -> None:
        if version <= self._head:
            return
        raise StoreError(
            f"A store is read by the assay that wrote it or a newer one. {self._place.shown} has "
            f"schema {version}, this assay reads up to {self._head}; upgrade assay, or name "
            "another store with --store."
        )

    def _refuse_old(self, version: str | None) -> None:
        if version is None:
            self._refuse_foreign()
        raise StoreError(
            f"Viewing changes nothing, and {self._place.shown} has the older schema {version} "
            f"(this assay reads {self._head}); run any `assay compare` with this store to upgrade "
            "it, a backup is kept."
        )

    def _refuse_foreign(self) -> None:
        raise StoreError(
            f"A store is a database that assay made. {self._place.shown} has no schema of assay; "
            "name another store with --store."
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the database's errors into one sentence each."""
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self._sentence(error)) from error

    def _sentence(self, error: DBAPIError) -> str:
        if self._place.database is None:
            return self._server_sentence(error)
        name = getattr(error.orig, "sqlite_errorname", "")
        shown = self._place.shown
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return self._locked()
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return self._no_room(error)
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
            return (
                f"{shown} cannot be opened for writing ({error.orig}); make its folder writable, "
                "or name another with --store."
            )
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return (
                f"{shown} is damaged or not a database ({error.orig}). The trials' own files are "
                "untouched: move the database away and run the same command again to read them "
                "into a new one."
            )
        return f"The database {shown} refused: {_first_line(error)}."

    def _server_sentence(self, error: DBAPIError) -> str:
        """Return what to do about an error of a server: its states are those of SQL's standard."""
        state, shown = getattr(error.orig, "sqlstate", None) or "", self._place.shown
        if state == "55P03":  # lock_timeout
            return self._locked()
        if state == "25006":
            return f"{shown} was opened for viewing and cannot be changed."
        if state == "42501":
            return (
                f"{shown} cannot be used by this user ({_first_line(error)}); grant it the right, "
                "or name another store with --store."
            )
        if not state or state.startswith(("08", "57P")):
            return (
                f"The database {shown} cannot be reached ({_first_line(error)}). Nothing measured "
                "is lost; run the same command again when it answers."
            )
        return f"The database {shown} refused: {_first_line(error)}."

    def _locked(self) -> str:
        return (
            f"Another process held {self._place.shown} locked for {self._wait:g} seconds. Nothing "
            "measured is lost; run the same command again when it is free."
        )

    def _no_room(self, error: DBAPIError) -> str:
        folder = (self._place.database or self._place.files).parent
        free = shutil.disk_usage(folder).free
        return (
            f"{self._place.shown} could not be written ({error.orig}): {free:,} bytes are free in "
            f"{str(folder)!r}. What was written before is kept; free some space and run the same "
            "command again."
        )


def _first_line(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split()).rstrip(".")


def _version(connection: Connection) -> str | None:
    """Return the schema's version, or None when assay never made one here."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _create(connection: Connection, head: str) -> None:
    """Make today's tables at once; a test holds them equal to the sum of the migrations."""
    metadata.create_all(connection)
    connection.execute(
        text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})


def _server_engine(place: Place, *, readonly: bool, wait: float) -> Engine:
    try:
        engine = create_engine(
            place.url,
            connect_args={"connect_timeout": max(2, int(wait))},
            execution_options={"postgresql_readonly": readonly},
            pool_pre_ping=True,  # a server that was started again in the meantime is asked anew
        )
    except ImportError as error:
        raise MissingExtraError(
            "A postgresql:// store needs psycopg, which is not installed; "
            "`pip install assay[postgresql]` brings it."
        ) from error
    except (ArgumentError, ValueError) as error:
        raise BadArgumentError(
            "A store on a server is postgresql://USER:PASSWORD@HOST:PORT/NAME. "
            f"Received {place.shown!r}."
        ) from error
    event.listen(engine, "begin", lambda connection: _take_turn(connection, wait))
    return engine


def _take_turn(connection: Connection, wait: float) -> None:
    """Let one process at a time write, as SQLite does; the lock ends with the transaction."""
    if connection.get_execution_options().get("assay_writes", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, int(wait * 1000))}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_WRITER})")


def _sqlite_engine(database: Path, *, readonly: bool, wait: float) -> Engine:
    """Open a file. Our own `connect`, because a path inside a URL would have to be escaped."""
    connect = _read_connection if readonly else _write_connection
    engine = create_engine(
        "sqlite://", creator=lambda: connect(database, wait), poolclass=QueuePool, pool_size=1
    )
    event.listen(engine, "begin", _begin)
    return engine


def _write_connection(database: Path, wait: float) -> sqlite3.Connection:
    connection = _connection(f"{database.as_uri()}?mode=rwc", wait)
    _write_ahead(connection, wait)  # readers see the last commit, never wait
    connection.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _write_ahead(connection: sqlite3.Connection, wait: float) -> None:
    """Switch a new database to a log. SQLite itself does not wait for others who do the same."""
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                connection.close()
                raise
            time.sleep(0.005)
        else:
            return


def _read_connection(database: Path, wait: float) -> sqlite3.Connection:
    connection = _connection(f"{database.as_uri()}?mode=ro", wait)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        connection.close()
        if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            raise
        # The log of a WAL database cannot be opened in a folder that cannot be written.
        return _connection(f"{database.as_uri()}?immutable=1", wait)
    return connection


def _connection(uri: str, wait: float) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, timeout=wait, isolation_level=None, uri=True, check_same_thread=False
    )


def _begin(connection: Connection) -> None:
    """Begin by hand: the driver would leave schema changes outside the transaction."""
    writes = connection.get_execution_options().get("assay_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
