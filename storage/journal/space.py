"""How much room there is for one writer's records: its bound, and the disk's own end."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from storage.journal.limits import JournalLimits
from storage.journal.segments import PRIVATE, bytes_in

LOOK_EVERY = 1.0
RESUME_BYTES = 4 * 2**20
META_SHARE = 16
"""One part in so many of a bound is kept for records without bodies."""


class Space:
    """What may still be written. Only the writer's thread changes it.

    When the disk is full, the ballast (a file of nothing, shared by all writers) is given up, so that records can still be written
    without their bodies. When there is room again, it is made again, and bodies are kept again.
    """

    def __init__(self, root: Path, folder: Path, limits: JournalLimits, now: Callable[[], float] = time.monotonic) -> None:
        """Look for the first time, and make the ballast if there is room for it."""
        self._ballast = root / "ballast"
        self._folder = folder
        self._limits = limits
        self._now = now
        self._next_look = 0.0
        self._older = self._written = 0
        self.disk_full = False
        self.look(0)
        with suppress(OSError):
            self._restore()

    def look(self, current: int) -> None:
        """Measure the folder: readers delete from it. `current` is the size of the file being written, counted apart."""
        self._next_look = self._now() + LOOK_EVERY
        with suppress(OSError):  # a disk that cannot even be looked at: what was known last is the best guess
            self._older = max(0, bytes_in(self._folder) - current)
            if self.disk_full:
                self._restore()

    def look_if_due(self, current: int) -> None:
        """Measure, if the last time is long ago."""
        if self._now() >= self._next_look:
            self.look(current)

    def count(self, written: int) -> None:
        """Take note that the segment being written has so many bytes."""
        self._written = written

    def retired(self, written: int) -> None:
        """Take note that the segment being written was ended at so many bytes."""
        self._older += written
        self._written = 0

    @property
    def used(self) -> int:
        """Bytes in the folder's segments, without the room that is set aside in the one being written."""
        return self._older + self._written

    def bodies_fit(self, size: int) -> bool:
        """Return whether `size` more bytes fit, bodies included."""
        bound = self._limits.disk_bytes
        return not self.disk_full and self.used + size <= bound - bound // META_SHARE

    def records_fit(self, size: int) -> bool:
        """Return whether `size` more bytes of records without bodies fit."""
        return self.used + size <= self._limits.disk_bytes

    @property
    def full(self) -> bool:
        """Whether bodies are shed now."""
        return not self.bodies_fit(1)

    def ran_out(self) -> None:
        """Give the ballast up: the disk is full."""
        self.disk_full = True
        with suppress(OSError):
            self._ballast.unlink()

    def _restore(self) -> None:
        """Make the ballast again and take bodies again, if there is room for both."""
        volume = os.statvfs(self._folder)
        free = volume.f_bavail * volume.f_frsize
        wanted = self._limits.ballast_bytes
        # On a very small volume a ballast would take what it is meant to save.
        if volume.f_blocks * volume.f_frsize < 3 * wanted or self._ballast.exists():
            wanted = 0
        if free < wanted + RESUME_BYTES:
            return
        if not wanted or _filled(self._ballast, wanted):
            self.disk_full = False


def _filled(path: Path, size: int) -> bool:
    """Make a file of `size` bytes that really takes so much room; return whether it is there."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
    except BlockingIOError:
        return True  # another writer is making it
    except OSError:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(file)
    return True
