"""Prices: overrides, what calls cost by a later price, responses that were charged, and calls without a price."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "price_overrides",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("removed_at", sa.Float(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_overrides")),
    )
    op.create_table(
        "cost_adjustments",
        sa.Column("seq", BIG, nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("old_cost", sa.BigInteger(), nullable=True),
        sa.Column("old_status", sa.String(), nullable=False),
        sa.Column("old_ref", sa.String(), nullable=True),
        sa.Column("new_cost", sa.BigInteger(), nullable=True),
        sa.Column("new_status", sa.String(), nullable=False),
        sa.Column("new_ref", sa.String(), nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_cost_adjustments")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cost_adjustments_call", "cost_adjustments", ["call_id", "seq"], unique=False)
    op.create_index("ix_cost_adjustments_run", "cost_adjustments", ["run", "seq"], unique=False)
    op.create_table(
        "charged_responses",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charged_responses")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_charged_responses_time", "charged_responses", ["started_at"], unique=False)
    op.create_index(
        "ix_calls_unpriced",
        "calls",
        ["upstream", "served_model", "started_at"],
        unique=False,
        sqlite_where=sa.text("cost_status = 'unknown'"),
        postgresql_where=sa.text("cost_status = 'unknown'"),
    )
