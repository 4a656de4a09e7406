"""The store of deliveries as the courier uses it: what it takes, and what became of that."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

from domain.deliveries import Claimed, Lane, Outcome
from storage.database import Database
from storage.deliveries import changing
from storage.deliveries import claims as claiming
from storage.deliveries.claims import Candidate, Wanted
from storage.deliveries.desk import DeliveryDesk
from storage.deliveries.ends import finish, prepared
from storage.deliveries.ids import numbers_of
from storage.deliveries.loading import Loader
from storage.deliveries.offices import Offices
from storage.deliveries.rows import LANES

# No destination is left alone for longer: back-off ends at minutes, and a destination's own wish is cut to this.
LONGEST = 3600 * 10**9


class DeliveryStore(DeliveryDesk):
    """Deliveries in a database, for the courier of one office: only one such store may be in use there, for it knows what it gave out."""

    def __init__(self, database: Database, *, office: str, now: Callable[[], int] = time.time_ns, longest: int = LONGEST) -> None:
        """Claim for `office`, a name that no other office ever had, this one before its last start included.

        `now` gives Unix nanoseconds. `longest` (nanoseconds) is the longest time that a delivery is ever put off.
        """
        super().__init__(database, now=now)
        self._office = office
        self._longest = longest
        self._offices = Offices(office)
        self._begun = False
        self._held: set[tuple[str, int]] = set()
        self._local = threading.local()

    def start_over(self) -> None:
        """Know of no claims any more, as `DeliveryQueue` says. What is still being claimed for those before goes into their set, and is lost with it."""
        self._held = set()

    def claim(  # noqa: PLR0913 - what bounds a claim
        self,
        destination: str,
        lane: Lane,
        *,
        now: int,
        most: int,
        most_bytes: int,
        keep_batches: bool = False,
        batch: str = "",
        contents: bool = True,
    ) -> list[Claimed]:
        """Take what is due, as `DeliveryQueue` says. Without `contents`, bodies are neither loaded nor counted."""
        self._begin()
        wanted = Wanted(destination, LANES[lane], most, most_bytes if contents else None, batch if keep_batches else None)
        rows = self._take(wanted, now)
        if not rows:
            return []
        try:
            with self._database.reading() as connection:
                return self._loader().load(connection, destination, wanted.lane, rows, contents=contents)
        except BaseException:
            self._let_go(destination, rows)
            raise

    def _take(self, wanted: Wanted, now: int) -> list[Candidate]:
        rows: list[Candidate] = []
        held = self._held
        try:
            with self._database.writing() as connection:
                rows = claiming.take(connection, wanted, office=self._office, now=now, longest=self._longest)
                # Before the commit: what is claimed in the database and not held here is taken for lost by the next beat.
                held.update((wanted.destination, row.number) for row in rows)
        except BaseException:
            self._let_go(wanted.destination, rows)
            raise
        return rows

    def _let_go(self, destination: str, rows: Sequence[Candidate]) -> None:
        """Leave to the next beat what was claimed, perhaps, and never given to anybody."""
        self._held.difference_update((destination, row.number) for row in rows)

    def claim_one(self, destination: str, id: str, *, now: int) -> Claimed | None:  # noqa: A002, ARG002 - as in `DeliveryQueue`
        """Take the pending delivery of one call or event, as `DeliveryQueue` says."""
        self._begin()
        lane, row = 0, None
        held = self._held
        try:
            with self._database.writing() as connection:
                number = numbers_of(connection, [id]).get(id)
                taken = None if number is None else claiming.take_one(connection, destination, number, office=self._office)
                if taken is None:
                    return None
                lane, row = taken
                held.add((destination, row.number))
            with self._database.reading() as connection:
                return self._loader().load(connection, destination, lane, [row], contents=True)[0]
        except BaseException:
            self._let_go(destination, [] if row is None else [row])
            raise

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of claims; what is not this office's any more is left alone. The batch is kept that the claim says."""
        ends = prepared(outcomes)
        with self._database.writing() as connection:
            finish(connection, ends, office=self._office)
        self._held.difference_update((name, number) for name, numbers in ends.items() for number in numbers)

    def put_back(self, claims: Sequence[Claimed]) -> None:
        """Give claims back untouched. One stays in the batch that it says it is in, so set that to None to take it out."""
        rows = [(claim.batch, claim.owed.destination, claim.number) for claim in claims]
        with self._database.writing() as connection:
            claiming.put_back(connection, rows, office=self._office)
        self._held.difference_update(row[1:] for row in rows)

    def next_due(self, destination: str, lane: Lane, *, now: int) -> int | None:
        """Return when something will be due next, as `DeliveryQueue` says."""
        self._begin()
        with self._database.reading() as connection:
            return claiming.next_due(connection, destination, LANES[lane], now=now, longest=self._longest)

    def beat(self, *, now: int) -> None:
        """Say that this office lives; free what dead ones had claimed, and what this one claimed in a step that failed."""
        with self._database.writing() as connection:
            self._offices.beat(connection, now=now)
            claiming.free_lost(connection, self._held, office=self._office)
        self._begun = True

    def divert(self, destination: str, *, to: Collection[str], now: int, most: int) -> int:  # noqa: ARG002 - as in `DeliveryQueue`
        """Owe to their `otherwise` what waits for a destination that stays down, as `DeliveryQueue` says."""
        with self._database.writing() as connection:
            return changing.divert(connection, destination, to, most)

    def _begin(self) -> None:
        """Free what an office before this one had claimed, where there can be only one: nothing waits for it to be seen dead."""
        if self._begun:
            return
        if self._database.is_sqlite:
            with self._database.writing() as connection:
                self._offices.beat(connection, now=self._now())
        self._begun = True

    def _loader(self) -> Loader:
        """Return this thread's loader."""
        loader: Loader | None = getattr(self._local, "loader", None)
        if loader is None:
            loader = self._local.loader = Loader()
        return loader
