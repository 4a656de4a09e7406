"""What providers report that calls cost, beside what they cost by our prices: a price list that checks itself."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from domain.prices import Cost
from domain.spans import Span
from recorder.repricing import BATCH, START, Place
from storage.adjustments import AdjustmentStore

MOST_CALLS = 5


@dataclass(slots=True)
class Compared:
    """The calls of one model at one upstream: what was reported and what we reckon, in pico-USD. `unknown` have no price of ours.

    `furthest` are the calls that differ the most: by how much, and the call's id, what was reported, and what we reckon.
    """

    upstream: str
    model: str
    calls: int = 0
    reported: int = 0
    ours: int = 0
    unknown: int = 0
    furthest: list[tuple[int, str, int, int]] = field(default_factory=list)

    def add(self, span: Span, reported: int, ours: int | None) -> None:
        """Count one call."""
        self.calls += 1
        if ours is None:
            self.unknown += 1
            return
        self.reported += reported
        self.ours += ours
        apart = (abs(reported - ours), span.id, reported, ours)
        if apart[0] and len(self.furthest) < MOST_CALLS:
            heapq.heappush(self.furthest, apart)
        elif apart[0]:
            heapq.heappushpop(self.furthest, apart)

    @property
    def drift(self) -> float | None:
        """By what share of the reported sum ours is higher or lower; None where neither is anything."""
        if not self.reported:
            return None if not self.ours else 1.0
        return (self.ours - self.reported) / self.reported


@dataclass(slots=True)
class Audit:
    """What was compared so far, and where to go on; None at the end."""

    scanned: int = 0
    models: dict[tuple[str, str], Compared] = field(default_factory=dict)
    place: Place | None = None


class Auditor:
    """Compares recorded calls. `price` gives what a call costs by our prices."""

    def __init__(
        self, store: AdjustmentStore, price: Callable[[Span], Cost], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._price = price
        self._clock = clock

    def step(self, since: int, until: int, after: Place = START, *, seconds: float = 2.0) -> Audit:
        """Compare the calls that began from `since` on and before `until` (Unix nanoseconds), from the place `after` on, for about so long.

        Raises:
            StoreUnavailable: the store is away.
        """
        end = self._clock() + seconds
        audit = Audit(place=after)
        while audit.place is not None:
            spans, audit.place = self._store.calls_between(since, until, audit.place, BATCH, status="reported")
            audit.scanned += len(spans)
            for span in spans:
                self._compare(span, audit)
            if self._clock() >= end:
                break
        return audit

    def _compare(self, span: Span, audit: Audit) -> None:
        if span.usage is None or span.cost is None:
            return
        # Without the provider's figure, so that ours is reckoned.
        ours = self._price(replace(span, usage=replace(span.usage, reported_cost=None)))
        where = (span.upstream, span.served_model or span.model or "")
        audit.models.setdefault(where, Compared(*where)).add(span, span.cost, ours.pico)
