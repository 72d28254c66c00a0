"""Bring an older database to this version's schema: backup, one transaction, counts compared."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from assay.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, migrations: Path = MIGRATIONS) -> None:
    """Run the missing migrations inside the connection's transaction.

    Args:
        connection: In a transaction; the caller commits. A failure leaves the old schema whole.
        migrations: Alembic's folder.
    """
    from alembic import command  # a third of a second, needed by old databases only

    before = _counts(connection)
    config = _config(migrations)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    after = _counts(connection)
    lost = sorted(name for name, rows in before.items() if after.get(name, rows) < rows)
    if lost:
        raise StoreError(
            f"An upgrade of the store must keep every row. It lost rows of {', '.join(lost)}; "
            "nothing was changed: please report this."
        )


def newest(migrations: Path = MIGRATIONS) -> str | None:
    """Return the id of the newest migration in the folder."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(migrations)).get_current_head()


def back_up(database: Path, version: str) -> Path:
    """Copy the database beside itself, whole, and return the copy's path."""
    copy = database.with_name(f"{database.name}.backup-{version}")
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    source, target = sqlite3.connect(database), sqlite3.connect(part)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    return part.replace(copy)


def _config(migrations: Path) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows of every table."""
    names = set(inspect(connection).get_table_names()) - {"alembic_version"}
    quote = connection.dialect.identifier_preparer.quote
    return {
        name: connection.execute(text(f"SELECT count(*) FROM {quote(name)}")).scalar_one()
        for name in sorted(names)
    }
