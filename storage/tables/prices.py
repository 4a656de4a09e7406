"""Prices that were set, and what calls cost by later ones."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field

from storage.tables.base import BIG, StoredRow


class PriceOverrideRow(StoredRow, table=True):
    """A price of the operator's own, as it was set. One that was taken back stays, so that what it priced can be explained."""

    __tablename__ = "price_overrides"

    id: str = Field(primary_key=True)
    created_at: float
    removed_at: float | None
    document: bytes = Field(sa_type=LargeBinary)


class CostAdjustmentRow(StoredRow, table=True):
    """What a recorded call costs by a later price. The call keeps what was recorded; of several adjustments the last one holds."""

    __tablename__ = "cost_adjustments"
    __table_args__ = (
        Index("ix_cost_adjustments_call", "call_id", "seq"),
        Index("ix_cost_adjustments_run", "run", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    call_id: str
    run: str
    made_at: int = Field(sa_type=BigInteger)
    old_cost: int | None = Field(sa_type=BigInteger)
    old_status: str
    old_ref: str | None
    new_cost: int | None = Field(sa_type=BigInteger)
    new_status: str
    new_ref: str | None
    detail: bytes = Field(sa_type=LargeBinary)


class ChargedResponseRow(StoredRow, table=True):
    """A response or a file of results that was charged already, and the call that it was charged to: reading it again costs nothing."""

    __tablename__ = "charged_responses"
    __table_args__ = (Index("ix_charged_responses_time", "started_at"), {"sqlite_with_rowid": False})

    id: str = Field(primary_key=True)
    call_id: str
    made: bool
    started_at: int = Field(sa_type=BigInteger)
