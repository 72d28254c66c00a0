"""The record of runs: studies, trials, measurements. Each is written once."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from assay.engine.spec import Measurement, TrialRecord, record_from_json, spec_from_json
from assay.errors import BadArgumentError, MissingPathError, StoreError, UnknownNameError, nearest
from assay.store.lock import Claim, claim, exclusive, in_turn, is_held, shared
from assay.store.place import Place, locate, refuse_network_folder

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Table

    from assay.store.database import Database

Status = Literal["running", "stopped", "finished", "failed"]
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")  # also a folder's name: nothing to escape with
_LONGEST_SHOWN = 80  # characters of a wrong id in a message
_ASKED_AT_ONCE = 500  # SQLite takes at most 999 values in one question


@dataclass(frozen=True, kw_only=True)
class StudyEntry:
    """One study as it was asked for, and how far it has come."""

    id: str
    created: str  # ISO 8601, UTC
    status: str  # one of `Status`; what was killed while "running" reads as "stopped"
    request: Mapping[str, Any]
    data: Mapping[str, Any]
    specs: tuple[Mapping[str, Any], ...]  # every planned trial, in order
    trials: tuple[str, ...]  # their hashes, in the same order
    finished: int  # trials on record
    failed: int


class Store:
    """A database of what was measured and a folder of files; made by `Store.open`."""

    def __init__(self, database: Database, place: Place, *, readonly: bool) -> None:
        self._database, self._place, self._readonly = database, place, readonly
        self.files = place.files

    @classmethod
    def open(
        cls, where: str | Path | None = None, *, readonly: bool = False, wait: float = 30.0
    ) -> Store:
        """Open a store, and make it where there is none.

        Args:
            where: A folder, sqlite:///FILE or postgresql://...; None is `assay-runs/` here.
            readonly: View what is there; nothing is made, changed or upgraded.
            wait: Seconds to wait for another process that holds the database locked.

        Raises:
            MissingPathError: When there is nothing to view.
            StoreError: When the folder or the database cannot be used.
        """
        place = locate(where)
        if readonly:
            _require(place)
        else:
            _make_folder(place)
        from assay.store.database import Database  # SQLAlchemy: half a second, not for `--help`

        return cls(Database(place, readonly=readonly, wait=wait), place, readonly=readonly)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self._place.shown!r})"

    @property
    def where(self) -> str:
        """What `--store` takes to open this store again; a password is left out."""
        return str(self.files if self._place.database == self.files / "assay.db" else self._shown())

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def joined(self, study: str) -> AbstractContextManager[None]:
        """Be one of the processes that work on a study, for the length of a `with` block.

        Raises:
            StoreError: When another process removes it just now.
        """
        return shared(self._lock("study", study))

    def alone(self, study: str) -> AbstractContextManager[None]:
        """Keep every process out of a study for the length of a `with` block.

        Raises:
            StoreError: When one is in; the text names its host and process id.
        """
        return exclusive(self._lock("study", study))

    def turn(self, give_up: Callable[[], bool]) -> AbstractContextManager[None]:
        """Do in a `with` block what only one process at a time may do here: plan and measure.

        Args:
            give_up: Asked while another process has its turn; true ends the waiting.
        """
        return in_turn(self._lock("turn", "turn"), give_up)

    def claim(self, trial: str) -> Claim | None:
        """Return the right to run a trial until it is released, or None: another process has it."""
        return claim(self._lock("trial", trial))

    def _lock(self, kind: str, name: str) -> Path:
        _check_id(name)
        return self.files / "locks" / f"{name}.{kind}"

    def add_study(
        self,
        id: str,  # noqa: A002 - the contract's name
        request: Mapping[str, Any],
        specs: Sequence[Mapping[str, Any]],
        data: Mapping[str, Any],
    ) -> None:
        """Write down what a study will do; a study that is there already stays as it is.

        Args:
            id: Also the name of its folder.
            request: Every option, so that the study can be repeated.
            specs: The trials as `asdict(TrialSpec)`, in the order they are to run.
            data: The facts about the data.
        """
        _check_id(id)
        row = {"id": id, "created": _now(), "status": "running"}
        facts = {"request": _text(request), "data": _text(data)}
        planned = _planned_rows(id, specs)
        from assay.store.schema import planned as table
        from assay.store.schema import studies

        with self._database.writing() as connection:
            if connection.execute(studies.select().where(studies.c.id == id)).first():
                return
            connection.execute(studies.insert(), {**row, **facts})
            if planned:
                connection.execute(table.insert(), planned)

    def extend_study(
        self,
        id: str,  # noqa: A002
        specs: Sequence[Mapping[str, Any]],
        data: Mapping[str, Any],
    ) -> None:
        """Add trials to the end of a study, and exchange the facts about its data.

        Args:
            id: In full.
            specs: As `add_study` takes them.
            data: All the facts.
        """
        from assay.store.schema import planned as table
        from assay.store.schema import studies

        with self._database.writing() as connection:
            change = studies.update().where(studies.c.id == id).values(data=_text(data))
            if connection.execute(change).rowcount == 0:
                raise self._unknown(id, self._ids(connection))
            known = connection.execute(table.select().where(table.c.study == id)).all()
            rows = _planned_rows(id, specs, first=len(known))
            if rows:
                connection.execute(table.insert(), rows)

    def set_status(self, id: str, status: Status) -> None:  # noqa: A002
        """Write how a study stands."""
        if status not in get_args(Status):
            raise BadArgumentError(
                f"`status` must be one of {', '.join(sorted(get_args(Status)))}. "
                f"Received {status!r}."
            )
        from assay.store.schema import studies

        change = studies.update().where(studies.c.id == id).values(status=status)
        with self._database.writing() as connection:
            if connection.execute(change).rowcount == 0:
                raise self._unknown(id, self._ids(connection))

    def studies(self) -> list[StudyEntry]:
        """Return all studies, the oldest first."""
        from assay.store.schema import studies

        with self._database.reading() as connection:
            rows = connection.execute(studies.select().order_by(studies.c.number)).all()
            return [self._entry(connection, row) for row in rows]

    def study(self, prefix: str) -> StudyEntry:
        """Return the study whose id is `prefix`, or the only one whose id begins so."""
        from assay.store.schema import studies

        with self._database.reading() as connection:
            found = self._resolve(connection, prefix)
            row = connection.execute(studies.select().where(studies.c.id == found)).one()
            return self._entry(connection, row)

    def remove_study(self, id: str) -> int:  # noqa: A002
        """Remove a study with its files and the trials that no other study uses.

        Args:
            id: In full, or so much of it that only one study fits.

        Returns:
            The number of trials removed.
        """
        from assay.store.schema import openings, planned, studies, trials

        with self._database.writing() as connection:
            found = self._resolve(connection, id)
            ours = planned.select().where(planned.c.study == found)
            own = {row.trial for row in connection.execute(ours)}
            others = planned.select().where(planned.c.study != found)
            own -= {row.trial for row in connection.execute(others)}
            connection.execute(planned.delete().where(planned.c.study == found))
            connection.execute(studies.delete().where(studies.c.id == found))
            connection.execute(openings.delete().where(openings.c.study == found))
            for part in _parts(sorted(own)):
                connection.execute(trials.delete().where(trials.c.hash.in_(part)))
        for folder in [self._path("runs", found), *(self._path("trials", h) for h in own)]:
            shutil.rmtree(folder, ignore_errors=True)
        return len(own)

    def add_trial(self, record: TrialRecord) -> None:
        """Write what a trial measured; the first record of a hash stays."""
        from assay.store.schema import trials

        facts = {"status": record.status, "record": _text(asdict(record))}
        self._add_once(trials, "hash", record.hash, facts)

    def trial(self, hash: str) -> TrialRecord | None:  # noqa: A002
        """Return one trial's record, or None when it has not been measured."""
        return self.trials([hash]).get(hash)

    def trials(self, hashes: Iterable[str]) -> dict[str, TrialRecord]:
        """Return the records of those trials that have been measured, by hash.

        A trial that wrote its `record.json` just before everything was killed counts. One whose
        folder somebody deleted does not, so that a study measures it again.
        """
        wanted = list(dict.fromkeys(hashes))
        found = self._recorded(wanted)
        if self._readonly:
            return found
        kept = {h: r for h, r in found.items() if r.status == "failed" or self._has_files(h)}
        adopted = self._adopt([h for h in wanted if h not in found])
        known = kept | adopted
        return {name: known[name] for name in wanted if name in known}

    def forget_failures(self, hashes: Iterable[str]) -> None:
        """Remove the records of failed trials, so that they can be tried again.

        Args:
            hashes: Of the trials; what finished stays. Checkpoints stay too.
        """
        from assay.store.schema import trials

        failed = [name for name, r in self._recorded(list(hashes)).items() if r.status == "failed"]
        for name in failed:  # the file first: a record on disk would be taken in again
            (self._path("trials", name) / "record.json").unlink(missing_ok=True)
        if failed:
            with self._database.writing() as connection:
                for part in _parts(failed):
                    connection.execute(trials.delete().where(trials.c.hash.in_(part)))

    def add_measurement(self, key: str, measurement: Measurement) -> None:
        """Write what a candidate costs; the first measurement of a key stays."""
        from assay.store.schema import measurements

        self._add_once(measurements, "key", key, {"facts": _text(asdict(measurement))})

    def measurement(self, key: str) -> Measurement | None:
        """Return what was measured under this key, or None."""
        from assay.store.schema import measurements

        with self._database.reading() as connection:
            asked = measurements.select().where(measurements.c.key == key)
            row = connection.execute(asked).first()
        return None if row is None else Measurement(**json.loads(row.facts))

    def note_test_opened(self, split_hash: str, study: str = "") -> int:
        """Note that a study looked at a test part.

        Args:
            split_hash: Of the division whose test part was opened.
            study: Its id; the same study counts once.

        Returns:
            How many studies have opened this test part, this one included.
        """
        from assay.store.schema import openings

        with self._database.writing() as connection:
            asked = openings.select().where(openings.c.split_hash == split_hash)
            before = {row.study for row in connection.execute(asked)}
            if study not in before:
                row = {"split_hash": split_hash, "study": study, "opened": _now()}
                connection.execute(openings.insert(), row)
        return len(before | {study})

    def trial_folder(self, hash: str) -> Path:  # noqa: A002
        """Return the folder of a trial's files; made when the store can be written."""
        return self._folder("trials", hash)

    def run_folder(self, id: str) -> Path:  # noqa: A002
        """Return the folder of a study's report and winner; made when the store can be written."""
        return self._folder("runs", id)

    def _shown(self) -> str:
        database = self._place.database
        return self._place.shown if database is None else f"sqlite:///{database}"

    def _path(self, kind: str, name: str) -> Path:
        _check_id(name)
        return self.files / kind / name

    def _folder(self, kind: str, name: str) -> Path:
        folder = self._path(kind, name)
        if not self._readonly:
            _make(folder)
        return folder

    def _has_files(self, name: str) -> bool:
        return (self._path("trials", name) / "record.json").exists()

    def _add_once(self, table: Table, key: str, value: str, facts: Mapping[str, str]) -> None:
        """Insert a row unless its key is there; the write lock makes the two one step."""
        asked = table.select().where(table.c[key] == value)
        with self._database.writing() as connection:
            if connection.execute(asked).first() is None:
                connection.execute(table.insert(), {key: value, **facts})

    def _recorded(self, wanted: Sequence[str]) -> dict[str, TrialRecord]:
        from assay.store.schema import trials

        with self._database.reading() as connection:
            rows = [
                row
                for part in _parts(wanted)
                for row in connection.execute(trials.select().where(trials.c.hash.in_(part)))
            ]
        records = {row.hash: record_from_json(json.loads(row.record)) for row in rows}
        return {name: records[name] for name in wanted if name in records}

    def _adopt(self, missing: Iterable[str]) -> dict[str, TrialRecord]:
        """Take in the trials that are whole on disk and not in the database."""
        found = {name: _record_file(self._path("trials", name)) for name in missing}
        records = {n: r for n, r in found.items() if r is not None and r.hash == n}
        for name, record in records.items():
            self.add_trial(record)
            _tidy(self._path("trials", name))
        return records

    def _entry(self, connection: Connection, row: Row[Any]) -> StudyEntry:
        from assay.store.schema import planned

        mine = planned.select().where(planned.c.study == row.id).order_by(planned.c.position)
        rows = connection.execute(mine).all()
        statuses = _statuses(connection, row.id)
        return StudyEntry(
            id=row.id,
            created=row.created,
            status=self._status(row.id, row.status),
            request=json.loads(row.request),
            data=json.loads(row.data),
            specs=tuple(json.loads(r.spec) for r in rows),
            trials=tuple(r.trial for r in rows),
            finished=statuses.count("finished"),
            failed=statuses.count("failed"),
        )

    def _status(self, study: str, written: str) -> str:
        killed = written == "running" and not is_held(self.files / "locks" / f"{study}.study")
        return "stopped" if killed else written

    def _ids(self, connection: Connection) -> list[str]:
        from assay.store.schema import studies

        return [row.id for row in connection.execute(studies.select().order_by(studies.c.number))]

    def _resolve(self, connection: Connection, prefix: str) -> str:
        """Return the one id that is `prefix` or begins with it."""
        ids = self._ids(connection)
        fitting = [prefix] if prefix in ids else [i for i in ids if prefix and i.startswith(prefix)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UnknownNameError(
                f"A run is named by so much of its id that only one fits. Received {prefix!r}, "
                f"which fits {', '.join(sorted(fitting))}; type more of it."
            )
        raise self._unknown(prefix, ids)

    def _unknown(self, id: str, ids: Iterable[str]) -> UnknownNameError:  # noqa: A002
        shown = id if len(id) <= _LONGEST_SHOWN else f"{id[: _LONGEST_SHOWN - 1]}…"
        return UnknownNameError(
            f"No run {shown!r} in {self._place.shown}.{nearest(id, ids)} `assay runs` lists them."
        )


def _statuses(connection: Connection, study: str) -> list[str]:
    from assay.store.schema import planned, trials

    joined = planned.join(trials, planned.c.trial == trials.c.hash)
    asked = trials.select().select_from(joined).where(planned.c.study == study)
    return [row.status for row in connection.execute(asked.with_only_columns(trials.c.status))]


def _parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[i : i + _ASKED_AT_ONCE] for i in range(0, len(names), _ASKED_AT_ONCE))


