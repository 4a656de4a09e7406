"""What people do with deliveries: try dead ones again, give up what waits, send recorded calls once more, send elsewhere what a destination does not take."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from domain.deliveries import Owed
from storage.deliveries.ids import numbers_of
from storage.deliveries.rows import options_of, text
from storage.deliveries.sql import by_index, changed, found
from storage.deliveries.totals import Changes

_PENDING = """SELECT number FROM deliveries INDEXED BY ix_deliveries_pending
    WHERE destination = ? AND state = ? AND lane = ? AND ended_at IS NULL ORDER BY number LIMIT ?
    FOR UPDATE SKIP LOCKED"""
_PENDING_OF = """SELECT number FROM deliveries NOT INDEXED WHERE destination = ? AND state < 3 AND number = ANY(?) ORDER BY number LIMIT ?
    FOR UPDATE SKIP LOCKED"""
_DEAD = """SELECT number FROM deliveries INDEXED BY ix_deliveries_dead WHERE destination = ? AND state = 4{more} ORDER BY number LIMIT ?
    FOR UPDATE SKIP LOCKED"""
_RETRY = """UPDATE deliveries SET state = 0, lane = 1, due = 0, attempts = 0, owed_at = ?, ended_at = NULL, kind = NULL, batch = NULL
    WHERE destination = ? AND number = ANY(?)"""
_GIVE_UP = "UPDATE deliveries SET state = 4, ended_at = ?, kind = ?, claimed_by = NULL, due = 0 WHERE destination = ? AND number = ANY(?)"
_DELETE = "DELETE FROM deliveries WHERE destination = ? AND number = ANY(?)"
_DELETE_PAYLOADS = "DELETE FROM dead_payloads WHERE destination = ? AND number = ANY(?)"
_AGAIN = """UPDATE deliveries SET state = 0, lane = 1, due = 0, attempts = 0, owed_at = ?, ended_at = NULL, options = ?, otherwise = ?, kind = NULL, note = NULL,
    shortened = NULL, batch = NULL WHERE destination = ? AND number = ANY(?) AND state = ? RETURNING number"""
# A content takes about six times the room that it has on the disk.
_NEW = """INSERT INTO deliveries (destination, number, lane, state, due, attempts, size, owed_at, options, otherwise)
    SELECT CAST(? AS TEXT), seq, 1, 0, 0, 0, COALESCE((SELECT LENGTH(data) * 6 FROM contents WHERE contents.seq = calls.seq), 0),
    CAST(? AS BIGINT), CAST(? AS BLOB), CAST(? AS TEXT) FROM calls WHERE seq = ANY(?) ON CONFLICT (destination, number) DO NOTHING RETURNING number"""
_HAS = "SELECT number FROM deliveries WHERE destination = ? AND number = ANY(?) AND state < 4"
_OTHERWISE = """SELECT number FROM deliveries INDEXED BY ix_deliveries_otherwise
    WHERE destination = ? AND otherwise = ? AND otherwise IS NOT NULL AND ended_at IS NULL AND state < 2
    ORDER BY number LIMIT ? FOR UPDATE SKIP LOCKED"""
_DIVERT = """INSERT INTO deliveries (destination, number, lane, state, due, attempts, size, owed_at, options)
    SELECT CAST(? AS TEXT), number, lane, 0, 0, 0, size, owed_at, options FROM deliveries WHERE destination = ? AND number = ANY(?)
    ON CONFLICT (destination, number) DO NOTHING RETURNING number"""


class Chosen(NamedTuple):
    """Which deliveries of a destination to do something with: all conditions must hold; None is any. `most` bounds one step."""

    destination: str
    kinds: Collection[str] | None = None
    ids: Collection[str] | None = None
    most: int = 1000


def retry_dead(connection: Connection, chosen: Chosen, *, at: int) -> int:
    """Make dead deliveries pending again, as if they were owed now; return how many."""
    by_index(connection)
    numbers = _dead(connection, chosen)
    changed(connection, _RETRY, at, chosen.destination, numbers)
    changed(connection, _DELETE_PAYLOADS, chosen.destination, numbers)
    changes = Changes()
    changes.of(chosen.destination).dead = -len(numbers)
    changes.write(connection)
    return len(numbers)


def give_up(connection: Connection, chosen: Chosen, *, kind: str, at: int) -> int:
    """Let pending deliveries be dead, those too that an office is at; return how many."""
    by_index(connection)
    numbers = _pending(connection, chosen)
    changed(connection, _GIVE_UP, at, text(kind), chosen.destination, numbers)
    changes = Changes()
    changes.of(chosen.destination).dead = len(numbers)
    changes.write(connection)
    return len(numbers)


def delete_dead(connection: Connection, chosen: Chosen) -> int:
    """Delete dead deliveries; return how many. The totals keep them as dead, and as gone."""
    by_index(connection)
    numbers = _dead(connection, chosen)
    changed(connection, _DELETE, chosen.destination, numbers)
    changed(connection, _DELETE_PAYLOADS, chosen.destination, numbers)
    changes = Changes()
    changes.of(chosen.destination).gone = len(numbers)
    changes.write(connection)
    return len(numbers)


def _dead(connection: Connection, chosen: Chosen) -> list[int]:
    more = ""
    values: list[list[str] | list[int]] = []
    if chosen.kinds is not None:
        more += " AND kind = ANY(?)"
        values.append(sorted(chosen.kinds))
    if chosen.ids is not None:
        more += " AND number = ANY(?)"
        values.append(sorted(numbers_of(connection, chosen.ids).values()))
    rows = found(connection, _DEAD.format(more=more), chosen.destination, *values, chosen.most)
    return [row[0] for row in rows]


def _pending(connection: Connection, chosen: Chosen) -> list[int]:
    if chosen.ids is not None:
        numbers = sorted(numbers_of(connection, chosen.ids).values())
        return [row[0] for row in found(connection, _PENDING_OF, chosen.destination, numbers, chosen.most)]
    chosen_ones: list[int] = []
    for state, lane in ((state, lane) for state in (0, 1, 2) for lane in (0, 1)):
        room = chosen.most - len(chosen_ones)
        chosen_ones += [row[0] for row in found(connection, _PENDING, chosen.destination, state, lane, room)]
    return chosen_ones


def replay(connection: Connection, owed: Owed, numbers: Sequence[int], *, at: int, only_missing: bool) -> int:
    """Owe recorded calls to a destination, whether it has them or not; return how many.

    What is pending there stays as it is. What was delivered is accepted anew, what is dead is tried again; with `only_missing`,
    what was delivered stays as it is too.
    """
    wanted = sorted(set(numbers))
    # Nobody may delete these calls until what is owed of them can be seen.
    wanted = [row[0] for row in found(connection, "SELECT seq FROM calls WHERE seq = ANY(?) FOR SHARE", wanted)]
    destination, options = owed.destination, options_of(owed)
    terms = at, options, owed.otherwise, destination, wanted
    dead = [row[0] for row in found(connection, _AGAIN, *terms, 4)]
    again = [] if only_missing else found(connection, _AGAIN, *terms, 3)
    new = found(connection, _NEW, destination, at, options, owed.otherwise, wanted)
    changed(connection, _DELETE_PAYLOADS, destination, dead)
    changes = Changes()
    changes.of(destination).dead = -len(dead)
    changes.of(destination).accepted = len(again) + len(new)
    changes.write(connection)
    return len(dead) + len(again) + len(new)


def has(connection: Connection, destination: str, ids: Collection[str]) -> set[str]:
    """Return those of the calls that are pending at a destination, or were delivered there."""
    numbers = numbers_of(connection, ids)
    there = {row[0] for row in found(connection, _HAS, destination, list(numbers.values()))}
    return {one for one, number in numbers.items() if number in there}


def divert(connection: Connection, destination: str, to: Collection[str], most: int) -> int:
    """Owe what waits for a destination to their `otherwise` instead, where that is one of `to`; return how many.

    What the other one has in any state is not owed to it again: it only goes here.
    """
    by_index(connection)
    changes = Changes()
    moved = 0
    for other in sorted(set(to) - {destination}):
        numbers = [row[0] for row in found(connection, _OTHERWISE, destination, other, most - moved)]
        changes.of(other).accepted += len(found(connection, _DIVERT, other, destination, numbers))
        changes.of(destination).accepted -= changed(connection, _DELETE, destination, numbers)
        moved += len(numbers)
    changes.write(connection)
    return moved
