"""The bound of a call at each upstream that it may go to: prices and limits are looked up once a minute, not once a call."""

from dataclasses import dataclass

from domain.keys import ApiKey
from domain.upstreams import Upstream
from pricing.book import PriceBook
from pricing.bounds import FREE, NO_PRICE, NOTHING_TO_PAY, Bound, Requested, Tariff, bound_of, profile_of, tariff_of
from pricing.cards import PriceCard
from pricing.limits import limits_of

FRESH_SECONDS = 60.0
# A call that is sent now may be billed at the price that holds when it ends.
AHEAD_SECONDS = 600.0
MOST_KNOWN, LONGEST_KNOWN = 1024, 512
# The most that a simulated model can be asked to say, in tokens; what it echoes is not longer than that either.
MOST_SIMULATED = 100_000
NANOSECONDS = 10**9


@dataclass(slots=True)
class _Known:
    tariff: Tariff
    limits: tuple[int | None, int | None]
    until: float


class Bounding:
    """Works out bounds."""

    def __init__(self, book: PriceBook) -> None:
        """Take the prices."""
        self._book = book
        self._known: dict[tuple[object, ...], _Known] = {}

    def take(self, book: PriceBook) -> None:
        """Use other prices from now on."""
        self._book = book
        self._known = {}

    def bound(self, requested: Requested, upstream: Upstream, model: str | None, key: ApiKey, now: float) -> Bound:
        """Return the most that a call can cost at `upstream`; `now` is in Unix seconds."""
        if requested.kind == "free":
            return FREE
        if model is None:
            return bound_of(requested, None, NO_PRICE, None, None)
        if not requested.other_models:
            return self._one(requested, upstream, model, key, now)
        return _worst([self._one(requested, upstream, name, key, now) for name in (model, *requested.other_models)])

    def _one(self, requested: Requested, upstream: Upstream, model: str, key: ApiKey, now: float) -> Bound:
        known = self._of(requested, upstream, model, key, now)
        return bound_of(requested, model, known.tariff, *known.limits)

    def _of(self, requested: Requested, upstream: Upstream, model: str, key: ApiKey, now: float) -> _Known:
        name = (upstream.name, model, key.id, *profile_of(requested))
        known = self._known.get(name)
        if known is None or now >= known.until:
            known = self._looked_up(requested, upstream, model, key, now)
            if len(model) > LONGEST_KNOWN:
                return known
            if len(self._known) >= MOST_KNOWN:
                self._known = {}
            self._known[name] = known
        return known

    def _looked_up(self, requested: Requested, upstream: Upstream, model: str, key: ApiKey, now: float) -> _Known:
        cards: dict[str, PriceCard] = {}
        for at in (now, now + AHEAD_SECONDS):
            nanoseconds = int(at * NANOSECONDS)
            for card in self._cards_at(requested, upstream, model, key, nanoseconds):
                cards[card.ref] = card
        if upstream.scheme == "sim":
            # Free, unless the operator gave it a price of his own.
            tariff = tariff_of(requested, cards.values()) if cards else NOTHING_TO_PAY
            return _Known(tariff, (None, MOST_SIMULATED), now + FRESH_SECONDS)
        return _Known(
            tariff_of(requested, cards.values()),
            limits_of(self._book.snapshot, upstream.name, upstream.host, model),
            now + FRESH_SECONDS,
        )

    def _cards_at(self, requested: Requested, upstream: Upstream, model: str, key: ApiKey, at: int) -> list[PriceCard]:
        book, host = self._book, upstream.host + upstream.base_path
        found = list(
            book.cards(upstream=upstream.name, model=model, at=at, host=host, key=key.id, key_name=key.name, project=key.project)
        )
        # Where a workspace's own place is not known, the one that costs more counts.
        geo = requested.geo or ("us" if upstream.dialect == "anthropic" else None)
        if geo is not None or requested.speed is not None:
            one = book.card(
                upstream=upstream.name,
                model=model,
                at=at,
                host=host,
                key=key.id,
                key_name=key.name,
                project=key.project,
                geo=geo,
                speed=requested.speed,
            )
            found += [one] if one is not None else []
        return found


def _worst(bounds: list[Bound]) -> Bound:
    """Return what bounds every one of several models that may answer."""
    without = next((one for one in bounds if one.nano is None), None)
    worst = max(bounds, key=lambda one: one.nano or 0) if without is None else without
    tokens = [one.tokens for one in bounds]
    known = [count for count in tokens if count is not None]
    return Bound(
        worst.nano,
        max(known) if len(known) == len(tokens) else None,
        max(one.input_tokens for one in bounds),
        worst.output_tokens,
        max(one.input_nano for one in bounds),
        max(one.output_atto for one in bounds),
        worst.why,
        worst.unpriced,
    )
