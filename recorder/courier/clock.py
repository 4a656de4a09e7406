"""Clocks: inside, time only goes forward; what is stored is wall-clock time, which may jump."""

import time
from collections.abc import Callable

NANOSECONDS = 10**9
JUMP = 60.0
# A while in which nothing is called too old after the wall clock jumped: it may jump back.
SETTLING = 900.0


class Clock:
    """The wall clock beside one that only goes forward (seconds). Asked often enough, it notices when they part.

    `jumps` counts that, and `jumped` is how far it went the last time (nanoseconds, below zero for backwards).
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self.monotonic = monotonic
        self._apart = wall() / NANOSECONDS - monotonic()
        self._settled_at = float("-inf")
        self.jumps = 0
        self.jumped = 0

    def now(self) -> int:
        """Return the wall clock's time (Unix nanoseconds)."""
        now = self._wall()
        apart = now / NANOSECONDS - self.monotonic()
        if abs(apart - self._apart) > JUMP:
            self._settled_at = self.monotonic() + SETTLING
            self.jumps += 1
            self.jumped = int((apart - self._apart) * NANOSECONDS)
            self._apart = apart
        return now

    def trusted(self) -> bool:
        """Return whether the wall clock has not jumped lately."""
        self.now()
        return self.monotonic() >= self._settled_at
