"""How one destination stands: what is counted, what is told of it, and its status."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from domain.deliveries import Counts, Dead, Outcome
from domain.destinations import Misconfigured, Unavailable
from domain.events import Event
from recorder.courier.clock import NANOSECONDS, Clock
from recorder.courier.condition import REFUSED_IN_A_ROW, Condition
from recorder.courier.events import Herald
from recorder.courier.pace import Pace
from recorder.courier.status import DestinationStatus, LaneState
from recorder.courier.tally import Tally

log = logging.getLogger(__name__)


class Standing:
    """Hears of what happens at one destination. `say` takes events, and does not wait."""

    def __init__(self, name: str, condition: Condition, pace: Pace, clock: Clock, say: Callable[[Event], None]) -> None:
        """Take what it tells of."""
        self.tally = Tally()
        self.counts = Counts()
        self.in_flight = 0
        self._name = name
        self._condition = condition
        self._pace = pace
        self._clock = clock
        self._say = say
        self._herald = Herald(name)
        self._watched: dict[str, asyncio.Future[Outcome]] = {}
        self._since: int | None = None

    def watch(self, id_: str) -> "asyncio.Future[Outcome]":
        """Return what will be the next outcome of one call or event."""
        watcher: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._watched[id_] = watcher
        watcher.add_done_callback(lambda _: self._watched.pop(id_, None))
        return watcher

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """Hear of outcomes that were written down."""
        died = False
        for outcome in outcomes:
            self.tally.ended(outcome)
            event = outcome.claim.event
            if isinstance(outcome, Dead) and outcome.kind != "dropped" and (event is None or event.type != "deliveries.dead"):
                self._herald.died(outcome.kind)
                died = True
            if self._watched:
                self._tell_watcher(outcome)
        if died:
            self.tell_of_dead()

    def tell_of_dead(self) -> None:
        """Tell of deliveries that died, where it is time to."""
        self._say_if(self._herald.dead(self._clock.now()))

    def troubled(self, error: Misconfigured | Unavailable) -> None:
        """Hear that it is in trouble."""
        now = self._since = self._clock.now()
        if isinstance(error, Misconfigured):
            log.warning("the destination %r wants its settings looked at: %s", self._name, error.message)
            self._say_if(self._herald.misconfigured(now, error.message, gone=error.gone))
        else:
            log.warning("the destination %r fails: %s", self._name, error.message)
            self._say_if(self._herald.failing(now, error.message))

    def well(self) -> None:
        """Hear that it is out of trouble."""
        now = self._since = self._clock.now()
        log.info("the destination %r takes deliveries again", self._name)
        self._say_if(self._herald.recovered(now))

    def status(self) -> DestinationStatus:
        """Return how it stands. May be called from any thread."""
        tally, counts, condition = self.tally, self.counts, self._condition
        paused = condition.paused_for(self._clock.monotonic())
        state, why = self._state(paused)
        return DestinationStatus(
            name=self._name,
            state=state,
            accepted=counts.accepted,
            delivered=counts.delivered,
            pending=counts.pending,
            dead=counts.dead,
            refused=counts.refused,
            oldest_at=counts.oldest,
            why=why,
            since=self._since,
            last_ok_at=tally.last_ok_at,
            last_error=tally.last_error,
            last_error_at=tally.last_error_at,
            paused_until=self._clock.now() + int(paused * NANOSECONDS) if paused else None,
            breaker=condition.breaker.state,
            batch=self._pace.batch,
            parallel=self._pace.parallel,
            in_flight=self.in_flight,
            attempts=tally.attempts,
            failures=tally.failures,
            sent_bytes=tally.sent_bytes,
            outcomes=dict(tally.outcomes),
            lag=tally.lag.lag(),
        )

    def _state(self, paused: float) -> tuple[LaneState, str]:
        error = self.tally.last_error or ""
        if self._condition.misconfigured_since is not None or self._condition.disabled:
            return self._wants_looking_at(error)
        if self._condition.breaker.opened_at is not None:
            return "open", f"It fails, and is probed now and then: {error}"
        if failures := self._condition.breaker.failures:
            return "failing", f"It failed {failures} times in a row: {error}"
        if paused:
            return "waiting", f"Nothing is sent for {paused:.0f} s more: {error}"
        return ("sending", "") if self.in_flight else ("idle", "")

    def _wants_looking_at(self, error: str) -> tuple[LaneState, str]:
        if self._condition.disabled:
            return "disabled", f"It said that it is gone for good: {error}"
        if self._condition.refuses_all:
            return "misconfigured", f"It refuses whatever it is sent, {REFUSED_IN_A_ROW} deliveries in a row and more: {error}"
        return "misconfigured", f"It takes nothing until something is changed: {error}"

    def _tell_watcher(self, outcome: Outcome) -> None:
        claim = outcome.claim
        id_ = claim.span.id if claim.span is not None else "" if claim.event is None else claim.event.id
        watcher = self._watched.get(id_)
        if watcher is not None and not watcher.done():
            watcher.set_result(outcome)

    def _say_if(self, event: Event | None) -> None:
        if event is not None:
            self._say(event)
