"""The store, watched: brought up when it can be reached, and asked how it is."""

import logging
import threading
from typing import Any

from domain.errors import StoreUnavailable
from storage.database import Database

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0


class StoreWatch:
    """Brings the store up, however long that takes, and knows how it is."""

    def __init__(self, database: Database) -> None:
        """Watch `database`; nothing is tried yet."""
        self._database = database
        self._stopping = threading.Event()
        self.ready = threading.Event()
        self.error: str | None = None

    def stop(self) -> None:
        """Give up waiting."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether to go on."""
        return not self._stopping.wait(seconds)

    def bring_up(self) -> bool:
        """Bring the store's tables to this version, and return whether that was done before `stop`."""
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            try:
                self._database.upgrade()
            except (StoreUnavailable, ValueError, OSError) as error:
                self.note(str(error))
                self.wait(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
            else:
                self.note(None)
                self.ready.set()
                return True
        return False

    def note(self, error: str | None) -> None:
        """Remember how the store is, and log it when that changes."""
        if error != self.error:
            log.warning("the store is away: %s", error) if error else log.info("the store is there")
        self.error = error

    def check(self) -> dict[str, Any]:
        """Return how the store is at this moment."""
        kind = "sqlite" if self._database.is_sqlite else "postgresql"
        if not self.ready.is_set():
            return {"state": "away" if self.error else "starting", "kind": kind, "error": self.error}
        try:
            self._database.check()
        except StoreUnavailable as error:
            return {"state": "away", "kind": kind, "error": str(error)}
        return {"state": "ready", "kind": kind, "error": None}
