"""Gathering: when one destination's lane looks for deliveries, and how many it claims."""

import logging
from collections.abc import Sequence
from random import Random

from domain.deliveries import Claimed, Lane
from domain.destinations import Limits
from recorder.courier.books import Books
from recorder.courier.bucket import Bucket
from recorder.courier.clock import NANOSECONDS, Clock
from recorder.courier.pace import Pace
from recorder.courier.packing import recorded_bytes

log = logging.getLogger(__name__)

# A claim costs as much as some rows, so where requests are small a few of them are claimed at once.
LEAST_CLAIM = 16
# Another office may owe us something, which nobody here is woken for.
POLL = 5.0
SHORTEST_LOOK = 0.05
# No delivery is put off for longer than this, so one that is due later was put off by a clock that went wrong.
LONGEST_DUE = 310 * NANOSECONDS
REPLAY_RATE = 200.0
_NEARLY = 0.7


class Gathering:
    """Deliveries are gathered until they are enough for a request, or the first has waited as long as the destination wants."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self, name: str, limits: Limits, books: Books, pace: Pace, *, clock: Clock, random: Random
    ) -> None:
        """Take what it works with."""
        self._name = name
        self._limits = limits
        self._books = books
        self._pace = pace
        self._clock = clock
        self._random = random
        self._ripe_at: float | None = None
        self._look_at = 0.0
        self._owed = 0
        self._jumps = clock.jumps
        self._ahead = 0
        self._idle = False
        self._replays = Bucket(REPLAY_RATE, clock.monotonic())

    def owed(self, count: int) -> bool:
        """Hear that deliveries were owed (0: it is not known how many); return whether that changes when to look."""
        now = self._clock.monotonic()
        self._owed += count
        if self._owed >= self._pace.batch:
            self._ripe_at = now
            return True
        if self._ripe_at is None:
            self._ripe_at = now + self._limits.flush
            return True
        return False

    def look_now(self) -> None:
        """Look for something as soon as anything may be sent."""
        self._look_at = 0.0

    def replay_at(self, rate: float | None) -> None:
        """Take replays at so many a second, at the usual rate without one."""
        self._replays.at_rate(rate or REPLAY_RATE)

    def ready_in(self) -> float:
        """Return in how many seconds to look."""
        ready_at = self._look_at if self._ripe_at is None else min(self._ripe_at, self._look_at)
        return max(ready_at - self._clock.monotonic(), 0.0)

    async def claimed(self, *, narrow: bool, most_bytes: int) -> list[Claimed]:
        """Claim what is due, live deliveries before replays, and decide when to look again. `narrow`: for a probe.

        Raises:
            StoreUnavailable: the store is away.

        """
        self._ripe_at, self._owed = None, 0
        self._see_jumps()
        if self._idle and (wait := await self._until_next_due()) > SHORTEST_LOOK:
            self._look_at = self._clock.monotonic() + wait
            return []
        now, most = self._clock.now() + self._ahead, 1 if narrow else self._most()
        claims, full = await self._claim("live", now, most, most_bytes)
        more = False
        if not full and not (narrow and claims):
            replayed, more = await self._replayed_beside(claims, now, most, most_bytes)
            claims += replayed
        # Where nothing was, a look is enough the next time: a claim waits for whoever writes.
        self._idle = not claims
        if full:
            self._look_at = 0.0
            return claims
        self._ahead = 0
        if more:
            wait = min(max(self._until_replay(), SHORTEST_LOOK), POLL)
        else:
            wait = self._limits.flush if claims else await self._until_next_due()
        self._look_at = self._clock.monotonic() + wait
        return claims

    async def _replayed_beside(
        self, claims: Sequence[Claimed], now: int, most: int, most_bytes: int
    ) -> tuple[list[Claimed], bool]:
        """Claim replays, too. Where that fails, what was claimed before must go out: nobody else would ever have it."""
        try:
            return await self._claim_replays(now, most, most_bytes)
        except Exception as error:
            if not claims:
                raise
            log.warning("replays to %r cannot be claimed for the moment: %s", self._name, type(error).__name__)
            return [], False

    async def _claim_replays(self, now: int, most: int, most_bytes: int) -> tuple[list[Claimed], bool]:
        permits = min(most, self._replays.available(self._clock.monotonic()))
        if not permits:
            return [], False
        claims, more = await self._claim("replay", now, permits, most_bytes)
        self._replays.take(len(claims))
        return claims, more

    def _until_replay(self) -> float:
        """Return in how many seconds enough replays are allowed for a request."""
        return self._replays.wait(self._clock.monotonic(), self._pace.batch)

    async def _claim(self, lane: Lane, now: int, most: int, most_bytes: int) -> tuple[list[Claimed], bool]:
        """Claim from one of the two, and say whether there is probably more."""
        keeps = self._limits.keeps_batches
        size = max(min(self._pace.recorded_bytes, most_bytes), 1)
        batch = f"{self._random.getrandbits(128):032x}" if keeps else ""
        claims = await self._books.claim(self._name, lane, now=now, most=most, most_bytes=size, keep_batches=keeps, batch=batch)
        full = len(claims) >= most or sum(map(recorded_bytes, claims)) >= size * _NEARLY
        return claims, bool(claims) and full

    def _most(self) -> int:
        batch = self._pace.batch
        # What is claimed together stays together where batches are kept.
        return batch if self._limits.keeps_batches else batch * max(LEAST_CLAIM // batch, 1)

    def _see_jumps(self) -> None:
        """Where the wall clock went back, take at once what was put off by what it said before."""
        self._clock.now()
        if self._clock.jumps != self._jumps:
            self._jumps = self._clock.jumps
            self._ahead = max(LONGEST_DUE - self._clock.jumped, 0) if self._clock.jumped < 0 else 0

    async def _until_next_due(self) -> float:
        """Return in how many seconds something will be due, at most until somebody else may have owed us something."""
        now = self._clock.now()
        live = await self._books.next_due(self._name, "live", now)
        replay = await self._books.next_due(self._name, "replay", now)
        dues = [due - now for due in (live, replay) if due is not None]
        if dues and min(dues) > LONGEST_DUE:
            self._ahead = max(dues)
            return SHORTEST_LOOK
        waits = [POLL]
        if live is not None:
            waits.append((live - now) / NANOSECONDS)
        if replay is not None:
            waits.append(max((replay - now) / NANOSECONDS, self._until_replay()))
        return max(min(waits), SHORTEST_LOOK)
