"""A deadline for an answer that counts only time in which the loop could have heard it.

`asyncio.timeout` looks at the clock alone: a loop that was busy with something else for longer than that gives an answer up that has long been in the
socket, and a server that is well would be taken for away. This goes by steps instead, each a turn of the loop of its own. A step that comes
late by more than its length says that the loop was busy, and does not count.
"""

import asyncio
from types import TracebackType

STEPS = 5
# However busy the loop is, after so many steps it has looked at the socket so many times.
MOST_STEPS = 20


class HearingTime:
    """Cancels what is awaited within it, as `asyncio.timeout` does, and raises TimeoutError at its end."""

    def __init__(self, seconds: float) -> None:
        """Give up after so many seconds of a loop that has nothing else to do."""
        self._step = seconds / STEPS
        self._counted = self._taken = 0
        self._limit = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._next()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, traceback)

    def _next(self) -> None:
        self._due = self._loop.time() + self._step
        self._timer = self._loop.call_at(self._due, self._stepped)

    def _stepped(self) -> None:
        now = self._loop.time()
        self._taken += 1
        self._counted += now < self._due + self._step
        if self._counted < STEPS and self._taken < MOST_STEPS:
            self._next()
        else:
            self._limit.reschedule(now)
