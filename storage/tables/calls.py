"""Recorded calls, with their tags and their bodies."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.sql.expression import TextClause
from sqlmodel import Field

from storage.tables.base import BIG, StoredRow


def _by_time(name: str, *columns: str, only: str | None = None) -> Index:
    """Return an index for the list of the calls that have one value in common, by time; `only` leaves the others out of it."""
    where: TextClause | None = None if only is None else text(only)
    return Index(f"ix_calls_{name}", *columns, "started_at", sqlite_where=where, postgresql_where=where)


class CallRow(StoredRow, table=True):
    """One recorded call. `seq` counts calls in the order they were saved, and is never used twice."""

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("id"),
        _by_time("time"),
        _by_time("project", "project"),
        _by_time("key", "key"),
        _by_time("key_name", "key_name", only="key_name <> key"),
        _by_time("model", "model"),
        _by_time("served_model", "served_model", only="served_model <> model"),
        _by_time("outcome", "outcome", only="outcome <> 'ok'"),
        _by_time("session", "session", only="session IS NOT NULL"),
        _by_time("customer", "customer", only="customer IS NOT NULL"),
        _by_time("end_user", "end_user", only="end_user IS NOT NULL"),
        _by_time("section", "section", only="section IS NOT NULL"),
        _by_time("unpriced", "upstream", "served_model", only="cost_status = 'unknown'"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    id: str
    started_at: int = Field(sa_type=BigInteger)
    project: str
    key: str
    key_name: str
    operation: str
    upstream: str
    model: str = ""
    served_model: str = ""
    outcome: str
    status: int | None
    session: str | None
    customer: str | None
    end_user: str | None
    section: str | None
    latency_ms: float | None
    cost: int | None = Field(sa_type=BigInteger)
    cost_status: str
    input_tokens: int | None = Field(sa_type=BigInteger)
    cache_read_tokens: int | None = Field(sa_type=BigInteger)
    cache_write_tokens: int | None = Field(sa_type=BigInteger)
    output_tokens: int | None = Field(sa_type=BigInteger)
    reasoning_tokens: int | None = Field(sa_type=BigInteger)
    detail: bytes = Field(sa_type=LargeBinary)


class CallTagRow(StoredRow, table=True):
    """One tag of one call, so that the calls with a tag can be listed by time."""

    __tablename__ = "call_tags"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    started_at: int = Field(sa_type=BigInteger, primary_key=True)
    seq: int = Field(sa_type=BigInteger, primary_key=True)


class ContentRow(StoredRow, table=True):
    """The bodies of one call, compressed (see `content`)."""

    __tablename__ = "contents"
    __table_args__ = (Index("ix_contents_time", "started_at"),)

    seq: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    started_at: int = Field(sa_type=BigInteger)
    data: bytes = Field(sa_type=LargeBinary)
