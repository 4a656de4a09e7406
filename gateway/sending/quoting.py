"""What a call would cost at each of several upstreams, by the prices that the gate knows: for routes to the cheapest."""

from pathlib import Path

from domain.errors import GatewayError
from gateway.budgets.bounding import Bounding
from gateway.budgets.hold import Asking, requested_by
from gateway.budgets.prices import PricesInForce

# What an answer is taken to be long, in tokens, where the request does not bound it further.
USUAL_OUTPUT = 1_000


class Quotes:
    """Quotes prices. The list is read when the first call asks, and again when it has changed."""

    def __init__(self, data: Path) -> None:
        """Find the published prices in the data folder."""
        self._prices = PricesInForce(data)
        self._book = self._prices()
        self._bounding = Bounding(self._book)

    def refresh(self) -> None:
        """Take the prices that the office published since."""
        book = self._prices()
        if book is not self._book:
            self._book = book
            self._bounding.take(book)

    def quote(self, asking: Asking, now: float) -> int | None:
        """Return what a call costs there, in nano-USD, if its answer is as long as answers are; None where that is not known. `now`: Unix seconds."""
        try:
            wanted = requested_by(asking)
        except GatewayError:
            return None
        bound = self._bounding.bound(wanted, asking.upstream, asking.model, asking.key, now)
        return None if bound.unpriced or wanted.open_cost is not None else bound.slice_nano(USUAL_OUTPUT)
