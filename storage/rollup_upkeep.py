"""What keeps the sums complete: what nobody has summed up yet is, in small steps beside everything else."""

import time
from collections.abc import Callable

from sqlalchemy import delete, func, select

from storage.database import Database
from storage.rollup_levels import STALE, condense
from storage.rollup_rebuild import rebuild_slot
from storage.rollups import SLOT

AT_ONCE_SECONDS = 0.3
REST_SECONDS = 60.0


class SumsUpkeep:
    """Sums up hours and days that are over, and first the quarters of an hour that were recorded by a version without sums. Belongs to one thread."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Work on `database`; `now` is Unix seconds, `clock` counts how long it takes."""
        self._database = database
        self._now = now
        self._clock = clock
        self._rests_until = 0.0

    def work(self) -> None:
        """Do some of what there is to do, for about a third of a second; nothing for a minute after there was nothing more.

        Raises:
            StoreUnavailable: the store is away. Nothing is lost: it goes on from there.
        """
        began = self._clock()
        if began < self._rests_until:
            return
        while self.step():
            if self._clock() >= began + AT_ONCE_SECONDS:
                return
        self._rests_until = self._clock() + REST_SECONDS

    def step(self) -> bool:
        """Sum up one quarter, hour or day; return False where there is none to sum up."""
        with self._database.reading() as connection:
            slot = connection.execute(select(func.min(STALE.c.slot)).where(STALE.c.seconds == SLOT)).scalar()
        if slot is None:
            return condense(self._database, self._now())
        rebuild_slot(self._database, slot)
        with self._database.writing() as connection:
            connection.execute(delete(STALE).where(STALE.c.seconds == SLOT, STALE.c.slot == slot))
        return True
