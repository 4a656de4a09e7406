"""Price recorded calls again, by today's prices for the time when they were made.

Nothing is overwritten: what changes is written as an adjustment (see `storage.adjustments`), which names its run. Doing it again changes nothing more.
It goes in steps, so that whoever asks can show how far it is, stop, and go on; each step says where the next one begins.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from domain.prices import Cost
from domain.spans import CostStatus, Span
from recorder.spans import SIMULATED
from storage.adjustments import AdjustmentStore, Changed

Place = tuple[int, int]
START: Place = (-1, 0)
BATCH = 500
# What was never sent, or charged to another call, has no price; what the provider reported is no matter of ours.
_PRICED: frozenset[CostStatus] = frozenset({"exact", "estimated", "unknown", "free"})


@dataclass(slots=True)
class Moved:
    """How much the calls of one model at one upstream moved, in pico-USD. `became_known` had no price before, `became_unknown` has none now."""

    upstream: str
    model: str
    calls: int = 0
    old: int = 0
    new: int = 0
    became_known: int = 0
    became_unknown: int = 0

    def add(self, change: Changed) -> None:
        """Count one call."""
        before, after = change.before.cost, change.after.cost
        self.calls += 1
        self.old += before or 0
        self.new += after or 0
        self.became_known += before is None and after is not None
        self.became_unknown += before is not None and after is None


@dataclass(slots=True)
class Step:
    """What one step looked at and changed. `place` is where the next one begins, None at the end."""

    scanned: int = 0
    moved: dict[tuple[str, str], Moved] = field(default_factory=dict)
    place: Place | None = None

    @property
    def changed(self) -> int:
        """How many calls cost something else now."""
        return sum(moved.calls for moved in self.moved.values())


def _nothing(_changed: Sequence[Changed]) -> None:
    """Tell nobody."""


def _every(_span: Span) -> bool:
    return True


class Repricer:
    """Prices again what is in the store. `price` gives what a call costs now; `told` hears of what was changed, after it was written."""

    def __init__(
        self,
        store: AdjustmentStore,
        price: Callable[[Span], Cost],
        *,
        told: Callable[[Sequence[Changed]], None] = _nothing,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what it works with; `now` is Unix seconds, `clock` counts how long a step takes."""
        self._store = store
        self._price = price
        self._told = told
        self._now = now
        self._clock = clock

    def step(  # noqa: PLR0913 - what to look at, and how
        self,
        since: int,
        until: int,
        after: Place = START,
        *,
        run: str | None,
        matches: Callable[[Span], bool] = _every,
        seconds: float = 2.0,
    ) -> Step:
        """Look at the calls that began from `since` on and before `until` (Unix nanoseconds), from the place `after` on, for about so long.

        Without a `run` nothing is written: the answer says what would change.

        Raises:
            StoreUnavailable: the store is away. What was written is whole; the same step can be tried again.
        """
        end = self._clock() + seconds
        step = Step(place=after)
        while step.place is not None:
            spans, step.place = self._store.calls_between(since, until, step.place, BATCH)
            step.scanned += len(spans)
            self._reprice([span for span in spans if matches(span)], run, step)
            if self._clock() >= end:
                break
        return step

    def of(self, spans: Sequence[Span]) -> Step:
        """Return what would change about these calls."""
        step = Step(scanned=len(spans))
        self._reprice(spans, None, step)
        return step

    def _reprice(self, spans: Sequence[Span], run: str | None, step: Step) -> None:
        priced = [after for span in spans if (after := self._again(span)) is not None]
        if not priced:
            return
        if run is None:
            shown = {span.id: span for span in spans}
            changed: Sequence[Changed] = [Changed(shown[after.id], after) for after in priced]
        else:
            changed = self._store.adjust(priced, run=run, made_at=int(self._now() * 10**9))
            self._told(changed)
        for change in changed:
            where = (change.after.upstream, change.after.served_model or change.after.model or "")
            step.moved.setdefault(where, Moved(*where)).add(change)

    def _again(self, span: Span) -> Span | None:
        """Return a call as it costs now, None if that is what is shown of it."""
        if span.cost_status not in _PRICED or span.usage is None or span.upstream == SIMULATED:
            return None
        cost = self._price(span)
        if (cost.pico, cost.status) == (span.cost, span.cost_status):
            return None
        return replace(
            span,
            cost=cost.pico,
            cost_status=cost.status,
            price_ref=cost.ref,
            cost_lines=tuple(cost.lines),
            notes=_notes(span, cost),
        )


def _notes(span: Span, cost: Cost) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*span.notes, *cost.notes)))
