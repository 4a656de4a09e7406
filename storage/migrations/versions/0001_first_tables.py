"""The first tables: calls, their tags and contents, keys, sign-in."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.Column("last_used_at", sa.Float(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_index(
        "ix_api_keys_live_name",
        "api_keys",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "call_tags",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "value", "started_at", "seq", name=op.f("pk_call_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls",
        sa.Column("seq", BIG, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("key_name", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("upstream", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("served_model", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("session", sa.String(), nullable=True),
        sa.Column("customer", sa.String(), nullable=True),
        sa.Column("end_user", sa.String(), nullable=True),
        sa.Column("section", sa.String(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("cost_status", sa.String(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_calls")),
        sa.UniqueConstraint("id", name=op.f("uq_calls_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_calls_customer",
        "calls",
        ["customer", "started_at"],
        unique=False,
        sqlite_where=sa.text("customer IS NOT NULL"),
        postgresql_where=sa.text("customer IS NOT NULL"),
    )
    op.create_index(
        "ix_calls_end_user",
        "calls",
        ["end_user", "started_at"],
        unique=False,
        sqlite_where=sa.text("end_user IS NOT NULL"),
        postgresql_where=sa.text("end_user IS NOT NULL"),
    )
    op.create_index("ix_calls_key", "calls", ["key", "started_at"], unique=False)
    op.create_index(
        "ix_calls_key_name",
        "calls",
        ["key_name", "started_at"],
        unique=False,
        sqlite_where=sa.text("key_name <> key"),
        postgresql_where=sa.text("key_name <> key"),
    )
    op.create_index("ix_calls_model", "calls", ["model", "started_at"], unique=False)
    op.create_index(
        "ix_calls_outcome",
        "calls",
        ["outcome", "started_at"],
        unique=False,
        sqlite_where=sa.text("outcome <> 'ok'"),
        postgresql_where=sa.text("outcome <> 'ok'"),
    )
    op.create_index("ix_calls_project", "calls", ["project", "started_at"], unique=False)
    op.create_index(
        "ix_calls_section",
        "calls",
        ["section", "started_at"],
        unique=False,
        sqlite_where=sa.text("section IS NOT NULL"),
        postgresql_where=sa.text("section IS NOT NULL"),
    )
    op.create_index(
        "ix_calls_served_model",
        "calls",
        ["served_model", "started_at"],
        unique=False,
        sqlite_where=sa.text("served_model <> model"),
        postgresql_where=sa.text("served_model <> model"),
    )
    op.create_index(
        "ix_calls_session",
        "calls",
        ["session", "started_at"],
        unique=False,
        sqlite_where=sa.text("session IS NOT NULL"),
        postgresql_where=sa.text("session IS NOT NULL"),
    )
    op.create_index("ix_calls_time", "calls", ["started_at"], unique=False)
    op.create_table(
        "contents",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_contents")),
    )
    op.create_index("ix_contents_time", "contents", ["started_at"], unique=False)
    op.create_table(
        "sign_in_links",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_links")),
    )
    op.create_table(
        "sign_in_sessions",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_sessions")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # They are compressed already; PostgreSQL need not try again.
        op.execute("ALTER TABLE contents ALTER COLUMN data SET STORAGE EXTERNAL")
