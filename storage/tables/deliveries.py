"""What is owed to destinations, and what became of it."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from storage.tables.base import BIG, StoredRow


class DeliveryRow(StoredRow, table=True):
    """One span, or one event, owed to one destination. `number` is `calls.seq`, or for an event a number below zero (see `deliveries.rows`).

    `state` is 0 (due), 1 (waits until `due`), 2 (claimed by the office `claimed_by`), 3 (delivered) or 4 (dead): what is below 3 is pending, and has no `ended_at`. `lane` is
    0 (live) or 1 (replay). `size` is about what its bodies take in memory. `options` is what rules said of it, NULL where they said nothing;
    `otherwise` is the destination that gets it when this one stays down. `tried_at`, `status` and `error` are those of the last attempt, `log` has those before it.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(
            "ix_deliveries_pending",
            "destination",
            "state",
            "lane",
            "number",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_deliveries_waiting",
            "destination",
            "lane",
            "due",
            sqlite_where=text("state = 1"),
            postgresql_where=text("state = 1"),
        ),
        Index("ix_deliveries_claimed", "claimed_by", sqlite_where=text("state = 2"), postgresql_where=text("state = 2")),
        Index(
            "ix_deliveries_batch",
            "destination",
            "batch",
            sqlite_where=text("batch IS NOT NULL AND ended_at IS NULL"),
            postgresql_where=text("batch IS NOT NULL AND ended_at IS NULL"),
        ),
        Index(
            "ix_deliveries_otherwise",
            "destination",
            "otherwise",
            "number",
            sqlite_where=text("otherwise IS NOT NULL AND ended_at IS NULL"),
            postgresql_where=text("otherwise IS NOT NULL AND ended_at IS NULL"),
        ),
        Index("ix_deliveries_dead", "destination", "number", sqlite_where=text("state = 4"), postgresql_where=text("state = 4")),
        {"sqlite_with_rowid": False},
    )

    destination: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger, primary_key=True)
    lane: int
    state: int
    due: int = Field(sa_type=BigInteger)
    attempts: int
    size: int = Field(sa_type=BigInteger)
    owed_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
    options: bytes | None = Field(sa_type=LargeBinary)
    otherwise: str | None
    claimed_by: str | None
    batch: str | None
    tried_at: int | None = Field(sa_type=BigInteger)
    status: int | None
    error: str | None
    kind: str | None
    note: str | None
    shortened: str | None
    log: bytes | None = Field(sa_type=LargeBinary)


class DeliveryTotalRow(StoredRow, table=True):
    """What became of all that was ever owed to a destination. What is neither delivered nor dead is pending.

    `gone` counts the dead ones whose rows are deleted. `refused` are items that the destination did not keep without saying which.
    """

    __tablename__ = "delivery_totals"

    destination: str = Field(primary_key=True)
    accepted: int = Field(sa_type=BigInteger)
    delivered: int = Field(sa_type=BigInteger)
    dead: int = Field(sa_type=BigInteger)
    gone: int = Field(sa_type=BigInteger)
    refused: int = Field(sa_type=BigInteger)


class DeadPayloadRow(StoredRow, table=True):
    """What was sent of a delivery that is dead: the beginning of it, compressed. `at` is Unix nanoseconds."""

    __tablename__ = "dead_payloads"
    __table_args__ = (Index("ix_dead_payloads_at", "at"),)

    destination: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger, primary_key=True)
    at: int = Field(sa_type=BigInteger)
    content_type: str
    data: bytes = Field(sa_type=LargeBinary)


class EventRow(StoredRow, table=True):
    """An event, saved once however often it is noticed. `document` is the whole of it."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("id"), Index("ix_events_at", "at"), {"sqlite_autoincrement": True})

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    id: str
    at: int = Field(sa_type=BigInteger)
    document: bytes = Field(sa_type=LargeBinary)


class OfficeRow(StoredRow, table=True):
    """An office that takes deliveries, by what is its own since it was started. Others see by `beats` that it lives, without asking anybody's clock."""

    __tablename__ = "offices"

    boot: str = Field(primary_key=True)
    beats: int = Field(sa_type=BigInteger)
