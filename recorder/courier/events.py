"""What the courier tells of destinations: that one fails, is well again, or wants its settings looked at, and that deliveries died. Once for each change."""

import logging
from collections.abc import Callable
from typing import Any

from domain.events import Event, Severity

log = logging.getLogger(__name__)

FLOOR = 900.0
_FLOOR_NS = int(FLOOR * 10**9)

Tell = Callable[[Event], Any]


class Herald:
    """Makes the events of one destination. Times are Unix nanoseconds.

    The same trouble is told at most once in a quarter of an hour, by whichever office notices: its id follows from the quarter.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: dict[str, int] = {}
        self._in_trouble = False
        self._dead: dict[str, int] = {}

    def failing(self, now: int, error: str) -> Event | None:
        """Return what to tell as the breaker opens, if anything."""
        return self._trouble("destination.failing", now, f"The destination {self._name!r} fails: {error}", error)

    def misconfigured(self, now: int, error: str, *, gone: bool) -> Event | None:
        """Return what to tell when it wants its settings looked at, if anything."""
        what = "is gone, and nothing is sent to it any more" if gone else "takes nothing; its deliveries wait"
        return self._trouble(
            "destination.misconfigured", now, f"The destination {self._name!r} {what}: {error}", error, severity="error"
        )

    def recovered(self, now: int) -> Event | None:
        """Return what to tell when it takes deliveries again, where the trouble was told."""
        if not self._in_trouble:
            return None
        self._in_trouble = False
        return self._event("destination.recovered", now, "info", f"The destination {self._name!r} takes deliveries again.", {})

    def died(self, kind: str, count: int = 1) -> None:
        """Count deliveries that died; `dead` tells of them."""
        self._dead[kind] = self._dead.get(kind, 0) + count

    def dead(self, now: int) -> Event | None:
        """Return what to tell of those that died since the last time, where it is time to."""
        if not self._dead or not self._may("deliveries.dead", now):
            return None
        counts, self._dead = self._dead, {}
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        message = f"Deliveries to {self._name!r} died: {kinds}. See `faregate destinations failed {self._name}`."
        return self._event("deliveries.dead", now, "error", message, {"dead": counts})

    def _trouble(self, type_: str, now: int, message: str, error: str, *, severity: Severity = "warning") -> Event | None:
        if not self._may(type_, now):
            return None
        self._in_trouble = True
        return self._event(type_, now, severity, message, {"error": error})

    def _may(self, type_: str, now: int) -> bool:
        last = self._told.get(type_)
        if last is not None and 0 <= now - last < _FLOOR_NS:
            return False
        self._told[type_] = now
        return True

    def _event(self, type_: str, now: int, severity: Severity, message: str, data: dict[str, Any]) -> Event:
        return Event(
            f"{type_}:{self._name}:{now // _FLOOR_NS}",
            type_,
            now,
            severity,
            self._name,
            message,
            {"destination": self._name, **data},
        )
