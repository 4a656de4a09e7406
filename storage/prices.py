"""Prices that were set through the admin API, and calls that have none.

A price is kept as it was written, in the shape of `[[prices]]` in the settings. One that was taken back stays, so that the calls that it priced
can be explained.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage.database import Database
from storage.queries import CALLS
from storage.tables import PriceOverrideRow, table_of

OVERRIDES: Table = table_of(PriceOverrideRow)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """A price as it was set. Times are Unix seconds; `removed_at` is None while it counts."""

    id: str
    document: Mapping[str, Any]
    created_at: float
    removed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Calls of one model at one upstream whose cost is unknown. Times are Unix nanoseconds."""

    upstream: str
    model: str
    calls: int
    first_at: int
    last_at: int


class PriceStore:
    """Prices in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, price: StoredPrice) -> None:
        """Keep a new price.

        Raises:
            ValueError: there is, or was, one with this id.
        """
        document = json.dumps(price.document, separators=(",", ":")).encode()
        row = {"id": price.id, "created_at": price.created_at, "removed_at": None, "document": document}
        try:
            with self._database.writing() as connection:
                connection.execute(insert(OVERRIDES).values(**row))
        except IntegrityError:
            raise ValueError(f"there is, or was, a price {price.id!r} already; choose another id") from None

    def remove(self, price_id: str, at: float) -> bool:
        """Let a price count no more; return whether there was one that counted."""
        counts = (OVERRIDES.c.id == price_id) & OVERRIDES.c.removed_at.is_(None)
        with self._database.writing() as connection:
            return connection.execute(update(OVERRIDES).where(counts).values(removed_at=at)).rowcount > 0

    def get(self, price_id: str) -> StoredPrice | None:
        """Return a price, taken back or not; None if there never was one with this id."""
        with self._database.reading() as connection:
            row = connection.execute(select(OVERRIDES).where(OVERRIDES.c.id == price_id)).first()
        return None if row is None else _price(row)

    def all(self) -> list[StoredPrice]:
        """Return the prices that count, in the order in which they were set."""
        counting = select(OVERRIDES).where(OVERRIDES.c.removed_at.is_(None)).order_by(OVERRIDES.c.created_at, OVERRIDES.c.id)
        with self._database.reading() as connection:
            return [_price(row) for row in connection.execute(counting)]

    def unpriced(self, *, since: int | None = None, until: int | None = None, most: int = 1000) -> Sequence[Unpriced]:
        """Return what was called without a known price, by upstream and served model, the most calls first; `since` and `until` are Unix nanoseconds."""
        calls, first, last = func.count(), func.min(CALLS.c.started_at), func.max(CALLS.c.started_at)
        statement = (
            select(CALLS.c.upstream, CALLS.c.served_model, calls, first, last)
            .where(CALLS.c.cost_status == UNKNOWN)
            .group_by(CALLS.c.upstream, CALLS.c.served_model)
            .order_by(calls.desc(), CALLS.c.upstream, CALLS.c.served_model)
            .limit(most)
            .with_hint(CALLS, "INDEXED BY ix_calls_unpriced", "sqlite")
        )
        if since is not None:
            statement = statement.where(CALLS.c.started_at >= since)
        if until is not None:
            statement = statement.where(CALLS.c.started_at < until)
        with self._database.reading() as connection:
            return [Unpriced(*row) for row in connection.execute(statement)]

    def used(self, since: int) -> list[tuple[str, str]]:
        """Return what was called from `since` on (Unix nanoseconds): upstreams and served models."""
        statement = select(CALLS.c.upstream, CALLS.c.served_model).where(CALLS.c.started_at >= since).distinct()
        with self._database.reading() as connection:
            return [(row.upstream, row.served_model) for row in connection.execute(statement)]


def _price(row: Any) -> StoredPrice:
    return StoredPrice(row.id, json.loads(row.document), row.created_at, row.removed_at)
