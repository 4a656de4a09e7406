"""An id of the store, so that a ledger in Redis can say whose it is."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the tables to this version."""
    ids = op.create_table(
        "store_id",
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_id")),
    )
    op.bulk_insert(ids, [{"id": uuid.uuid4().hex}])
