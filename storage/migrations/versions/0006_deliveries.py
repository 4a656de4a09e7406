"""Deliveries: what is owed to destinations and what became of it, events, and the offices that take them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "deliveries",
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("owed_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("options", sa.LargeBinary(), nullable=True),
        sa.Column("otherwise", sa.String(), nullable=True),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("batch", sa.String(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("shortened", sa.String(), nullable=True),
        sa.Column("log", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("destination", "number", name=op.f("pk_deliveries")),
        sqlite_with_rowid=False,
    )
    _index("pending", ["destination", "state", "lane", "number"], "ended_at IS NULL")
    _index("waiting", ["destination", "lane", "due"], "state = 1")
    _index("claimed", ["claimed_by"], "state = 2")
    _index("batch", ["destination", "batch"], "batch IS NOT NULL AND ended_at IS NULL")
    _index("otherwise", ["destination", "otherwise", "number"], "otherwise IS NOT NULL AND ended_at IS NULL")
    _index("dead", ["destination", "number"], "state = 4")
    op.create_table(
        "delivery_totals",
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("dead", sa.BigInteger(), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_delivery_totals")),
    )
    op.create_table(
        "dead_payloads",
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("destination", "number", name=op.f("pk_dead_payloads")),
    )
    op.create_index("ix_dead_payloads_at", "dead_payloads", ["at"], unique=False)
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sa.UniqueConstraint("id", name=op.f("uq_events_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_at", "events", ["at"], unique=False)
    op.create_table(
        "offices",
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("boot", name=op.f("pk_offices")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Every delivery is updated twice within seconds; by default a large table would be cleaned far too seldom.
        op.execute(
            "ALTER TABLE deliveries SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02)"
        )


def _index(name: str, columns: list[str], only: str) -> None:
    where = sa.text(only)
    op.create_index(f"ix_deliveries_{name}", "deliveries", columns, unique=False, sqlite_where=where, postgresql_where=where)
