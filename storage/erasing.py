"""Deleting chosen calls, wherever they lie, in steps so small that nothing waits long for them."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from domain.spans import Span
from storage.adjustments import as_adjusted
from storage.database import Database
from storage.retention import CALLS, PAGES, delete_calls
from storage.rollups import remove
from storage.span_rows import span_of


@dataclass(frozen=True, slots=True)
class Erased:
    """What one step did: how many calls it deleted, and the place to go on from; None once every call was looked at."""

    spans: int
    place: int | None


def erased(database: Database, matches: Callable[[Span], bool], *, after: int, most: int) -> Erased:
    """Look at the next `most` calls after the place `after`, and delete those that match, with all that belongs to them.

    The calls are looked at without a lock; only deleting takes one.
    """
    later = select(CALLS.c.seq, CALLS.c.detail).where(CALLS.c.seq > after).order_by(CALLS.c.seq).limit(most)
    with database.reading() as connection:
        rows = connection.execute(later).all()
    place = rows[-1].seq if len(rows) == most else None
    found = {row.seq: span for row in rows if matches(span := span_of(row.detail))}
    if not found:
        return Erased(0, place)
    with database.writing() as connection:
        database.one_saves_at_a_time(connection)
        # A call that retention is deleting at this moment is left to it: to wait for each other would end in a deadlock.
        free = select(CALLS.c.seq).where(CALLS.c.seq.in_(list(found))).with_for_update(skip_locked=True)
        numbers = list(connection.execute(free).scalars())
        remove(connection, as_adjusted(connection, [found[seq] for seq in numbers]))
        done = delete_calls(connection, numbers)
    database.give_back(PAGES)
    return Erased(done.spans, place)
