"""Deleting what is old, in steps so small that nothing waits long for them: bodies first, calls later."""

from collections import deque
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Table, bindparam, delete, select

from storage.adjustments import delete_adjustments
from storage.call_spending import forget_own
from storage.charged import forget_charged
from storage.database import Database
from storage.deliveries.retaining import delete_events, forget, old_events, pending_among, prune_payloads
from storage.span_rows import span_of, tags_of
from storage.tables import CallRow, CallTagRow, ContentRow, table_of

CALLS = table_of(CallRow)
CONTENTS = table_of(ContentRow)
TAGS = table_of(CallTagRow)
# Pages that one step gives back to the disk: more than it can have freed, so that they never pile up.
PAGES = 4000
# How much longer than a call it is remembered that its response was charged: providers give a response again for a month or two.
REMEMBERED = 60 * 86_400 * 10**9
_ONE_TAG = delete(TAGS).where(
    TAGS.c.name == bindparam("its_name"),
    TAGS.c.value == bindparam("its_value"),
    TAGS.c.started_at == bindparam("its_time"),
    TAGS.c.seq == bindparam("its_number"),
)


Place = tuple[int, int]
BEGINNING: Place = (-(2**63), 0)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step deleted. A call takes its content with it; that is counted too.

    `others` are payloads of dead deliveries, and events. `kept` were passed by, because they are owed to somebody who does not have them yet.
    """

    contents: int = 0
    spans: int = 0
    others: int = 0
    kept: int = 0

    def __bool__(self) -> bool:
        """Return whether there may be more to do."""
        return bool(self.contents or self.spans or self.others or self.kept)


class Pruner:
    """Deletes what is old, step by step: bodies, then calls, then what else there is. What is owed to a destination stays until it is there.

    It remembers where it is, so that a step does not look again at all that had to stay.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kinds = deque((self._contents, self._calls, self._payloads, self._events))
        self._place = BEGINNING
        self._more = False
        self._found = False
        self._quiet = 0

    def step(self, *, content_before: int, spans_before: int, most: int) -> Pruned:
        """Delete at most `most` things of one kind that are older than the given times (Unix nanoseconds), and return what was deleted."""
        while True:
            with self._database.writing() as connection:
                done = self._kinds[0](connection, content_before, spans_before, most)
            if done.contents or done.spans or done.others:
                self._database.give_back(PAGES)
                self._found = True
            if not self._more:
                self._next_kind()
            if self._quiet == len(self._kinds):
                self._quiet = 0
                return Pruned()
            if done:
                return done

    def _next_kind(self) -> None:
        """Go on with the next kind, and count those in a row of which nothing could be deleted."""
        self._quiet = 0 if self._found else self._quiet + 1
        self._found = False
        self._place = BEGINNING
        self._kinds.rotate(-1)

    def _contents(self, connection: Connection, before: int, _: int, most: int) -> Pruned:
        due = self._oldest(connection, CONTENTS, before, most)
        free = self._free(connection, due, most)
        return Pruned(contents=_delete(connection, CONTENTS, free), kept=self._kept(due, free))

    def _calls(self, connection: Connection, _: int, before: int, most: int) -> Pruned:
        forget_charged(connection, before - REMEMBERED, most)
        due = self._oldest(connection, CALLS, before, most)
        free = self._free(connection, due, most)
        return replace(delete_calls(connection, free), kept=self._kept(due, free))

    def _payloads(self, connection: Connection, before: int, _: int, most: int) -> Pruned:
        """Delete what was sent of dead deliveries: bodies too, so as old as bodies may be."""
        done = prune_payloads(connection, before, most)
        self._more = done == most
        return Pruned(others=done)

    def _events(self, connection: Connection, _: int, before: int, most: int) -> Pruned:
        due = old_events(connection, before, self._place, most)
        free = self._free(connection, due, most)
        return Pruned(others=delete_events(connection, free), kept=self._kept(due, free))

    def _oldest(self, connection: Connection, table: Table, before: int, most: int) -> list[Place]:
        """Return the next oldest rows: time and number. Two offices that prune at once take different ones."""
        time, seq = table.c.started_at, table.c.seq
        at, number = self._place
        later = (time > at) | ((time == at) & (seq > number))
        oldest = select(time, seq).where(time < before, time >= at, later).order_by(time, seq).limit(most)
        return [(row[0], row[1]) for row in connection.execute(oldest.with_for_update(skip_locked=True))]

    def _free(self, connection: Connection, due: list[Place], most: int) -> list[int]:
        """Return the numbers of what may go; go on after these, or with the next kind if they were the last."""
        self._more = len(due) == most
        self._place = due[-1] if due else BEGINNING
        pending = pending_among(connection, [number for _, number in due])
        return [number for _, number in due if number not in pending]

    def _kept(self, due: list[Place], free: list[int]) -> int:
        """Return how many had to stay, where that is no reason to stop."""
        return len(due) - len(free) if self._more else 0


def _delete(connection: Connection, table: Table, numbers: list[int]) -> int:
    return connection.execute(delete(table).where(table.c.seq.in_(numbers))).rowcount if numbers else 0


def delete_calls(connection: Connection, numbers: list[int]) -> Pruned:
    """Delete the calls with these numbers, and all that belongs to them; return how much that was."""
    _delete_tags(connection, numbers)
    delete_adjustments(connection, numbers)
    forget_own(connection, numbers)
    forget(connection, numbers)
    return Pruned(_delete(connection, CONTENTS, numbers), _delete(connection, CALLS, numbers))


def _delete_tags(connection: Connection, numbers: list[int]) -> None:
    """Delete the tags of calls. Their table is in the order of lists, so a tag is found by all that it is made of."""
    calls = connection.execute(select(CALLS.c.seq, CALLS.c.started_at, CALLS.c.detail).where(CALLS.c.seq.in_(numbers))).all()
    tags = [
        {"its_name": name, "its_value": value, "its_time": started_at, "its_number": seq}
        for seq, started_at, detail in calls
        for name, value in tags_of(span_of(detail))
    ]
    if tags:
        connection.execute(_ONE_TAG, tags)
