"""What deliveries mean for deleting what is old: what is pending for somebody stays, what is not goes with its call."""

from collections.abc import Sequence

from sqlalchemy import Connection

from storage.deliveries.rows import DELIVERED, FIRST_EVENT
from storage.deliveries.sql import changed, found
from storage.deliveries.totals import Changes, totals

_PENDING = (
    "SELECT DISTINCT number FROM deliveries NOT INDEXED WHERE destination = ANY(?) AND number = ANY(?) AND ended_at IS NULL"
)
_FORGET = "DELETE FROM deliveries WHERE destination = ANY(?) AND number = ANY(?) RETURNING destination, state"
_FORGET_PAYLOADS = "DELETE FROM dead_payloads WHERE destination = ANY(?) AND number = ANY(?)"
_OLD_PAYLOADS = "SELECT destination, number FROM dead_payloads WHERE at < ? ORDER BY at LIMIT ? FOR UPDATE SKIP LOCKED"
_OLD_EVENTS = """SELECT at, seq FROM events WHERE at < ? AND (at > ? OR (at = ? AND seq > ?)) ORDER BY at, seq LIMIT ?
    FOR UPDATE SKIP LOCKED"""


def pending_among(connection: Connection, numbers: Sequence[int]) -> set[int]:
    """Return those of the numbers under which something is pending."""
    names = [name for name, one in totals(connection).items() if one.pending]
    if not names or not numbers:
        return set()
    return {row[0] for row in found(connection, _PENDING, names, list(numbers))}


def forget(connection: Connection, numbers: Sequence[int]) -> None:
    """Delete the deliveries under these numbers, and what was kept of them. What is pending is dead then."""
    names = list(totals(connection))
    if not names or not numbers:
        return
    changes = Changes()
    for name, state in found(connection, _FORGET, names, list(numbers)):
        change = changes.of(name)
        change.gone += state != DELIVERED
        change.dead += state < DELIVERED
    changed(connection, _FORGET_PAYLOADS, names, list(numbers))
    changes.write(connection)


def prune_payloads(connection: Connection, before: int, most: int) -> int:
    """Delete a few payloads of deliveries that died before a time (Unix nanoseconds); return how many. The deliveries stay."""
    old = found(connection, _OLD_PAYLOADS, before, most)
    by_name: dict[str, list[int]] = {}
    for name, number in old:
        by_name.setdefault(name, []).append(number)
    return sum(
        changed(connection, "DELETE FROM dead_payloads WHERE destination = ? AND number = ANY(?)", name, numbers)
        for name, numbers in by_name.items()
    )


def old_events(connection: Connection, before: int, after: tuple[int, int], most: int) -> list[tuple[int, int]]:
    """Return a few events that happened before a time (Unix nanoseconds), from the place `after` on: time and number of each."""
    at, number = after
    rows = found(connection, _OLD_EVENTS, before, at, at, number - FIRST_EVENT, most)
    return [(at, FIRST_EVENT + seq) for at, seq in rows]


def delete_events(connection: Connection, numbers: Sequence[int]) -> int:
    """Delete events and their deliveries; return how many."""
    if not numbers:
        return 0
    forget(connection, numbers)
    return changed(connection, "DELETE FROM events WHERE seq = ANY(?)", [number - FIRST_EVENT for number in numbers])
