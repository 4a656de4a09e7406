"""The pace of one destination: how many deliveries in a request, how many bytes, and how many requests at once. It grows slowly and falls by half."""

from domain.destinations import Limits

MOST_PARALLEL = 8
_GROWTH = 8
_LEAST_BYTES = 16 * 1024


class Pace:
    """Additive increase, multiplicative decrease, within a destination's limits.

    A destination that has too much to do gets fewer requests at once, but batches as large as before: smaller ones would be more requests for the
    same spans, which is what it complained of.
    """

    def __init__(self, limits: Limits) -> None:
        self._items = max(limits.items, 1)
        self._bytes = max(limits.body_bytes, 1)
        self._most_parallel = max(min(limits.parallel, MOST_PARALLEL), 1)
        self._batch = float(self._items)
        self._parallel = 1.0
        self._body = float(self._bytes)
        self._ratio = 1.0

    @property
    def batch(self) -> int:
        """The most deliveries in one request now."""
        return int(self._batch)

    @property
    def parallel(self) -> int:
        """The most requests at once now."""
        return int(self._parallel)

    @property
    def recorded_bytes(self) -> int:
        """The most recorded bytes to take for one request, as payloads came out lately."""
        return int(self._body / self._ratio)

    def encoded(self, recorded: int, payload: int) -> None:
        """Learn how many bytes of a payload come of recorded ones."""
        if recorded > 0:
            self._ratio += (min(max(payload / recorded, 0.25), 16.0) - self._ratio) / 8

    def succeeded(self) -> None:
        """Note that a request was taken: a little more next time."""
        self._batch = min(self._batch + max(self._items / _GROWTH, 1.0), self._items)
        self._parallel = min(self._parallel + 1.0 / self._parallel, self._most_parallel)
        self._body = min(self._body + self._bytes / _GROWTH, self._bytes)

    def failed(self) -> None:
        """Note that a request failed, or was not answered in time: half as much."""
        self._batch = max(self._batch / 2, 1.0)
        self._parallel = max(self._parallel / 2, 1.0)

    def throttled(self) -> None:
        """Note that it has too much to do: fewer requests, of the same size."""
        self._parallel = 1.0

    def too_large(self) -> None:
        """Note that a body was too large: half the bytes."""
        self._body = max(self._body / 2, min(_LEAST_BYTES, self._bytes))
