"""The ledger in Redis, for many machines. Each operation is one script and one round trip; leases run by Redis' own clock."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from time import time
from typing import Any

from domain.ledger import Claim, Held, LedgerUnavailable, Refused, Standing, Tally
from storage.ledger import redis_scripts as scripts
from storage.ledger.common import STAYS_OUT, closed, forget_at, summed
from storage.ledger.owner import no_store
from storage.ledger.redis_client import DEADLINE, Answer, AsyncRedis, WaitingRedis

# Lua's numbers are doubles: beyond this they are not exact. In nano-USD it is nine million dollars.
LARGEST = 9 * 10**15
SETTLED_AT_ONCE = 100
SWEPT_AT_ONCE = 500
MOST_UNCERTAIN = 10_000
# How long nothing new is held after the ledger was made anew, in seconds. The office that does it knows the running calls of its own gates only; every
# other gate brings its own when it renews them, several times in this time, and every other office what has ended meanwhile.
YOUNG_SECONDS = 20.0
REFUSED, GONE, NOT_OPEN = 0, -2, -3
_encode = json.JSONEncoder(separators=(",", ":")).encode


class RedisHolding:
    """The gate's side (`HoldingLedger`). Belongs to one event loop.

    A hold that Redis did not answer in time may have been made all the same, or be made when Redis wakes up: so it is released as soon as Redis
    answers again, and stays out if it comes after that.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        own_clock: bool = True,
        store: Callable[[], str | None] = no_store,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Know where it is; nothing is connected yet. Without `own_clock`, leases run by `now` and not by Redis' clock.

        `store` gives the id of the store that the ledger must belong to, None where that is not known.
        """
        self._redis = AsyncRedis(url, deadline=deadline, store=store, again=self._release_uncertain, sleep=sleep)
        self._own_clock = own_clock
        self._uncertain: dict[str, None] = {}

    async def hold(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> Held | Refused:
        """See `HoldingLedger`.

        Raises:
            ValueError: a limit is larger than Redis can count exactly.
        """
        if any(claim.limit is not None and claim.limit > LARGEST for claim in claims):
            raise ValueError(f"a limit is over {LARGEST}: Redis cannot count so far exactly")
        until = (self._clock(now), hold, int(lease * 1000), claims_text(claims), forget_at(claims, now))
        answer = await self._holding(hold, scripts.HOLD, *until)
        if answer[0] == GONE:
            raise LedgerUnavailable("this hold was released before it was made")
        return _refused(answer, claims) if answer[0] == REFUSED else Held(_standings(answer))

    async def top_up(self, hold: str, amounts: Sequence[int], *, now: float, lease: float) -> Held | Refused:
        """See `HoldingLedger`."""
        answer = await self._redis.run(
            scripts.TOP_UP, self._clock(now), hold, int(lease * 1000), _encode([min(amount, LARGEST) for amount in amounts])
        )
        if answer[0] == NOT_OPEN:
            return closed(claims_of(answer[1]))
        return _refused(answer, claims_of(answer[4])) if answer[0] == REFUSED else Held(_standings(answer))

    async def renew(self, holds: Sequence[str], *, now: float, lease: float) -> Sequence[str]:
        """See `HoldingLedger`."""
        if not holds:
            return []
        return [name.decode() for name in (await self._redis.run(scripts.RENEW, self._clock(now), int(lease * 1000), *holds))[1:]]

    async def resume(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> None:
        """See `HoldingLedger`."""
        until = (self._clock(now), hold, int(lease * 1000), claims_text(claims), forget_at(claims, now))
        await self._redis.run(scripts.RESUME, *until)

    async def release(self, hold: str, *, now: float) -> None:
        """See `HoldingLedger`."""
        del now
        await self._holding(hold, scripts.RELEASE, STAYS_OUT * 1000, hold)

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.close()

    async def _holding(self, hold: str, script: scripts.Script, *values: str | int) -> Answer:
        """Run a script about a hold; if nobody knows whether it was run, let go of the hold later."""
        if self._redis.is_open:
            if script is scripts.RELEASE:
                self._note_uncertain(hold)
            raise LedgerUnavailable("the ledger's Redis does not answer; it is asked again and again")
        try:
            return await self._redis.run(script, *values)
        except BaseException:
            # Whoever waited may have been cancelled, too.
            self._note_uncertain(hold)
            raise

    def _note_uncertain(self, hold: str) -> None:
        if len(self._uncertain) < MOST_UNCERTAIN:
            self._uncertain[hold] = None

    async def _release_uncertain(self) -> None:
        """Release what may have been held without anybody knowing."""
        while self._uncertain:
            some = list(self._uncertain)[:SETTLED_AT_ONCE]
            await self._redis.run_past_breaker(scripts.RELEASE, STAYS_OUT * 1000, *some)
            for hold in some:
                self._uncertain.pop(hold, None)

    def _clock(self, now: float) -> str:
        return "" if self._own_clock else str(int(now * 1000))


class RedisSettling:
    """The office's side (`SettlingLedger`), for any of its threads."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        own_clock: bool = True,
        young_seconds: float = YOUNG_SECONDS,
        store: Callable[[], str | None] = no_store,
    ) -> None:
        """Know where it is; nothing is connected yet. Without `own_clock`, leases run by `now` and not by Redis' clock. `store`: as in `RedisHolding`."""
        self._redis = WaitingRedis(url, deadline=deadline, store=store)
        self._young_ms = int(young_seconds * 1000)
        # Making the ledger anew is one long step.
        self._patient = WaitingRedis(url, deadline=deadline * 100, store=store)
        self._own_clock = own_clock

    def settle(self, settlements: Mapping[str, Sequence[int]], *, now: float) -> Sequence[str]:
        """See `SettlingLedger`."""
        del now
        unknown: list[str] = []
        for names in _chunks(list(settlements), SETTLED_AT_ONCE):
            values = [value for name in names for value in (name, _encode(list(settlements[name])))]
            unknown += [name.decode() for name in self._redis.run(scripts.SETTLE, *values)[1:]]
        return unknown

    def expire(self, *, now: float, most: int = 1000) -> Sequence[str]:
        """See `SettlingLedger`."""
        late: list[str] = []
        while len(late) < most:
            room = min(most - len(late), SETTLED_AT_ONCE)
            found = self._redis.run(scripts.EXPIRE, self._clock(now), room)[1:]
            late += [name.decode() for name in found]
            if len(found) < room:
                break
        return late

    def held(self, holds: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """See `SettlingLedger`."""
        found: dict[str, tuple[int, ...]] = {}
        for names in _chunks(holds, SETTLED_AT_ONCE):
            rows = self._redis.run(scripts.HELD, *names)[1:]
            found |= {
                name: tuple(int(amount) for amount in row) for name, row in zip(names, rows, strict=True) if isinstance(row, list)
            }
        return found

    def standings(self, counters: Sequence[str], *, now: float | None = None) -> Mapping[str, Standing]:
        """See `SettlingLedger`."""
        return summed(self._cells(counters), time() if now is None else now)

    def tallies(self, counters: Sequence[str]) -> Mapping[tuple[str, int], Tally]:
        """See `SettlingLedger`."""
        return {(counter, part): tally for counter, part, _, tally in self._cells(counters)}

    def charge(self, entry: str, claims: Sequence[Claim], *, now: float) -> None:
        """See `SettlingLedger`."""
        self._redis.run(scripts.CHARGE, entry, claims_text(claims), forget_at(claims, now))

    def raise_to(self, least: Sequence[Claim], *, now: float) -> int:
        """See `SettlingLedger`."""
        del now
        return sum(int(self._redis.run(scripts.RAISE, claims_text(some))[1]) for some in _chunks(least, SETTLED_AT_ONCE))

    def lower(self, excess: Sequence[Claim], seen: Sequence[int], *, now: float) -> int:
        """See `SettlingLedger`."""
        del now
        pairs = list(zip(excess, seen, strict=True))
        lowered = 0
        for some in _chunks(pairs, SETTLED_AT_ONCE):
            values = (claims_text([claim for claim, _ in some]), _encode([settled for _, settled in some]))
            lowered += int(self._redis.run(scripts.LOWER, *values)[1])
        return lowered

    def rebuild(self, settled: Sequence[Claim], holds: Mapping[str, Sequence[Claim]], *, now: float, lease: float) -> bool:
        """See `SettlingLedger`. What is left of a ledger that was lost in part goes first; neither is done to one that is whole.

        Nothing new is held for a while (`YOUNG_SECONDS`), unless nothing was ever spent.
        """
        for keys in _chunks(self._patient.keys("{faregate}:*"), SWEPT_AT_ONCE):
            self._patient.run(scripts.SWEEP, *(key.decode(errors="surrogateescape") for key in keys))
        values: list[str | int] = [self._clock(now), claims_text(settled), int(lease * 1000)]
        values.append(self._young_ms if settled or holds else 0)
        for name, claims in holds.items():
            values += (name, claims_text(claims), forget_at(claims, now))
        return bool(self._patient.run(scripts.REBUILD, *values)[0])

    def forget(self, *, now: float, most: int = 1000) -> int:
        """See `SettlingLedger`. Redis forgets by itself."""
        del now, most
        return 0

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()
        self._patient.close()

    def _cells(self, counters: Sequence[str]) -> list[tuple[str, int, int, Tally]]:
        found: list[tuple[str, int, int, Tally]] = []
        for names in _chunks(counters, SETTLED_AT_ONCE):
            rows = self._redis.run(scripts.CELLS, *names)[1:]
            found += [cell for counter, row in zip(names, rows, strict=True) for cell in _cells_in(counter, row)]
        return found

    def _clock(self, now: float) -> str:
        return "" if self._own_clock else str(int(now * 1000))


def claims_text(claims: Sequence[Claim]) -> str:
    """Return claims as the scripts read them; what Lua cannot count exactly is more than any limit allows."""
    return _encode([[c.counter, min(c.amount, LARGEST), c.limit, c.forget_at, c.rolling, c.part] for c in claims])


def claims_of(text: bytes) -> list[Claim]:
    """Return the claims that `claims_text` was given."""
    return list(starmap(Claim, json.loads(text)))


def _standings(answer: Answer) -> tuple[Standing, ...]:
    return tuple(Standing(int(spent), int(held)) for spent, held in zip(answer[1::2], answer[2::2], strict=True))


def _refused(answer: Answer, claims: Sequence[Claim]) -> Refused:
    return Refused(replace(claims[answer[1] - 1]), Standing(int(answer[2]), int(answer[3])))


def _cells_in(counter: str, row: Sequence[bytes]) -> Iterator[tuple[str, int, int, Tally]]:
    """Yield the parts of a counter: `(counter, part, rolling, tally)`."""
    fields = dict(zip(row[::2], row[1::2], strict=True))
    rolling = int(fields.pop(b"r", 0))
    for part in sorted({int(name[1:]) for name in fields}):
        settled, charged, held = (int(fields.get(b"%c%d" % (kind, part), 0)) for kind in b"sch")
        yield counter, part, rolling, Tally(settled, charged, held)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
