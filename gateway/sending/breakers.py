"""Circuit breakers: a target that fails is left out for a while, then one call may try whether it is well again.

    closed ─ 5 failures in a row, or a refused credential ─► open ─ its time is over ─► half-open: one call ─ it is answered ─► closed
                                                              ▲───────────── it fails ────────────────┘

Left out means last, not never: where there is no other target, the call goes there all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite, nan
from time import monotonic

from gateway.sending.routes import Target
from gateway.wire.answer import Answer

MOVE_ON = frozenset({401, 402, 403, 429, 500, 502, 503, 504, 529})
REFUSED_CREDENTIAL = frozenset({401, 402, 403})
FAILURES_TO_BREAK = 5
FIRST_BREAK = 5.0
LONGEST_BREAK = 60.0


@dataclass(slots=True)
class Health:
    """How a target did lately. `tripped`: when its time is over, it must prove itself first; `probing`: a call is doing that now."""

    failures: int = 0
    out_until: float = 0.0
    tripped: bool = False
    probing: bool = False


class Breakers:
    """One breaker for each upstream and credential. `ill` are those that something is known against; most of the time there are none."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Count seconds by `clock`."""
        self._clock = clock
        self.ill: dict[tuple[str, str], Health] = {}

    def is_out(self, target: Target) -> bool:
        """Return whether a target is left out now."""
        health = self.ill.get(_name(target))
        return health is not None and (health.out_until > self._clock() or health.probing)

    def why(self, target: Target) -> str | None:
        """Return why a target is left out, for people; None if it is not."""
        health = self.ill.get(_name(target))
        if health is None or not self.is_out(target):
            return None
        left = health.out_until - self._clock()
        if left <= 0:
            return "another call tries whether it is well again"
        reason = f"after {health.failures} failures" if health.failures else "as it asked to be left alone"
        return f"left out for {left:.0f} s {reason}"

    def begins(self, target: Target) -> None:
        """Know that a call is sent to a target: where it is half-open, this one proves it."""
        health = self.ill.get(_name(target))
        if health is not None and health.tripped and health.out_until <= self._clock():
            health.probing = True

    def ends(self, target: Target) -> None:
        """Know that a call came to no verdict about a target: its caller left."""
        health = self.ill.get(_name(target))
        if health is not None:
            health.probing = False

    def answered(self, target: Target, answer: Answer) -> None:
        """Judge a target by its answer."""
        if answer.status not in MOVE_ON:
            self._is_there(target, answer)
            return
        if answer.status == 429:  # noqa: PLR2004
            health = self._of(target)
            health.probing = False
            health.out_until = self._clock() + min(retry_after(answer), LONGEST_BREAK)
        elif answer.status in REFUSED_CREDENTIAL:
            health = self._of(target)
            health.probing, health.tripped = False, True
            health.out_until = self._clock() + LONGEST_BREAK
        else:
            self.failed(target)

    def _is_there(self, target: Target, answer: Answer) -> None:
        """Forgive a target that serves calls again. One that was out, and finds fault with the call alone, is well too."""
        health = self.ill.get(_name(target))
        if health is not None and (answer.status < 400 or health.tripped):  # noqa: PLR2004 - HTTP's own line
            del self.ill[_name(target)]

    def failed(self, target: Target) -> None:
        """Know that a target gave no answer, or one that says that it is not well."""
        health = self._of(target)
        health.probing = False
        health.failures += 1
        if health.failures >= FAILURES_TO_BREAK:
            health.tripped = True
            pause = min(FIRST_BREAK * 2 ** min(health.failures - FAILURES_TO_BREAK, 10), LONGEST_BREAK)
            health.out_until = self._clock() + pause

    def _of(self, target: Target) -> Health:
        return self.ill.setdefault(_name(target), Health())


def retry_after(answer: Answer) -> float:
    """Return how many seconds the upstream asks to be left alone; 1 where it does not say, or not in seconds."""
    asked = asked_pause(answer)
    return 1.0 if asked is None else asked


def asked_pause(answer: Answer) -> float | None:
    """Return how many seconds the upstream asks to be left alone, if it says so."""
    for name, value in answer.headers:
        lower = name.lower()
        if lower not in {b"retry-after", b"retry-after-ms"}:
            continue
        try:
            seconds = float(value) / (1000 if lower == b"retry-after-ms" else 1)
        except ValueError:
            seconds = _until(value, answer)
        if isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _until(moment: bytes, answer: Answer) -> float:
    """Return how many seconds a date is away, by the clock of the upstream itself; nan where that is not told."""
    sent = next((value for name, value in answer.headers if name.lower() == b"date"), b"")
    try:
        there, here = (parsedate_to_datetime(value.decode("latin-1")) for value in (moment, sent))
        return max((there - here).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):  # no dates, or one of them without a zone
        return nan


def _name(target: Target) -> tuple[str, str]:
    return target.upstream.name, target.credential.name
