"""Sums by the hour and by the day, beside those by the quarter of an hour."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TEXTS = ("project", "key", "key_name", "upstream", "model", "outcome")
_LABELS = ("customer", "section")
_SUMS = (
    "calls",
    "unpriced",
    "timed",
    "latency_us",
    "cost_high",
    "cost_low",
    "input_tokens",
    "cache_read_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_30m_tokens",
    "cache_write_1h_tokens",
    "cache_write_12h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)


def upgrade() -> None:
    """Bring the tables to this version. The sums are made by the office, in small steps."""
    for name in ("rollup_hours", "rollup_days"):
        op.create_table(
            name,
            sa.Column("slot", sa.BigInteger(), nullable=False),
            sa.Column("series", sa.BigInteger(), nullable=False),
            sa.Column("cost_status", sa.String(), nullable=False),
            *(sa.Column(column, sa.String(), nullable=False) for column in _TEXTS),
            *(sa.Column(column, sa.String(), nullable=True) for column in _LABELS),
            *(sa.Column(column, sa.BigInteger(), nullable=False) for column in _SUMS),
            sa.PrimaryKeyConstraint("slot", "series", "cost_status", name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "rollup_levels",
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seconds", name=op.f("pk_rollup_levels")),
    )
    op.create_table(
        "rollup_stale",
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seconds", "slot", name=op.f("pk_rollup_stale")),
    )
    # Calls from before there were any sums: up to the first quarter that has some, which may lack the calls before the upgrade to them.
    op.execute(
        """INSERT INTO rollup_stale (seconds, slot) SELECT DISTINCT 900, started_at / 900000000000 * 900 FROM calls
        WHERE started_at < (SELECT COALESCE(MIN(slot) + 900, 9000000000) FROM rollups) * 1000000000"""
    )
