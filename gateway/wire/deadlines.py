"""Time limits for many connections at the price of one timer.

A timer for each read would cost more than the read. A watched object carries the moment at which it expires, as a plain
attribute that is cheap to move; one tick looks at all of them.
"""

import asyncio
from time import monotonic
from typing import Protocol

TICK = 0.1


class Watched(Protocol):
    """Something that may take only so long."""

    deadline: float

    def expired(self) -> None:
        """Know that the deadline (monotonic seconds) has passed."""


class Deadlines:
    """Looks after deadlines, every 0.1 s and only while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on `loop`."""
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        """Look after `watched` until it is discarded."""
        self._watched.add(watched)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)

    def discard(self, watched: Watched) -> None:
        """Look after `watched` no more."""
        self._watched.discard(watched)

    def _tick(self) -> None:
        now = monotonic()
        for watched in [each for each in self._watched if each.deadline < now]:
            watched.deadline = float("inf")
            try:
                watched.expired()
            except Exception as error:  # noqa: BLE001 - one that fails must not end the deadlines of the others
                self._loop.call_exception_handler({"message": "a deadline could not be told", "exception": error})
        self._timer = self._loop.call_later(TICK, self._tick) if self._watched else None
