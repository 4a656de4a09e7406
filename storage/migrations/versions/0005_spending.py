"""Spending: what saved calls have spent in the windows of budgets, and what of it the ledger has not settled yet."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "spending",
        sa.Column("counter", sa.String(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("rolling", sa.BigInteger(), nullable=False),
        sa.Column("forget_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("counter", "part", name=op.f("pk_spending")),
    )
    op.create_index("ix_spending_forget_at", "spending", ["forget_at"], unique=False)
    op.create_table(
        "unsettled",
        sa.Column("hold", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("counter", sa.String(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at_hold", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("hold", "place", name=op.f("pk_unsettled")),
    )
