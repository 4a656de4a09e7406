"""The store of deliveries as people use it: what became of what is owed, and what can be done about it. It claims nothing, so any process may have one."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from domain.deliveries import Counts, Lane, Owed
from domain.events import Event
from storage.database import Database
from storage.deliveries import changing, counting, records
from storage.deliveries.changing import Chosen
from storage.deliveries.ids import numbers_of
from storage.deliveries.owing import owe_event
from storage.deliveries.payloads import payload
from storage.deliveries.records import DeliveryPage, DeliveryRecord, Listing
from storage.deliveries.rows import LANES, text
from storage.deliveries.totals import Totals, discrepancies, totals


class DeliveryDesk:
    """Deliveries in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`.

    An id is that of a call or of an event. What changes deliveries does so in steps of at most `limit`, so that nothing waits long for it.
    """

    def __init__(self, database: Database, *, now: Callable[[], int] = time.time_ns) -> None:
        """Use `database`; `now` gives Unix nanoseconds."""
        self._database = database
        self._now = now

    def of_call(self, call_id: str) -> list[DeliveryRecord]:
        """Return the deliveries of a call, by destination."""
        return self.of_calls([call_id])[call_id]

    def of_calls(self, ids: Iterable[str]) -> dict[str, list[DeliveryRecord]]:
        """Return the deliveries of calls, by id; a call that is not there has none."""
        with self._database.reading() as connection:
            return records.of_calls(connection, ids)

    def listed(self, listing: Listing) -> DeliveryPage:
        """Return one page of a list, the newest first.

        Raises:
            ValueError: the limit or the cursor is wrong.
        """
        with self._database.reading() as connection:
            return records.listed(connection, listing)

    def payload(self, call_id: str, destination: str) -> tuple[str, bytes] | None:
        """Return the content type and the beginning of what was sent of a dead delivery; None where it was not kept, or not dead."""
        with self._database.reading() as connection:
            return payload(connection, call_id, text(destination))

    def counts(self) -> Mapping[str, Counts]:
        """Return how the deliveries of each destination stand that anything was ever owed to."""
        with self._database.reading() as connection:
            return counting.counts(connection)

    def totals(self) -> Mapping[str, Totals]:
        """Return the totals of each destination; they say of the dead how many are deleted by now."""
        with self._database.reading() as connection:
            return totals(connection)

    def waiting(self, destination: str, lane: Lane, *, most: int = 10_000) -> int:
        """Return how many deliveries of a lane are pending, claimed ones included; `most` is "so many or more"."""
        with self._database.reading() as connection:
            return counting.waiting(connection, text(destination), LANES[lane], most)

    def tried_since(self, destination: str, since: int) -> bool:
        """Return whether some office has tried what waits for a destination after `since` (Unix nanoseconds), or is at it."""
        with self._database.reading() as connection:
            return counting.tried_since(connection, text(destination), since)

    def discrepancies(self) -> list[str]:
        """Return a sentence for each total that is not what the rows say; none, if all is well. It counts what is pending, so it takes a while."""
        with self._database.reading() as connection:
            if not self._database.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            return discrepancies(connection)

    def known(self, destination: str, ids: Collection[str]) -> set[str]:
        """Return those of the calls that are pending at a destination, or were delivered there."""
        with self._database.reading() as connection:
            return changing.has(connection, text(destination), ids)

    def retry_dead(
        self, destination: str, *, kinds: Collection[str] | None = None, ids: Collection[str] | None = None, limit: int = 1000
    ) -> int:
        """Let dead deliveries be tried again, the oldest first, on the replay lane; return how many. None is any."""
        with self._database.writing() as connection:
            return changing.retry_dead(connection, _chosen(destination, kinds, ids, limit), at=self._now())

    def discard(
        self,
        destination: str,
        *,
        state: Literal["dead", "pending"] = "dead",
        kinds: Collection[str] | None = None,
        ids: Collection[str] | None = None,
        limit: int = 1000,
    ) -> int:
        """Delete dead deliveries, with what was kept of them, or let pending ones be dead (`removed`); return how many. None is any.

        An office that is at a pending one at this moment does not change that.
        """
        chosen = _chosen(destination, kinds, ids, limit)
        with self._database.writing() as connection:
            if state == "dead":
                return changing.delete_dead(connection, chosen)
            return changing.give_up(connection, chosen, kind="removed", at=self._now())

    def replay(self, destination: str, calls: Sequence[int | str], owed: Owed, *, only_missing: bool = False) -> int:
        """Owe recorded calls (numbers or ids) to a destination on the replay lane, on the terms of `owed`; return how many that were.

        What is pending there stays as it is. What was delivered is owed and accepted anew, unless `only_missing`. What is dead is tried again.
        """
        with self._database.writing() as connection:
            numbers = [one for one in calls if isinstance(one, int)]
            ids = [one for one in calls if isinstance(one, str)]
            if ids:
                numbers += numbers_of(connection, ids).values()
            return changing.replay(
                connection, replace(owed, destination=destination), numbers, at=self._now(), only_missing=only_missing
            )

    def owe_event(self, event: Event, destinations: Sequence[Owed]) -> bool:
        """Save an event that is owed to destinations; return False where it was saved before."""
        with self._database.writing() as connection:
            return owe_event(connection, event, destinations, at=self._now())


def _chosen(destination: str, kinds: Collection[str] | None, ids: Collection[str] | None, limit: int) -> Chosen:
    return Chosen(text(destination), None if kinds is None else [text(kind) for kind in kinds], ids, limit)
