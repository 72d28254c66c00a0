"""The first schema: studies, their planned trials, records, measurements, openings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "studies",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.create_table(
        "planned",
        sa.Column(
            "study",
            sa.String(64),
            sa.ForeignKey("studies.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("trial", sa.String(64), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
    )
    op.create_index("ix_planned_trial", "planned", ["trial"])
    op.create_table(
        "trials",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
    )
    op.create_table(
        "measurements",
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("facts", sa.Text(), nullable=False),
    )
    op.create_table(
        "openings",
        sa.Column("split_hash", sa.String(64), primary_key=True),
        sa.Column("study", sa.String(64), primary_key=True),
        sa.Column("opened", sa.String(40), nullable=False),
    )
