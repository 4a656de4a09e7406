"""What calls cost, for the recorder as they end, and for whoever prices recorded calls again."""

from collections.abc import Callable, Mapping

from domain.calls import Call
from domain.exchange import Exchange
from domain.prices import Cost
from domain.spans import Span
from pricing.book import PriceBook
from pricing.costing import Place, cost_at
from pricing.overrides import Caller

# A call that was sent to nobody, or answered by the simulated provider, keeps that for ever.
_SETTLED = frozenset({"none"})


class Pricer:
    """Prices calls by the book in force."""

    def __init__(self, book: Callable[[], PriceBook], hosts: Mapping[str, str]) -> None:
        """Take what gives the current book, and the address (host and path) of each upstream by its name."""
        self._book = book
        self._hosts = hosts

    def of_call(self, exchange: Exchange, call: Call, upstream: str) -> Cost:
        """Return what a call cost that `upstream` answered. Never raises."""
        opening = exchange.opening
        caller = Caller((opening.key, opening.key_name), opening.project)
        return cost_at(call, Place(upstream, opening.at, self._hosts.get(upstream), opening.path, caller), self._book())

    def of_span(self, span: Span) -> Cost:
        """Return what a recorded call costs by the book in force now, at the prices of the time when it was made."""
        if span.cost_status in _SETTLED or span.upstream == "sim":
            return Cost(span.cost_status, span.cost, span.cost_lines, span.price_ref)
        call = Call(span.operation, span.outcome, model=span.model, served_model=span.served_model, usage=span.usage)
        caller = Caller((span.key, span.key_name), span.project)
        return cost_at(
            call, Place(span.upstream, span.started_at, self._hosts.get(span.upstream), span.path, caller), self._book()
        )
