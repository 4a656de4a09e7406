"""The barrier: an answer begins when the record that its call was sent is on disk, or when it has waited long enough."""

import asyncio
from collections import deque

from gateway.wire.steps import Signal
from storage.journal import JournalWriter


class Barrier:
    """Lets calls wait for the journal, each for the same time at most, so that one timer serves them all."""

    def __init__(self, journal: JournalWriter, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Wait for `journal`, at most `seconds`."""
        self._journal = journal
        self._loop = loop
        self._seconds = seconds
        self._waiting: deque[tuple[float, Signal]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def passed(self, ticket: int) -> None:
        """Wait until the record with this ticket is on disk, and all before it; or not so long, which is counted."""
        if self._journal.synced >= ticket:
            return
        signal = Signal(self._loop)
        self._waiting.append((self._loop.time() + self._seconds, signal))
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._tick)
        self._journal.when_synced(ticket, signal)
        try:
            await signal
        except TimeoutError:
            self._journal.counters.barrier_timeouts += 1

    def _tick(self) -> None:
        """Let go of those who have waited long enough."""
        waiting, now = self._waiting, self._loop.time()
        late: list[Signal] = []
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            signal = waiting.popleft()[1]
            if not signal.done():
                late.append(signal)
        self._timer = self._loop.call_later(max(waiting[0][0] - now, 0), self._tick) if waiting else None
        for signal in late:
            signal.set_exception(TimeoutError())
