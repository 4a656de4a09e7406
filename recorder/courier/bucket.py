"""A bucket of permits that fills at a rate: how fast a replay may go."""


class Bucket:
    """Permits come at `rate` a second, and at most those of one second are kept. Times are seconds of a clock that only goes forward."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._held = 0.0
        self._at = now

    def available(self, now: float) -> int:
        """Return how many there are."""
        self._held = min(self._held + max(now - self._at, 0.0) * self._rate, max(self._rate, 1.0))
        self._at = now
        return int(self._held)

    def take(self, count: int) -> None:
        """Take some. More than there are delay those that come later."""
        self._held -= count

    def wait(self, now: float, count: int) -> float:
        """Return in how many seconds there will be `count`, or as many as are ever kept."""
        self.available(now)
        return max(min(count, max(self._rate, 1.0)) - self._held, 0.0) / self._rate

    def at_rate(self, rate: float) -> None:
        """Fill at another rate from now on."""
        self._rate = rate
