"""Deleting what is old, in steps so small that nothing waits long for them: bodies first, calls later."""

from dataclasses import dataclass

from sqlalchemy import Connection, Table, bindparam, delete, select

from storage.adjustments import delete_adjustments
from storage.charged import forget_charged
from storage.database import Database
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


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step deleted. A call takes its content with it; that is counted too."""

    contents: int = 0
    spans: int = 0

    def __bool__(self) -> bool:
        """Return whether there may be more to do."""
        return bool(self.contents or self.spans)


def pruned(database: Database, *, content_before: int, spans_before: int, most: int) -> Pruned:
    """Delete at most `most` contents or, if none are due, at most `most` calls, and return what was deleted."""
    with database.writing() as connection:
        done = Pruned(contents=_delete(connection, CONTENTS, _oldest(connection, CONTENTS, content_before, most)))
        if not done:
            forget_charged(connection, spans_before - REMEMBERED, most)
            done = delete_calls(connection, _oldest(connection, CALLS, spans_before, most))
    if done:
        database.give_back(PAGES)
    return done


def _oldest(connection: Connection, table: Table, before: int, most: int) -> list[int]:
    """Return the numbers of the oldest rows. Two offices that prune at once take different ones."""
    oldest = select(table.c.seq).where(table.c.started_at < before).order_by(table.c.started_at).limit(most)
    return list(connection.execute(oldest.with_for_update(skip_locked=True)).scalars())


def _delete(connection: Connection, table: Table, numbers: list[int]) -> int:
    return connection.execute(delete(table).where(table.c.seq.in_(numbers))).rowcount if numbers else 0


def delete_calls(connection: Connection, numbers: list[int]) -> Pruned:
    """Delete the calls with these numbers, and all that belongs to them; return how much that was."""
    _delete_tags(connection, numbers)
    delete_adjustments(connection, numbers)
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
