"""The tables. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, Text

HEAD = "0001"  # the newest migration; a test compares it with `migrations/versions`

metadata = MetaData()

# Facts are JSON in text columns: a server's own JSON type refuses NaN, which scores may be.
studies = Table(
    "studies",
    metadata,
    Column("number", Integer, primary_key=True),  # the order of creation, whatever the clock does
    Column("id", String(64), nullable=False, unique=True),
    Column("created", String(40), nullable=False),  # ISO 8601, UTC
    Column("status", String(20), nullable=False),
    Column("request", Text, nullable=False),
    Column("data", Text, nullable=False),
)

planned = Table(
    "planned",
    metadata,
    Column("study", String(64), ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("trial", String(64), nullable=False, index=True),
    Column("spec", Text, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("record", Text, nullable=False),
)

measurements = Table(
    "measurements",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("facts", Text, nullable=False),
)

openings = Table(  # who looked at which test part
    "openings",
    metadata,
    Column("split_hash", String(64), primary_key=True),
    Column("study", String(64), primary_key=True),
    Column("opened", String(40), nullable=False),
)
