"""The breaker of one destination: after some failures in a row it opens, and lets through one request now and then until one is taken."""

from typing import Literal

OPENS_AFTER = 5
FIRST_PROBE, LONGEST_PROBE = 1.0, 30.0

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """Times are seconds of a clock that only goes forward. Whoever sends asks `wait` first, and says `probing` as it sends while open."""

    def __init__(self) -> None:
        self.failures = 0
        self.opened_at: float | None = None
        self._probe_after = FIRST_PROBE
        self._probe_at = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Closed: all may be sent. Open: nothing, for the moment. Half-open: a probe is under way."""
        if self.opened_at is None:
            return "closed"
        return "half-open" if self._probing else "open"

    def wait(self, now: float) -> float | None:
        """Return in how many seconds a request may be sent; None while a probe is under way."""
        if self.opened_at is None:
            return 0.0
        return None if self._probing else max(self._probe_at - now, 0.0)

    def probing(self) -> None:
        """Note that a request is sent; while open, it is the one probe."""
        self._probing = self.opened_at is not None

    def probe_now(self) -> None:
        """Let the next probe through at once: somebody asked for it."""
        self._probe_at = 0.0
        self._probe_after = FIRST_PROBE

    def abandoned(self) -> None:
        """Note that a probe came to nothing: there was nothing to send, or it was given up."""
        self._probing = False

    def succeeded(self) -> bool:
        """Note that the destination answered as one that works; return whether that closed the breaker."""
        was_open = self.opened_at is not None
        self.failures = 0
        self.opened_at = None
        self._probing = False
        self._probe_after = FIRST_PROBE
        return was_open

    def failed(self, now: float, *, probe: bool = False) -> bool:
        """Note a failure; return whether it opened the breaker. What was sent before it opened says nothing new while it is open."""
        self.failures += 1
        if self.opened_at is None:
            if self.failures < OPENS_AFTER:
                return False
            self.opened_at = now
            self._probe_after = FIRST_PROBE
            self._probe_at = now + self._probe_after
            return True
        if probe:
            self._probing = False
            self._probe_after = min(self._probe_after * 2, LONGEST_PROBE)
            self._probe_at = now + self._probe_after
        return False
