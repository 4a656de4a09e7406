"""In which order a route's upstreams are tried: as listed, by shares, by what was measured, by price, or by what is running.

A share is decided by a hash of what calls have in common (their session, say), so that every process and machine comes to the same answer
without asking another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log
from random import Random

from domain.exchange import Labels
from domain.routes import Aim, Sticky
from routing.sampling import share_of

EXPLORED = 0.05
# A time that is older is no longer believed; nor, sooner, that an upstream fails: then one call finds out, for so long at most.
STALE_SECONDS = 300.0
FAILED_SECONDS = 60.0
EXPLORING_SECONDS = 30.0
NEWEST_COUNTS = 0.2
# A failure counts as an answer that took so many times as long as usual.
FAILURE_COUNTS = 10
# Callers may name models.
MOST_TIMES = 1_000
# An upstream, a model as it is named there, and whether it answers in a stream.
Measured = tuple[str, str | None, bool]


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
    """What is known of one: `mean` is in seconds, infinite where it has only failed, None where a call is finding out (`until` then)."""

    mean: float | None
    at: float
    failed: bool = False
    until: float = 0.0


class FirstBytes:
    """How long upstreams take to the first byte of an answer: a moving average for each upstream, model and way of answering, in this process."""

    def __init__(self, random: Random, clock: Callable[[], float]) -> None:
        """Explore by `random`; `clock` gives seconds."""
        self._random = random
        self._clock = clock
        self._known: dict[Measured, _Time] = {}

    def answered(self, name: Measured, seconds: float) -> None:
        """Know that an answer took so long."""
        mean = self.of(name)
        known = self._entry(name)
        known.mean = seconds if mean is None or mean == inf else mean + NEWEST_COUNTS * (seconds - mean)
        known.at, known.failed, known.until = self._clock(), False, 0.0

    def failed(self, name: Measured) -> None:
        """Know that a call was not served: that counts as an answer that took much longer than usual, or for ever where none is usual."""
        mean = self.of(name)
        known = self._entry(name)
        known.mean = inf if mean is None else mean + NEWEST_COUNTS * (FAILURE_COUNTS - 1) * mean
        known.at, known.failed, known.until = self._clock(), True, 0.0

    def of(self, name: Measured) -> float | None:
        """Return the mean, in seconds, infinite where it fails; None where nothing was measured lately."""
        known = self._known.get(name)
        if known is None or known.mean is None:
            return None
        believed = FAILED_SECONDS if known.mean == inf else STALE_SECONDS
        return None if self._clock() - known.at > believed else known.mean

    def order(self, names: Sequence[Measured]) -> tuple[list[int], str]:
        """Return the places of `names` in the order in which a call tries them, and why: fastest first, then what is not known, then what fails.

        But one call at a time finds out about one that is not known; and now and then one goes to another than the fastest, to measure it anew.
        """
        times = [self.of(name) for name in names]
        places = sorted(range(len(times)), key=lambda place: _rank(times[place]))
        explored = self._unknown(names, times) if None in times else self._another(names, places)
        if explored is None:
            return places, "fastest first"
        places.remove(explored)
        why = "one that is not measured first" if times[explored] is None else "another one than the fastest first, to measure it"
        return [explored, *places], why

    def _unknown(self, names: Sequence[Measured], times: Sequence[float | None]) -> int | None:
        """Return the place of one that is not known, and that no other call is finding out about; this call does now."""
        now = self._clock()
        for place, name in enumerate(names):
            if times[place] is None:
                known = self._entry(name)
                if known.until <= now:
                    known.mean, known.at, known.until = None, now, now + EXPLORING_SECONDS
                    return place
        return None

    def _another(self, names: Sequence[Measured], places: Sequence[int]) -> int | None:
        """Return the place of another one than the fastest, now and then; of none that has just failed."""
        since = self._clock() - FAILED_SECONDS
        others = [place for place in places[1:] if not (known := self._known[names[place]]).failed or known.at < since]
        if not others or self._random.random() >= EXPLORED:
            return None
        return others[self._random.randrange(len(others))]

    def _entry(self, name: Measured) -> _Time:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= MOST_TIMES:
                del self._known[min(self._known, key=lambda one: self._known[one].at)]
            known = self._known[name] = _Time(None, self._clock())
        return known


def _rank(time: float | None) -> tuple[int, float]:
    if time is None:
        return 1, 0.0
    return (2, 0.0) if time == inf else (0, time)


def cheapest_order(costs: Sequence[int | None]) -> list[int]:
    """Return the places of `costs`, cheapest first; what has no known price is last."""
    return sorted(range(len(costs)), key=lambda place: (costs[place] is None, costs[place] or 0))


def least_busy_order(running: Sequence[int]) -> list[int]:
    """Return the places of `running`, the one with the fewest calls first; of equals, the first listed."""
    return sorted(range(len(running)), key=lambda place: running[place])
