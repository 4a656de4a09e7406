"""What the office has counted, for Prometheus: it writes it to a file, and whichever gate worker is asked tells it (see `metrics`)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from domain.deliveries import Counts
from gateway.metrics import OFFICE_FILE, Sample, write_samples
from recorder.courier.status import DestinationStatus

NANOSECONDS = 10**9
_COUNTED = ("delivered", "refused")


class OfficeCounters:
    """The office's counters, as a file in the folder where the gate's workers have theirs. It belongs to one thread."""

    def __init__(self, run: Path, own: Callable[[], list[Sample]]) -> None:
        """Write what `own` returns to a file in `run`."""
        self._path = run / OFFICE_FILE
        self._own = own
        self._written = ""

    def write(self) -> None:
        """Write the counters, if they have changed.

        Raises:
            OSError: they cannot be written.
            StoreUnavailable: the store is away; the file stays as it was.

        """
        self._written = write_samples(self._path, self._own(), self._written)


def delivery_samples(counts: Mapping[str, Counts], status: Mapping[str, DestinationStatus], now: float) -> list[Sample]:
    """Return how deliveries stand, as samples: `counts` are the store's, `status` is the courier's. `now` is Unix seconds."""
    found: list[Sample] = []
    for name in sorted({*counts, *status}):
        found += _of_counts(name, counts.get(name, Counts()), now)
        if name in status:
            found += _of_status(name, status[name])
    return found


def _of_counts(name: str, counts: Counts, now: float) -> Iterator[Sample]:
    label = ("destination", name)
    for state in _COUNTED:
        yield "faregate_deliveries_total", (label, ("state", state)), getattr(counts, state)
    yield "faregate_deliveries_accepted", (label,), counts.accepted
    yield "faregate_deliveries_pending", (label,), counts.pending
    yield "faregate_deliveries_dead", (label,), counts.dead
    age = 0.0 if counts.oldest is None else max(now - counts.oldest / NANOSECONDS, 0.0)
    yield "faregate_delivery_oldest_age_seconds", (label,), round(age, 3)


def _of_status(name: str, status: DestinationStatus) -> Iterator[Sample]:
    label = ("destination", name)
    for outcome, count in sorted(status.outcomes.items()):
        yield "faregate_delivery_attempts_total", (label, ("outcome", outcome)), count
    yield "faregate_delivery_sent_bytes_total", (label,), status.sent_bytes
    yield "faregate_delivery_in_flight", (label,), status.in_flight
    yield "faregate_delivery_breaker_open", (label,), int(status.breaker != "closed")
    yield "faregate_destination_state", (label, ("state", status.state)), 1
    lag = status.lag
    for bound, count in lag.buckets:
        yield "faregate_delivery_lag_seconds_bucket", (label, ("le", f"{bound:g}")), count
    yield "faregate_delivery_lag_seconds_bucket", (label, ("le", "+Inf")), lag.count
    yield "faregate_delivery_lag_seconds_sum", (label,), lag.total_seconds
    yield "faregate_delivery_lag_seconds_count", (label,), lag.count
