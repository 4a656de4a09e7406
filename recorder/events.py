"""Events: what happened to the gateway itself, told to whom rules say, through the same queue and courier as spans."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from domain.deliveries import Owed
from domain.errors import StoreUnavailable
from domain.events import Event

log = logging.getLogger(__name__)

# A destination in trouble does not hear of its own trouble: that would be one more thing it owes an answer to, and never gives.
_OF_ITS_OWN = frozenset({"destination.failing", "destination.misconfigured", "deliveries.dead"})


class EventQueue(Protocol):
    """Where events are owed (`domain.deliveries.DeliveryQueue`)."""

    def owe_event(self, event: Event, destinations: Sequence[Owed], /) -> bool:
        """Save an event that is owed to destinations; return False where it was saved before."""


def _nobody() -> None:
    """Wake nobody."""


class Events:
    """Owes events to destinations. Its method may be called from any thread."""

    def __init__(
        self, queue: EventQueue, rules: Callable[[Event], Sequence[Owed]], *, woken: Callable[[], None] = _nobody
    ) -> None:
        """Take where events are owed, what says to whom, and what is woken when one was owed."""
        self._queue = queue
        self._rules = rules
        self._woken = woken

    def tell(self, event: Event) -> bool:
        """Owe an event to whom rules say; return whether that is new. The same event, by its id, is told once, however often this is called.

        Raises:
            StoreUnavailable: nothing was owed; the same can be told again.

        """
        owed = self._owed(event)
        if not owed:
            return False
        try:
            new = self._queue.owe_event(event, owed)
        except StoreUnavailable:
            raise
        except Exception:
            # Whoever noticed it has work of its own to go on with, such as settling.
            log.exception("the event %s (%s) cannot be told", event.id, event.type)
            return False
        if new:
            self._woken()
        return new

    def _owed(self, event: Event) -> list[Owed]:
        try:
            owed = self._rules(event)
        except Exception:
            log.exception("the rules cannot say who is to hear of the event %s (%s)", event.id, event.type)
            return []
        return [one for one in owed if not (event.type in _OF_ITS_OWN and one.destination == event.subject)]
