"""What is owed to destinations, written in the transaction of what is owed: a span that is saved and not owed, or the reverse, cannot be."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from domain.deliveries import Owed
from domain.events import Event
from storage.deliveries.rows import FIRST_EVENT, document_of, options_of
from storage.deliveries.sql import found, run_each
from storage.deliveries.totals import accept
from storage.span_rows import number

_INSERT = """INSERT INTO deliveries (destination, number, lane, state, due, attempts, size, owed_at, options, otherwise)
    VALUES (?, ?, 0, 0, 0, 0, ?, ?, ?, ?)"""

Terms = tuple[str, bytes | None, str | None]


def terms_of(owed: Sequence[Owed]) -> list[Terms]:
    """Return whom something is owed to and on what terms, each destination once, encoded before the transaction begins."""
    return list({one.destination: (one.destination, options_of(one), one.otherwise) for one in owed}.values())


def owe_spans(connection: Connection, spans: Iterable[tuple[int, int, Sequence[Terms]]], *, at: int) -> None:
    """Owe spans that are new in this transaction: number, size in bytes and terms of each."""
    rows = [(name, seq, size, at, options, other) for seq, size, terms in spans for name, options, other in terms]
    if rows:
        run_each(connection, _INSERT, rows)
        accept(connection, (row[0] for row in rows))


def owe_event(connection: Connection, event: Event, owed: Sequence[Owed], *, at: int) -> bool:
    """Save an event and owe it; return False, and do nothing, where it was saved before."""
    statement = "INSERT INTO events (id, at, document) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING seq"
    new: Sequence[Any] = found(connection, statement, event.id, number(event.at) or 0, document_of(event))
    if not new:
        return False
    owe_spans(connection, [(FIRST_EVENT + new[0][0], 0, terms_of(owed))], at=at)
    return True
