"""Making rollups again from the calls, a slot at a time: after an upgrade from a version without them, or where they are doubted."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from storage.adjustments import as_adjusted
from storage.database import Database
from storage.queries import CALLS
from storage.rollups import SLOT, add, counted
from storage.span_rows import row_of, span_of
from storage.usage import ROLLUPS, SLOTS

_NANOSECONDS = 10**9
_STEP = 500


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What one step did: the calls that were summed up again, and the slot to go on from; None at the end."""

    calls: int
    next_slot: int | None


def rebuild_slot(database: Database, slot: int = 0) -> Rebuilt:
    """Make the rollups of the next slot with calls, at or after `slot`, again.

    A slot whose rollups count calls that were deleted for their age since is left as it is: nothing else knows of those any more.
    """
    with database.writing() as connection:
        database.one_saves_at_a_time(connection)
        began = _first_call(connection, slot)
        if began is None:
            return Rebuilt(0, None)
        found = began // _NANOSECONDS // SLOT * SLOT
        calls = 0 if _knows_more(connection, found) else _rebuild(connection, found)
    return Rebuilt(calls, found + SLOT)


def _first_call(connection: Connection, slot: int) -> int | None:
    first = select(func.min(CALLS.c.started_at)).where(CALLS.c.started_at >= slot * _NANOSECONDS)
    return connection.execute(first).scalar()


def _knows_more(connection: Connection, slot: int) -> bool:
    """Return whether rollups count calls of this slot that are gone. What was erased on purpose is taken out of them too."""
    rolled = connection.execute(select(func.sum(ROLLUPS.c.calls)).where(ROLLUPS.c.slot == slot)).scalar()
    there = connection.execute(select(func.count()).select_from(CALLS).where(*_within(slot))).scalar_one()
    return int(rolled or 0) > there


def _rebuild(connection: Connection, slot: int) -> int:
    connection.execute(delete(ROLLUPS).where(ROLLUPS.c.slot == slot))
    connection.execute(delete(SLOTS).where(SLOTS.c.slot == slot))
    done = seq = 0
    while True:
        later = select(CALLS.c.seq, CALLS.c.detail).where(*_within(slot), CALLS.c.seq > seq).order_by(CALLS.c.seq)
        rows = connection.execute(later.limit(_STEP)).all()
        if not rows:
            return done
        spans = as_adjusted(connection, [span_of(row.detail) for row in rows])
        add(connection, [counted(row_of(span), span.usage) for span in spans])
        done, seq = done + len(rows), rows[-1].seq


def _within(slot: int) -> tuple[Any, Any]:
    return CALLS.c.started_at >= slot * _NANOSECONDS, CALLS.c.started_at < (slot + SLOT) * _NANOSECONDS
