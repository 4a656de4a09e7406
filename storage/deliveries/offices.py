"""Which offices live: what a dead one had claimed is due again at once.

With SQLite there is one office at a time, so whatever another one had claimed is free. With PostgreSQL each office counts its beats in the database;
the others look whether the count moves, each by its own clock. So no office's clock has to be right, and one that jumps buries nobody.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from storage.deliveries.sql import changed, found

SECOND = 10**9
# An office that has not beaten for so long is dead.
SILENCE = 30 * SECOND
# Two beats of our own cannot be further apart than this for the other's silence: the clock jumped, or this machine was asleep.
LONGEST_STEP = 10 * SECOND
_FREE_OTHERS = (
    "UPDATE deliveries INDEXED BY ix_deliveries_claimed SET state = 0, claimed_by = NULL WHERE state = 2 AND claimed_by <> ?"
)
_FREE = "UPDATE deliveries INDEXED BY ix_deliveries_claimed SET state = 0, claimed_by = NULL WHERE state = 2 AND claimed_by = ?"
_BEAT = "INSERT INTO offices (boot, beats) VALUES (?, 1) ON CONFLICT (boot) DO UPDATE SET beats = offices.beats + 1"
_BURY = "DELETE FROM offices WHERE boot = ?"
_OTHERS = """SELECT boot, beats FROM offices WHERE boot <> ?
    UNION ALL SELECT DISTINCT claimed_by, 0 FROM deliveries INDEXED BY ix_deliveries_claimed WHERE state = 2 AND claimed_by <> ?
    AND NOT EXISTS (SELECT 1 FROM offices WHERE boot = claimed_by)"""


@dataclass(slots=True)
class _Watched:
    """Another office: its beats when it was last looked at, and for how long they have not moved."""

    beats: int
    silent: int = 0


class Offices:
    """The other offices, as this one sees them."""

    def __init__(self, office: str) -> None:
        self._office = office
        self._watched: dict[str, _Watched] = {}
        self._last: int | None = None

    def beat(self, connection: Connection, *, now: int) -> int:
        """Say that this office lives, and free what dead ones had claimed; return how much that was."""
        if connection.dialect.name == "sqlite":
            return changed(connection, _FREE_OTHERS, self._office)
        changed(connection, _BEAT, self._office)
        step = 0 if self._last is None else min(max(0, now - self._last), LONGEST_STEP)
        self._last = now
        others = {row[0]: row[1] for row in found(connection, _OTHERS, self._office, self._office)}
        self._watched = {boot: self._looked_at(boot, beats, step) for boot, beats in others.items()}
        silent = [boot for boot, watched in self._watched.items() if watched.silent >= SILENCE]
        return sum(self._bury(connection, boot) for boot in silent)

    def _looked_at(self, boot: str, beats: int, step: int) -> _Watched:
        watched = self._watched.get(boot)
        if watched is None or watched.beats != beats:
            return _Watched(beats)
        return _Watched(beats, watched.silent + step)

    def _bury(self, connection: Connection, boot: str) -> int:
        changed(connection, _BURY, boot)
        return changed(connection, _FREE, boot)
