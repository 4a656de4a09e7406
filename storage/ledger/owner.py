"""Which store a ledger in Redis belongs to: gateways that share the one must share the other, since what was spent is checked against the store.

The office writes the id of its store into the data folder, where the gate finds it too. Every script compares it with the one that the ledger carries.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

from storage.folder import write_private

FILE = "store-id"
AGAIN_SECONDS = 5.0
_ID = re.compile(r"[0-9a-f]{32}")


class KnownStore:
    """The id of the store as the office noted it last; None where it did not say yet. It is looked at again now and then."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read it from the file at `path`."""
        self._path = path
        self._clock = clock
        self._again_at = 0.0
        self._id: str | None = None

    def __call__(self) -> str | None:
        """Return the id."""
        now = self._clock()
        if now >= self._again_at:
            self._again_at = now + AGAIN_SECONDS
            self._id = noted_store(self._path)
        return self._id


def note_store(path: Path, store: str) -> None:
    """Write the id of the store into the file at `path`, if it is not there.

    Raises:
        OSError: it cannot be written.
    """
    if noted_store(path) != store:
        write_private(path, store.encode())


def noted_store(path: Path) -> str | None:
    """Return what `note_store` wrote, None where it did not."""
    try:
        text = path.read_text()
    except (OSError, ValueError):
        return None
    return text if _ID.fullmatch(text) else None


def no_store() -> None:
    """Say nothing about the store: nothing is compared."""


def foreign_message(whose: str) -> str:
    """Return what to tell about a ledger of another store."""
    return (
        f"The Redis of storage.redis_url keeps the ledger of another store ({whose[:8]}…). Gateways that share a Redis must share a "
        "PostgreSQL: set storage.database_url to that store, or storage.redis_url to a Redis, or a database number in it, of this gateway's own. "
        "If the other store is gone for good, this one takes the ledger over after: redis-cli DEL '{faregate}:epoch'"
    )
