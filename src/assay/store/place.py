"""Where a store is: the URL of its database and the folder of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from assay.errors import BadArgumentError, StoreError

FOLDER = "assay-runs"
DATABASE = "assay.db"
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})


@dataclass(frozen=True)
class Place:
    """A store's address.

    Attributes:
        url: Of the database, for SQLAlchemy; may hold a password.
        shown: The same for people, without the password.
        files: Folder of the run files.
        database: The SQLite file; None for a server.
    """

    url: str
    shown: str
    files: Path
    database: Path | None


def default_store(source: str | Path | None = None) -> Path:
    """Return `assay-runs/` beside the data; in the working folder for built-in data."""
    path = Path(source) if source else None
    if path is None or not path.exists():
        return Path.cwd() / FOLDER
    return path.resolve().parent / FOLDER


def locate(where: str | Path | None) -> Place:
    """Return the place that a folder, a URL or None (the default) names."""
    text = str(default_store() if where is None else where)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _folder(Path(text))
    if scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return _sqlite_file(Path(rest[1:]))
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        return _server(rest)
    raise BadArgumentError(
        "A store is a folder, sqlite:///FILE or postgresql://USER@HOST/NAME. "
        f"Received {without_password(text)!r}."
    )


def without_password(url: str) -> str:
    """Return a store's address as it may be shown and written down."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    host = re.sub(r"(?<=[?&]password=)[^&]*", "***", host)
    return f"{scheme}{separator}{user}{':***' if colon else ''}{at}{host}"


def refuse_network_folder(folder: Path, mounts: str | None = None) -> None:
    """Raise where SQLite's locks do not hold, because the folder is on a network file system.

    Args:
        folder: Of the database.
        mounts: Text of /proc/mounts; None reads it.
    """
    kind = _file_system(folder.resolve(), _mounts() if mounts is None else mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"SQLite cannot lock files on a network file system. Received {str(folder)!r}, which "
            f"is on {kind}; use --store with a local folder or with postgresql://USER@HOST/NAME."
        )


def _folder(folder: Path) -> Place:
    if folder.is_file():
        raise BadArgumentError(
            f"A store is a folder. Received the file {str(folder)!r}; "
            f"name its folder, or write sqlite:///{folder}."
        )
    folder = folder.absolute()
    database = folder / DATABASE
    return Place(f"sqlite:///{database}", str(database), folder, database)


def _sqlite_file(file: Path) -> Place:
    database = file.absolute()
    own = database.name == DATABASE
    files = database.parent if own else database.with_name(f"{database.name}-files")
    return Place(f"sqlite:///{database}", str(database), files, database)


def _server(rest: str) -> Place:
    url = f"postgresql+psycopg://{rest}"
    return Place(url, without_password(f"postgresql://{rest}"), Path.cwd() / FOLDER, None)


def _mounts() -> str:
    table = Path("/proc/self/mounts")
    return table.read_text(errors="replace") if table.exists() else ""


def _file_system(folder: Path, mounts: str) -> str:
    """Return the kind of the longest mount point that holds `folder`."""
    rows = [line.split() for line in mounts.splitlines()]
    held = [(row[1].replace("\\040", " "), row[2]) for row in rows if len(row) > 2]
    holding = [(len(point), kind) for point, kind in held if folder.is_relative_to(point)]
    return max(holding, default=(0, ""))[1]