def _check_id(name: str) -> None:
    if not _ID.fullmatch(name):
        raise BadArgumentError(
            "An id is 1 to 64 letters, digits, '-' and '_', since it names a folder. "
            f"Received {name!r}."
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _text(facts: Any) -> str:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))


def _planned_rows(
    study: str, specs: Sequence[Mapping[str, Any]], *, first: int = 0
) -> list[dict[str, Any]]:
    """Return the rows of planned trials, numbered from `first`."""
    return [
        {"study": study, "position": at, "trial": spec_from_json(spec).hash, "spec": _text(spec)}
        for at, spec in enumerate(_plain(specs), first)
    ]


def _plain(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the specs as JSON gives them back: lists for tuples."""
    return json.loads(_text([dict(spec) for spec in specs]))


def _record_file(folder: Path) -> TrialRecord | None:
    """Return the record that a trial left in its folder; it is written last, so it is whole."""
    try:
        return record_from_json(json.loads((folder / "record.json").read_text()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _tidy(folder: Path) -> None:
    """Remove what a finished trial needs no more, and was killed before it could remove."""
    for path in [*folder.glob("checkpoint-*"), *folder.glob(".*.tmp")]:
        path.unlink(missing_ok=True)


def _require(place: Place) -> None:
    if place.database is not None and not place.database.exists():
        raise MissingPathError(
            f"There are no runs in {str(place.database.parent)!r}. Run `assay compare DATA` first, "
            "or name another store with --store."
        )


def _make_folder(place: Place) -> None:
    """Make the folders and prove that they can be written, before any work starts."""
    _make(place.files)
    if place.database is not None:
        _make(place.database.parent)
        refuse_network_folder(place.database.parent)
    try:
        _make(place.files / "locks")
        (place.files / "locks" / "turn.turn").open("a").close()
    except OSError as error:
        raise _unwritable(place.files, error) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The store's folder {str(folder)!r} cannot be written ({error.strerror}); "
        "make it writable, or name another with --store."
    )
