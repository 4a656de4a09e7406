"""How often a key may call: requests and tokens in any minute, and calls at once.

One gate process counts for itself. Several, on one machine or many, count in the ledger they share: a request is held on a rolling window of
a minute, out of which it falls by itself; a running call holds a place until it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.errors import GatewayError, RateLimited
from domain.keys import ApiKey
from domain.ledger import Claim, HoldingLedger, LedgerUnavailable, Refused

MINUTE = 60
# A place that a killed gate left behind is free again after so long at most.
PLACES_SECONDS = 3_600
LEASE_SECONDS = 60.0
MOST_KEYS = 10_000
_LEAST_MS, _MOST_MS = 50, 60_000


class Minute:
    """What came in the last minute, in sixty parts of a second; the oldest counts whole."""

    __slots__ = ("_last", "_parts", "_sum")

    def __init__(self) -> None:
        """Begin empty."""
        self._parts = [0] * MINUTE
        self._last = 0
        self._sum = 0

    def sum(self, now: float) -> int:
        """Return how much came within the minute before `now` (seconds of any clock)."""
        second = int(now)
        gone = second - self._last
        if gone >= MINUTE:
            self._parts = [0] * MINUTE
            self._sum = 0
        elif gone > 0:
            for old in range(self._last + 1, second + 1):
                self._sum -= self._parts[old % MINUTE]
                self._parts[old % MINUTE] = 0
        if gone > 0:
            self._last = second
        return self._sum

    def add(self, amount: int, now: float) -> None:
        """Count `amount`, which may be less than nothing: a correction."""
        self.sum(now)
        self._parts[self._last % MINUTE] += amount
        self._sum += amount

    def seconds_until(self, room: int, limit: int, now: float) -> float:
        """Return in how many seconds `room` more will fit under `limit`; a whole minute where it never will."""
        total = self.sum(now)
        for later in range(MINUTE):
            if total + room <= limit:
                return max(self._last + later - now, 0.0)
            total -= self._parts[(self._last + 1 + later) % MINUTE]
        return float(MINUTE)


@dataclass(slots=True)
class _Counts:
    requests: Minute = field(default_factory=Minute)
    tokens: Minute = field(default_factory=Minute)
    running: int = 0


@dataclass(slots=True)
class Permit:
    """A call that was let in: what it counted as, and what it holds in the ledger."""

    key: ApiKey
    tokens: int
    at: float
    places: str | None = None


class Pace:
    """Counts the calls of keys that have limits."""

    def __init__(self, shared: HoldingLedger | None = None) -> None:
        """Count in this process alone, or in `shared`."""
        self._shared = shared
        self._counts: dict[str, _Counts] = {}
        self._places: dict[str, Claim] = {}

    def limits(self, key: ApiKey) -> bool:
        """Return whether `key` has limits."""
        return key.limits is not None

    async def admit(self, key: ApiKey, call: str, tokens: int, now: float) -> Permit | None:
        """Count a call; `tokens` is what it will be about. None where its key has no limits.

        Raises:
            RateLimited: there is no room for it in this minute, or too many run.

        """
        if key.limits is None:
            return None
        permit = Permit(key, tokens, now)
        if self._shared is not None and await self._admit_shared(permit, call, now):
            return permit
        self._admit_here(permit, now)
        return permit

    def end(self, permit: Permit | None, output_tokens: int) -> None:
        """End a call. What it wrote more than was counted counts now, where that is known here."""
        if permit is None:
            return
        if permit.places is not None:
            self._places.pop(permit.places, None)
            return
        counts = self._counts.get(permit.key.id)
        if counts is not None:
            counts.running = max(counts.running - 1, 0)
            if output_tokens > permit.tokens:
                counts.tokens.add(output_tokens - permit.tokens, permit.at)

    # In this process

    def _admit_here(self, permit: Permit, now: float) -> None:
        limits = permit.key.limits
        counts = self._counts_of(permit.key)
        if limits is None:
            return
        if limits.parallel is not None and counts.running >= limits.parallel:
            raise _too_many(permit.key, limits.parallel)
        if limits.rpm is not None and counts.requests.sum(now) + 1 > limits.rpm:
            raise _too_often(
                permit.key, "requests", limits.rpm, counts.requests.sum(now), counts.requests.seconds_until(1, limits.rpm, now)
            )
        if limits.tpm is not None and counts.tokens.sum(now) + permit.tokens > limits.tpm:
            wait = counts.tokens.seconds_until(permit.tokens, limits.tpm, now)
            raise _too_often(permit.key, "tokens", limits.tpm, counts.tokens.sum(now), wait, this=permit.tokens)
        counts.requests.add(1, now)
        counts.tokens.add(permit.tokens, now)
        counts.running += 1

    def _counts_of(self, key: ApiKey) -> _Counts:
        if key.id not in self._counts and len(self._counts) >= MOST_KEYS:
            self._counts = {name: one for name, one in self._counts.items() if one.running}
        return self._counts.setdefault(key.id, _Counts())

    # In the ledger

    async def _admit_shared(self, permit: Permit, call: str, now: float) -> bool:
        """Count a call in the ledger; return False where that is away, so that it is counted here at least."""
        limits, ledger = permit.key.limits, self._shared
        if limits is None or ledger is None:
            return True
        try:
            if limits.parallel is not None:
                await self._take_place(permit, call, limits.parallel, ledger, now)
            await self._count_shared(permit, call, ledger, now)
        except LedgerUnavailable:
            return False
        return True

    async def _take_place(self, permit: Permit, call: str, most: int, ledger: HoldingLedger, now: float) -> None:
        claim = _claim(permit.key, "calls", 1, most, seconds=PLACES_SECONDS, now=now)
        name = f"{call}-place"
        if isinstance(await ledger.hold(name, [claim], now=now, lease=LEASE_SECONDS), Refused):
            raise _too_many(permit.key, most)
        permit.places = name
        self._places[name] = claim

    async def _count_shared(self, permit: Permit, call: str, ledger: HoldingLedger, now: float) -> None:
        limits = permit.key.limits
        if limits is None or (limits.rpm is None and limits.tpm is None):
            return
        wanted = (("requests", 1, limits.rpm), ("tokens", permit.tokens, limits.tpm))
        claims = [
            _claim(permit.key, unit, amount, most, seconds=MINUTE, now=now) for unit, amount, most in wanted if most is not None
        ]
        answer = await ledger.hold(f"{call}-pace", claims, now=now, lease=LEASE_SECONDS)
        if isinstance(answer, Refused):
            await self.give_back(permit, now)
            unit = answer.claim.counter.rpartition("@")[2]
            used = answer.standing.spent + answer.standing.held
            most = answer.claim.limit or 0
            # How soon the oldest part falls out is not known here: as long as one of so many takes on average.
            wait = min(MINUTE * answer.claim.amount / max(most, 1), float(MINUTE))
            raise _too_often(permit.key, unit, most, used, wait, this=answer.claim.amount)

    async def give_back(self, permit: Permit | None, now: float) -> None:
        """Give back the place that a call held in the ledger."""
        if permit is None or permit.places is None or self._shared is None:
            return
        name, permit.places = permit.places, None
        self._places.pop(name, None)
        await self._shared.release(name, now=now)

    async def renew(self, now: float) -> None:
        """Keep the places of running calls.

        Raises:
            LedgerUnavailable: the ledger does not answer.

        """
        names: Sequence[str] = list(self._places)
        if self._shared is not None and names:
            for lost in await self._shared.renew(names, now=now, lease=LEASE_SECONDS):
                place = self._places.get(lost)
                if place is not None:
                    await self._shared.resume(lost, [place], now=now, lease=LEASE_SECONDS)


def _claim(key: ApiKey, unit: str, amount: int, limit: int, *, seconds: int, now: float) -> Claim:  # noqa: PLR0913 - a claim has them all
    width = seconds // MINUTE
    return Claim(f"pace|{key.id}@{unit}", amount, limit, int(now) + 2 * seconds, seconds, int(now // width))


def _too_many(key: ApiKey, most: int) -> GatewayError:
    message = (
        f"The key {key.name!r} may have {most} call{'s' if most != 1 else ''} running at once. Try again when one has ended."
    )
    return RateLimited(message, retry_after=1, headers=(("retry-after-ms", "500"),))


def _too_often(key: ApiKey, unit: str, most: int, used: int, wait: float, *, this: int = 1) -> GatewayError:  # noqa: PLR0913 - what the message says
    milliseconds = min(max(round(wait * 1000), _LEAST_MS), _MOST_MS)
    what = f", and this call counts as {this:,}" if unit == "tokens" else ""
    message = (
        f"The key {key.name!r} may use {most:,} {unit} a minute: {used:,} are used{what}. Try again in {milliseconds / 1000:g} s."
    )
    headers = (
        ("retry-after-ms", str(milliseconds)),
        (f"x-ratelimit-limit-{unit}", str(most)),
        (f"x-ratelimit-remaining-{unit}", str(max(most - used, 0))),
        (f"x-ratelimit-reset-{unit}", f"{milliseconds}ms"),
    )
    return RateLimited(message, retry_after=milliseconds / 1000, headers=headers)
