"""Responses and files of results are charged once, however often they are read: which of them were charged already.

A response's id says nothing about who read it, so it counts for all keys and projects of an upstream. The rows are written in the transaction
that saves the calls: a call is charged, and its response marked as charged, or neither.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from sqlalchemy import Connection, Table, delete, select

from domain.spans import Span
from storage.driver import rows_of, run_many
from storage.tables import ChargedResponseRow, table_of

CHARGED: Table = table_of(ChargedResponseRow)
READ_AGAIN = frozenset({"batch_results", "retrieved"})
INTERRUPTED = "interrupted"
_NOT_READ = "the results were not read to their end, and are charged when they are"
# Operations whose answers can be read again later, by their response's id.
_MADE = frozenset({"responses"})


@dataclass(frozen=True, slots=True)
class Charge:
    """Who a response was charged to; `made` is False where that was a call that only read it."""

    call_id: str
    made: bool


def response_key(span: Span) -> str | None:
    """Return what the response in a call is known by, None where reading it again is a call of its own, or costs nothing.

    A call whose cost is not known charges nothing: another one that reads the same may know.
    """
    if span.response_id is None or span.usage is None or span.cost is None:
        return None
    if span.operation not in _MADE and not reads_again(span):
        return None
    return blake2b(f"{span.upstream}\0{span.response_id}".encode(errors="replace"), digest_size=16).hexdigest()


def reads_again(span: Span) -> bool:
    """Return whether a call only reads what another one may have been charged for."""
    return span.usage is not None and not READ_AGAIN.isdisjoint(span.usage.flags)


def charged_once(connection: Connection, spans: Sequence[Span]) -> dict[str, Span]:
    """Mark the responses in `spans` as charged, and return those calls, by id, whose response was charged before, without their cost.

    Two calls that make a response are always two: some servers give every response the same id. The transaction must be one of those of which
    there is one at a time (`Database.one_saves_at_a_time`).
    """
    again = {span.id: _without_cost(span, _NOT_READ) for span in spans if _was_interrupted(span)}
    keyed = [(span, key) for span in spans if span.id not in again and (key := response_key(span)) is not None]
    if not keyed:
        return again
    known = _known(connection, sorted({key for _, key in keyed}))
    fresh: list[tuple[str, str, bool, int]] = []
    for span, key in keyed:
        made = not reads_again(span)
        before = known.get(key)
        if before is None:
            known[key] = Charge(span.id, made)
            fresh.append((key, span.id, made, span.started_at))
        elif before.call_id != span.id and not (made and before.made):
            again[span.id] = _without_cost(span, f"what was read here was charged to call {before.call_id}")
    _mark(connection, fresh)
    return again


def forget_charged(connection: Connection, before: int, most: int) -> int:
    """Delete at most `most` marks of calls that began before `before` (Unix nanoseconds); return how many."""
    old = select(CHARGED.c.id).where(CHARGED.c.started_at < before).order_by(CHARGED.c.started_at).limit(most)
    keys = list(connection.execute(old).scalars())
    return connection.execute(delete(CHARGED).where(CHARGED.c.id.in_(keys))).rowcount if keys else 0


def _was_interrupted(span: Span) -> bool:
    """Tell whether results were not read to their end: reading them is free, and they are charged whole when they are read whole."""
    return span.usage is not None and span.cost is not None and INTERRUPTED in span.usage.flags and reads_again(span)


def _without_cost(span: Span, why: str) -> Span:
    return replace(span, cost=None, cost_status="none", price_ref=None, cost_lines=(), notes=(*span.notes, why))


def _known(connection: Connection, keys: list[str]) -> dict[str, Charge]:
    columns = "SELECT id, call_id, made FROM charged_responses WHERE id"
    if connection.dialect.name == "sqlite":
        rows = rows_of(connection, f"{columns} IN (SELECT value FROM json_each(?))", (json.dumps(keys),))  # noqa: S608 - constants
    else:
        rows = rows_of(connection, f"{columns} = ANY(%s)", (keys,))
    return {row[0]: Charge(row[1], bool(row[2])) for row in rows}


def _mark(connection: Connection, rows: list[tuple[str, str, bool, int]]) -> None:
    signs = "?, ?, ?, ?" if connection.dialect.name == "sqlite" else "%s, %s, %s, %s"
    run_many(connection, f"INSERT INTO charged_responses (id, call_id, made, started_at) VALUES ({signs})", rows)  # noqa: S608 - constants
