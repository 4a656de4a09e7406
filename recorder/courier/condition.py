"""The condition of one destination: whether anything may be sent to it now, and if not, when and why."""

from random import Random

from recorder.courier.backoff import full_jitter
from recorder.courier.breaker import Breaker

LONGEST_PAUSE = 3600.0
SHORTEST_PAUSE = 0.5
BELIEVED, LONGEST_PATIENCE = 5, 30.0
# A plan that is used up or a full store mends slower than a wrong key.
PROBE_MISCONFIGURED, PROBE_USED_UP = 180.0, 900.0
_USED_UP = frozenset({402, 507})
STUMBLE = 5.0
# So many deliveries refused one after the other, with none taken in between, and the destination is the reason rather than they: a wrong setting, a
# proxy before it. A whole batch may be poison; and where nine in ten are, only one such row in two hundred has none that is taken.
REFUSED_IN_A_ROW = 50
# One that is refused meanwhile steps back, so that the next tries are made with others: with twenty, as far apart as tries are.
STEP_BACK = 3600.0


class Condition:
    """Times are seconds of a clock that only goes forward."""

    def __init__(self, random: Random) -> None:
        self.breaker = Breaker()
        self.misconfigured_since: float | None = None
        self.disabled = False
        self._random = random
        self._paused_until = 0.0
        self._throttles = 0
        self._refused = 0

    @property
    def refuses_all(self) -> bool:
        """Whether it refuses whatever it is sent."""
        return self._refused >= REFUSED_IN_A_ROW

    @property
    def narrow(self) -> bool:
        """Whether only a probe may be sent: one request, with one delivery."""
        return self.breaker.opened_at is not None or self.misconfigured_since is not None

    def paused_for(self, now: float) -> float:
        """Return for how many seconds nothing is sent, whatever the breaker says."""
        return max(self._paused_until - now, 0.0)

    def wait(self, now: float) -> float | None:
        """Return in how many seconds something may be sent, 0 for now; None where that depends on something else than time."""
        if self.disabled:
            return None
        breaker = self.breaker.wait(now)
        return None if breaker is None else max(breaker, self.paused_for(now))

    def down_for(self, now: float) -> float:
        """Return for how many seconds it has been open; for ever where it waits for somebody to change something."""
        if self.disabled or self.misconfigured_since is not None:
            return float("inf")
        return 0.0 if self.breaker.opened_at is None else now - self.breaker.opened_at

    def try_now(self) -> None:
        """Forget what is in the way: somebody asked for it, or changed something."""
        self.disabled = False
        self._paused_until = 0.0
        self.breaker.probe_now()

    def answered(self, *, taken: bool) -> bool:
        """Note that it answered as one that works, and whether it took something; return whether that was the end of its trouble."""
        was = self.narrow
        self.breaker.succeeded()
        self._throttles = 0
        if taken:
            self._refused = 0
        elif self.refuses_all:
            return False
        if self.misconfigured_since is not None:
            self._paused_until = 0.0
        self.misconfigured_since = None
        self.disabled = False
        return was

    def refused(self, now: float, count: int = 1) -> bool:
        """Note that it refused deliveries for good; return whether that is about them. Once it refuses everything, it is not."""
        if self.refuses_all:
            self._pause(now, PROBE_MISCONFIGURED)
            return False
        self._refused += count
        return True

    def failed(self, now: float, *, probe: bool) -> bool:
        """Note that it did not answer, or with an error of its own; return whether that opened the breaker."""
        opened = self.breaker.failed(now, probe=probe)
        if self.misconfigured_since is not None:
            self._pause(now, PROBE_MISCONFIGURED)
        elif self.breaker.opened_at is None:
            self._pause(now, full_jitter(self.breaker.failures, self._random))
        return opened

    def throttled(self, now: float, retry_after: float | None) -> None:
        """Note that it has too much to do, and when it wants to be asked again (at most an hour is believed)."""
        self._throttles += 1
        wish = retry_after
        if wish is None or wish != wish:  # noqa: PLR0124 - not a number
            wish = max(full_jitter(self._throttles, self._random), SHORTEST_PAUSE)
        self._pause(now, min(max(wish, self._patience()), LONGEST_PAUSE))
        self.breaker.abandoned()

    def _patience(self) -> float:
        """Return the least pause: one that always says `Retry-After: 0`, and never takes anything, is not asked without end."""
        again = self._throttles - BELIEVED
        return 0.0 if again <= 0 else min(SHORTEST_PAUSE * 2 ** min(again, 10), LONGEST_PATIENCE)

    def misconfigured(self, now: float, *, status: int | None, gone: bool) -> bool:
        """Note that it takes nothing until somebody changes something; return whether that is news."""
        news = self.misconfigured_since is None or (gone and not self.disabled)
        if self.misconfigured_since is None:
            self.misconfigured_since = now
        self.disabled = self.disabled or gone
        self._pause(now, PROBE_USED_UP if status in _USED_UP else PROBE_MISCONFIGURED)
        self.breaker.abandoned()
        return news

    def stumbled(self, now: float) -> None:
        """Note that something of ours went wrong: go on, but not at once."""
        self._pause(now, STUMBLE)
        self.breaker.abandoned()

    def _pause(self, now: float, seconds: float) -> None:
        self._paused_until = max(self._paused_until, now + seconds)
