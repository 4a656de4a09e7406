"""What was tried at one destination, and how that went: numbers for status and metrics."""

from collections import Counter

from domain.deliveries import Delivered, Outcome
from recorder.courier.clock import NANOSECONDS
from recorder.courier.status import LagMeter


class Tally:
    """Counts since the start of this office. Times are Unix nanoseconds."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.attempts = 0
        self.sent_bytes = 0
        self.lag = LagMeter()
        self.last_ok_at: int | None = None
        self.last_error: str | None = None
        self.last_error_at: int | None = None

    @property
    def failures(self) -> int:
        """How many requests were not taken. Any thread may ask, so it looks at a copy."""
        return sum(count for kind, count in dict(self.outcomes).items() if kind != "delivered")

    def trying(self, size: int) -> None:
        """Count a request that goes out, with a body of so many bytes before compression."""
        self.attempts += 1
        self.sent_bytes += size

    def note(self, outcome: str, status: int | None, error: str | None, now: int) -> None:
        """Count a request that ended."""
        self.outcomes[outcome] += 1
        if error is None:
            self.last_ok_at = now
        else:
            self.last_error = error if status in {None, 0} or str(status) in error else f"HTTP {status}: {error}"
            self.last_error_at = now

    def ended(self, outcome: Outcome) -> None:
        """Note that a delivery ended, or waits again."""
        if isinstance(outcome, Delivered) and outcome.claim.lane == "live":
            self.lag.note((outcome.at - outcome.claim.owed_at) / NANOSECONDS)
