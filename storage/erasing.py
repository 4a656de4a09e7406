"""Deleting chosen calls, and events that name somebody, wherever they lie, in steps so small that nothing waits long for them."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import delete, select

from domain.people import is_named
from domain.spans import Span
from storage.adjustments import as_adjusted
from storage.database import Database
from storage.deliveries.retaining import delete_events
from storage.deliveries.rows import FIRST_EVENT, event_of
from storage.retention import CALLS, PAGES, delete_calls
from storage.rollups import remove
from storage.span_rows import span_of
from storage.tables import BudgetWarningRow, EventRow, table_of

EVENTS = table_of(EventRow)
WARNINGS = table_of(BudgetWarningRow)


@dataclass(frozen=True, slots=True)
class Erased:
    """What one step did: how many calls, or events, it deleted, and the place to go on from; None once all were looked at."""

    spans: int
    place: int | None
    events: int = 0


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


def erased_events(database: Database, names: Collection[str], *, after: int, most: int) -> Erased:
    """Look at the next `most` events after the place `after`, and delete those that are about somebody in `names`, with their deliveries.

    What says that such a member of a budget was warned goes with the first step: whoever calls on is warned again.
    """
    later = select(EVENTS.c.seq, EVENTS.c.document).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(most)
    with database.reading() as connection:
        rows = connection.execute(later).all()
    found = [row.seq for row in rows if _is_about(row.document, names)]
    place = rows[-1].seq if len(rows) == most else None
    if not found and after:
        return Erased(0, place)
    with database.writing() as connection:
        connection.execute(delete(WARNINGS).where(WARNINGS.c.member.in_(list(names))))
        free = connection.execute(select(EVENTS.c.seq).where(EVENTS.c.seq.in_(found)).with_for_update(skip_locked=True)).scalars()
        done = delete_events(connection, [FIRST_EVENT + seq for seq in free])
    database.give_back(PAGES)
    return Erased(0, place, done)


def _is_about(document: bytes, names: Collection[str]) -> bool:
    with suppress(ValueError):
        return is_named(event_of(document), names)
    return False
