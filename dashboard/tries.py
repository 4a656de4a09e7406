"""Slowing down whoever guesses: some wrong tries at once, then one now and then."""

from collections.abc import Callable

MOST = 20
SECONDS_FOR_ONE = 3.0


class Tries:
    """A bucket of tries. A wrong one takes one out; they come back with time. It belongs to the event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with a full bucket; `now` is a clock in seconds."""
        self._now = now
        self._left = float(MOST)
        self._at = now()

    def fail(self) -> None:
        """Take one out."""
        self._fill()
        self._left = max(self._left - 1, 0.0)

    @property
    def wait(self) -> float:
        """How many seconds it takes until there is a try again; 0 if there is one."""
        self._fill()
        return max(1 - self._left, 0.0) * SECONDS_FOR_ONE

    def _fill(self) -> None:
        now = self._now()
        # A clock that was set back gives nothing.
        self._left = min(self._left + max(now - self._at, 0.0) / SECONDS_FOR_ONE, float(MOST))
        self._at = now
