"""How a destination stands, as the courier sees it: for people, `/api/v1/destinations` and `/metrics`."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from recorder.courier.breaker import BreakerState

LaneState = Literal["idle", "sending", "waiting", "failing", "open", "misconfigured", "disabled"]
LAG_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class Lag:
    """How long deliveries waited from being owed to being taken, live ones only. Buckets are (at most seconds, how many in all up to there)."""

    buckets: tuple[tuple[float, int], ...] = tuple((bound, 0) for bound in LAG_BUCKETS)
    total_seconds: float = 0.0
    count: int = 0


class LagMeter:
    """Counts lags."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LAG_BUCKETS) + 1)
        self._total = 0.0

    def note(self, seconds: float) -> None:
        """Count one. A clock that jumped may make it less than nothing."""
        waited = max(seconds, 0.0)
        self._counts[bisect_left(LAG_BUCKETS, waited)] += 1
        self._total += waited

    def lag(self) -> Lag:
        """Return what was counted."""
        so_far, buckets = 0, []
        for bound, count in zip(LAG_BUCKETS, self._counts, strict=False):
            so_far += count
            buckets.append((bound, so_far))
        return Lag(tuple(buckets), self._total, so_far + self._counts[-1])


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """How one destination stands.

    Times are Unix nanoseconds, None where there is none. Counts are since the start of this office, but for the first four and `refused`, which are
    of the store. `why` is one sentence; no field holds content or credentials.
    """

    name: str
    state: LaneState
    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    refused: int = 0
    oldest_at: int | None = None
    why: str = ""
    since: int | None = None
    last_ok_at: int | None = None
    last_error: str | None = None
    last_error_at: int | None = None
    paused_until: int | None = None
    breaker: BreakerState = "closed"
    batch: int = 0
    parallel: int = 0
    in_flight: int = 0
    attempts: int = 0
    failures: int = 0
    sent_bytes: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    lag: Lag = field(default_factory=Lag)


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of a test call or event. `took` is seconds, from owed to answered; `look_at` says where to find it."""

    __test__: ClassVar[bool] = False  # pytest takes classes of such names for tests

    ok: bool
    message: str
    status: int | None = None
    took: float = 0.0
    call_id: str = ""
    trace_id: str = ""
    look_at: str = ""
