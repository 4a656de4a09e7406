"""In which order a route's upstreams are tried: as listed, by shares, by what was measured, by price, or by what is running.

A share is decided by a hash of what calls have in common (their session, say), so that every process and machine comes to the same answer
without asking another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from random import Random

from domain.exchange import Labels
from domain.routes import Aim, Sticky
from routing.sampling import share_of

EXPLORED = 0.05
# A time that is older than this is no longer believed; a smaller weight than this counts as none.
STALE_SECONDS = 300.0
NEWEST_COUNTS = 0.2
# Callers may name models.
MOST_TIMES = 1_000


def split_order(route: str, value: str, aims: Sequence[Aim]) -> list[int]:
    """Return the places of `aims` in the order in which calls of this `value` try them: each comes first with a chance by its weight.

    Weighted rendezvous hashing: when a weight changes, or an upstream comes or goes, only as many calls move as must.
    """

    def score(place: int) -> float:
        aim = aims[place]
        # A share can be so near to 1 that its logarithm is 0.
        return aim.weight / max(-log(share_of(route, value, aim.text)), 1e-300)

    return sorted(range(len(aims)), key=score, reverse=True)


def sticky_value(sticky: Sticky, labels: Labels, key: str, call: str) -> tuple[str, str]:
    """Return what a call is known by in a split, and what that is called; a call without a session or customer stands for itself."""
    value = {"session": labels.session, "customer": labels.customer, "key": key, "off": None}[sticky]
    return (call, "call") if value is None else (value, sticky)


@dataclass(slots=True)
class _Time:
    mean: float
    at: float


class FirstBytes:
    """How long upstreams take to the first byte of an answer: a moving average for each upstream, model and way of answering, in this process."""

    def __init__(self, random: Random, clock: Callable[[], float]) -> None:
        """Explore by `random`; `clock` gives seconds."""
        self._random = random
        self._clock = clock
        self._known: dict[tuple[str, str | None, bool], _Time] = {}

    def note(self, upstream: str, model: str | None, *, stream: bool, seconds: float) -> None:
        """Know that an answer took so long."""
        name, now = (upstream, model, stream), self._clock()
        known = self._known.get(name)
        if known is None or now - known.at > STALE_SECONDS:
            if known is None and len(self._known) >= MOST_TIMES:
                del self._known[min(self._known, key=lambda one: self._known[one].at)]
            self._known[name] = _Time(seconds, now)
        else:
            known.mean += NEWEST_COUNTS * (seconds - known.mean)
            known.at = now

    def of(self, upstream: str, model: str | None, *, stream: bool) -> float | None:
        """Return the mean, in seconds; None where nothing was measured lately."""
        known = self._known.get((upstream, model, stream))
        return None if known is None or self._clock() - known.at > STALE_SECONDS else known.mean

    def order(self, times: Sequence[float | None]) -> tuple[list[int], bool]:
        """Return the places of `times`, fastest first and what is not known before them; and whether another one goes first to measure it anew."""
        places = sorted(range(len(times)), key=lambda place: -1.0 if (time := times[place]) is None else time)
        explores = len(places) > 1 and None not in times and self._random.random() < EXPLORED
        if explores:
            places.insert(0, places.pop(self._random.randrange(1, len(places))))
        return places, explores


def cheapest_order(costs: Sequence[int | None]) -> list[int]:
    """Return the places of `costs`, cheapest first; what has no known price is last."""
    return sorted(range(len(costs)), key=lambda place: (costs[place] is None, costs[place] or 0))


def least_busy_order(running: Sequence[int]) -> list[int]:
    """Return the places of `running`, the one with the fewest calls first; of equals, the first listed."""
    return sorted(range(len(running)), key=lambda place: running[place])
