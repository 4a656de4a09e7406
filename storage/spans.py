"""The span store: recorded calls and their bodies."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import select

from domain.deliveries import Owed
from domain.holds import Settlement
from domain.spans import Content, Span
from storage.adjustments import as_adjusted
from storage.content import ContentPacker
from storage.database import Database
from storage.erasing import Erased, erased, erased_events
from storage.queries import CALLS, CallQuery, Place, cursor_of, page
from storage.retention import Pruned, Pruner
from storage.saving import ready, save
from storage.span_rows import span_of
from storage.tables import ContentRow, table_of

__all__ = ["CallQuery", "Erased", "Page", "Pruned", "SpanStore"]
CONTENTS = table_of(ContentRow)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `next_cursor` is None at its end."""

    spans: list[Span]
    next_cursor: str | None


class SpanStore:
    """Recorded calls in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database, *, now: Callable[[], int] = time.time_ns) -> None:
        """Write to `database`; `now` gives Unix nanoseconds."""
        self._database = database
        self._now = now
        self._pruner = Pruner(database)
        self._packers = threading.local()

    def packed(self, content: Content) -> bytes:
        """Return a content as `save` takes it too."""
        return self._packer().packed(content)

    def save(
        self,
        recorded: Sequence[tuple[Span, Content | bytes | None]],
        owed: Mapping[str, Settlement] = MappingProxyType({}),
        deliveries: Mapping[str, Sequence[Owed]] = MappingProxyType({}),
    ) -> int:
        """Save calls in one transaction, and return how many were new. What is here already stays as it is.

        `owed` is what calls cost on the counters that they were held on, `deliveries` whom they are owed to, both by call id (see
        `spending` and `deliveries`).

        A call that only read a response which was charged before loses its cost, in the store and in the span that was given.
        """
        return save(self._database, ready(recorded, self._packer(), deliveries), owed, at=self._now())

    def span(self, call_id: str) -> Span | None:
        """Return the call with this id, or None."""
        with self._database.reading() as connection:
            detail = connection.execute(select(CALLS.c.detail).where(CALLS.c.id == call_id)).scalar()
            return None if detail is None else as_adjusted(connection, [span_of(detail)])[0]

    def content(self, call_id: str) -> Content | None:
        """Return the bodies of a call; None if there is no such call, or they were not kept, or are gone by now."""
        bodies = select(CONTENTS.c.data).join_from(CALLS, CONTENTS, CALLS.c.seq == CONTENTS.c.seq).where(CALLS.c.id == call_id)
        with self._database.reading() as connection:
            data = connection.execute(bodies).scalar()
        return None if data is None else self._packer().unpacked(data)

    def calls(self, query: CallQuery) -> Page:
        """Return one page of a list.

        Raises:
            ValueError: the limit or the cursor is wrong.
        """
        statement = page(query)
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
            shown = rows[: query.limit]
            spans = as_adjusted(connection, [span_of(row.detail) for row in shown])
        more = len(rows) > query.limit
        last = Place(shown[-1].started_at, shown[-1].seq) if more else None
        cursor = None if last is None else cursor_of(last, newest_first=query.newest_first)
        return Page(spans, cursor)

    def recorded_after(self, place: int, limit: int = 500) -> tuple[list[Span], int]:
        """Return the calls saved after `place`, in the order they were saved, and the place to go on from.

        Each call is seen exactly once: see `Database.one_saves_at_a_time`.
        """
        later = select(CALLS.c.seq, CALLS.c.detail).where(CALLS.c.seq > place).order_by(CALLS.c.seq).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(later).all()
        return [span_of(row.detail) for row in rows], rows[-1].seq if rows else place

    def last_place(self) -> int:
        """Return the place of the call that was saved last; 0 if there is none."""
        last = select(CALLS.c.seq).order_by(CALLS.c.seq.desc()).limit(1)
        with self._database.reading() as connection:
            return connection.execute(last).scalar() or 0

    def prune(self, *, content_before: int, spans_before: int, most: int = 500) -> Pruned:
        """Delete a few contents or, when none are due, a few calls that began before the given times (Unix nanoseconds).

        One small step, so that recording never waits long for it: call it again until it returns nothing. What is owed to a destination
        and not there yet stays. One thread prunes at a time.
        """
        return self._pruner.step(content_before=content_before, spans_before=spans_before, most=most)

    def erase(self, matches: Callable[[Span], bool], *, after: int = 0, most: int = 500) -> Erased:
        """Delete the calls that match among the next `most` after the place `after`, whole.

        One small step: call it again with the place that it returned, until that is None.
        """
        return erased(self._database, matches, after=after, most=most)

    def erase_events(self, names: Collection[str], *, after: int = 0, most: int = 500) -> Erased:
        """Delete, among the next `most` events after the place `after`, those that are about a customer, a user or another member called so.

        One small step, as `erase` takes it for calls; whoever is to be forgotten needs both (and `Replays.forget`).
        """
        return erased_events(self._database, names, after=after, most=most)

    def _packer(self) -> ContentPacker:
        """Return this thread's packer."""
        packer: ContentPacker | None = getattr(self._packers, "packer", None)
        if packer is None:
            packer = self._packers.packer = ContentPacker()
        return packer
