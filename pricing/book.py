"""The book of prices: which card holds for a call.

Looking a card up again costs a dictionary's get: cards are kept by everything that they depend on, and by the day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from domain.prices import Override
from pricing.cards import PriceCard, Rate, card_of
from pricing.limits import limits_of
from pricing.names import LONGEST, names_of, provider_of
from pricing.overrides import Caller, edges_of, the_one_for
from pricing.resolving import DAY, NANOSECONDS, Moment, Prices, is_token, prices_of, tiers_of
from pricing.snapshot import Snapshot
from pricing.tiers import BATCH, Conditions, conditions_of

NO_MODEL = "no price for the model"
_MOST_CARDS = 4_096
_DAY = DAY * NANOSECONDS
_MOST_NAMES = 4_096
_EARLIEST, _LATEST = 0, 4_102_444_800 * NANOSECONDS  # 1970 to 2100


@dataclass(frozen=True, slots=True)
class Found:
    """A card, or why there is none. `since` and `until` are the times (Unix nanoseconds) between which that is so."""

    card: PriceCard | None
    why_not: str | None = None
    since: int = 0
    until: int = 0


# No model has a name as long as this, and no cache should hold it.
_NO_NAME = Found(None, NO_MODEL)


class PriceBook:
    """All prices: a snapshot, our corrections to it, and the operator's overrides.

    Thread safe: nothing in it changes but its caches, which hold values.
    """

    def __init__(self, snapshot: Snapshot, overrides: Sequence[Override] = ()) -> None:
        """Take what the prices come from."""
        self.snapshot = snapshot
        self._overrides = tuple(overrides)
        self._edges = edges_of(overrides)
        self._by_caller = any(one.key is not None or one.project is not None for one in overrides)
        self._found: dict[tuple[object, ...], Found] = {}
        self._providers: dict[tuple[str, str | None], str | None] = {}
        self._writing = Lock()

    @classmethod
    def packaged(cls) -> "PriceBook":
        """Return the prices that were installed with us. What a provider's models cost is read when somebody asks."""
        return cls(Snapshot.packaged())

    def with_overrides(self, overrides: Sequence[Override]) -> "PriceBook":
        """Return this book with `overrides` in the place of those that it has."""
        return PriceBook(self.snapshot, overrides)

    @property
    def overrides(self) -> tuple[Override, ...]:
        """The operator's prices."""
        return self._overrides

    def card(  # noqa: PLR0913 - a price depends on all of them
        self,
        *,
        upstream: str,
        model: str,
        at: int,
        host: str | None = None,
        key: str | None = None,
        key_name: str | None = None,
        project: str | None = None,
        tier: str | None = None,
        batch: bool = False,
        geo: str | None = None,
        speed: str | None = None,
    ) -> PriceCard | None:
        """Return the card for a call at `at` (Unix nanoseconds), None if the model, or the tier, has no price that is known.

        `tier`, `geo` and `speed` are those that served the call (None and "default" are the standard ones). `key` is the id of a key,
        `key_name` its name. `host` is that of the upstream's address, and its path if it has one.
        """
        caller = Caller((key or "", key_name or ""), project)
        return self.found(upstream, host, model, at, caller, conditions_of(tier, geo, speed, batch)).card

    def cards(  # noqa: PLR0913 - as above
        self,
        *,
        upstream: str,
        model: str,
        at: int,
        host: str | None = None,
        key: str | None = None,
        key_name: str | None = None,
        project: str | None = None,
    ) -> tuple[PriceCard, ...]:
        """Return the cards of every tier that has a price now, the standard one first, for upper bounds. Empty if the model has none."""
        caller = Caller((key or "", key_name or ""), project)
        found = (self.found(upstream, host, model, at, caller, tier) for tier in self._tiers(upstream, host, model, at, caller))
        return tuple(one.card for one in found if one.card is not None)

    def found(  # noqa: PLR0913, PLR0917 - as above; it is asked for every call, and names of arguments take time
        self, upstream: str, host: str | None, model: str, at: int, caller: Caller, conditions: Conditions
    ) -> Found:
        """Return the card for a call, or why there is none."""
        if len(model) > LONGEST:
            return _NO_NAME
        who = caller if self._by_caller else None
        identity = (upstream, host, model, who, conditions, at // _DAY)
        found = self._found.get(identity)
        if found is None or not found.since <= at < found.until:
            found = self._look_up(upstream, host, model, min(max(at, _EARLIEST), _LATEST), caller, conditions)
            with self._writing:
                if len(self._found) >= _MOST_CARDS:
                    self._found.clear()
                self._found[identity] = found
        return found

    def limits(self, upstream: str, host: str | None, model: str) -> tuple[int | None, int | None]:
        """Return the context window and the largest output of a model in tokens, each None where it is not known."""
        return limits_of(self.snapshot, upstream, host, model)

    def provider(self, upstream: str, host: str | None) -> str | None:
        """Return the provider whose list counts for an upstream, None if it is nobody's."""
        place = (upstream, host)
        if place not in self._providers:
            with self._writing:
                if len(self._providers) >= _MOST_NAMES:
                    self._providers.clear()
                self._providers[place] = provider_of(self.snapshot, upstream, host)
        return self._providers.get(place)

    def _look_up(  # noqa: PLR0913, PLR0917 - as above
        self, upstream: str, host: str | None, model: str, at: int, caller: Caller, conditions: Conditions
    ) -> Found:
        provider = self.provider(upstream, host)
        names = tuple(dict.fromkeys(names_of(provider, model, upstream)))
        moment = Moment(at)
        prices = None
        if provider is not None and names:
            prices = prices_of(self.snapshot, provider, names, moment, conditions, (host or "").lower())
        known = (*names, *((prices.model,) if prices is not None else ()))
        override = the_one_for(self._overrides, upstream, known, caller, at) if known else None
        if override is not None and override.same_as is not None and provider is not None:
            other = prices_of(self.snapshot, provider, (override.same_as.lower(),), moment, conditions, (host or "").lower())
            prices = other or prices
        since, until = self._span(prices, at)
        if prices is None and override is None:
            return Found(None, NO_MODEL, since, until)
        return _carded(self.snapshot.ref, prices, override, names[0], conditions, (since, until))

    def _span(self, prices: Prices | None, at: int) -> tuple[int, int]:
        """Return from when until when what was found for `at` is so: within its day, and between the edges of the overrides."""
        day = at // _DAY * _DAY
        since, until = (prices.since, prices.until) if prices is not None else (day, day + _DAY)
        for edge in self._edges:
            if edge <= at:
                since = max(since, edge)
            else:
                until = min(until, edge)
        return since, until

    def _tiers(self, upstream: str, host: str | None, model: str, at: int, caller: Caller) -> tuple[Conditions, ...]:
        provider = self.provider(upstream, host)
        names = tuple(dict.fromkeys(names_of(provider, model, upstream)))
        listed = tiers_of(self.snapshot, provider, names, Moment(at)) if provider is not None and names else ()
        override = the_one_for(self._overrides, upstream, names, caller, at)
        own = override.tiers if override is not None else {}
        return tuple(dict.fromkeys((Conditions(), *listed, *(conditions_of(tier, None, None, False) for tier in own))))


def _carded(  # noqa: PLR0913, PLR0917 - what a card is made of
    snapshot: str, prices: Prices | None, override: Override | None, name: str, conditions: Conditions, span: tuple[int, int]
) -> Found:
    """Return the card of what was found."""
    rates: dict[str, Rate] = {}
    why_not = None if prices is None else prices.why_not
    if prices is not None and why_not is None:
        rates.update(prices.rates)
    if override is not None:
        own = _own_rates(override, conditions)
        if own is None and not rates:
            return Found(None, why_not or f"no price for tier {conditions.name}", *span)
        rates = _overridden(rates, override, own or {})
        why_not = None
    if why_not is not None or not rates:
        return Found(None, why_not or NO_MODEL, *span)
    parts = [snapshot, prices.provider, prices.model] if prices is not None else ["own", name]
    parts += [conditions.name, *([conditions.geo] if conditions.geo else []), *(prices.origins if prices is not None else [])]
    parts += [f"override:{override.id}"] if override is not None else []
    card = card_of(
        provider=prices.provider if prices is not None else "own",
        model=prices.model if prices is not None else name,
        tier=conditions.name,
        ref="/".join(parts),
        rates=rates,
        span=span,
        minimum_seconds=prices.minimum_seconds if prices is not None else 0,
        once=prices.once if prices is not None else frozenset(),
    )
    return Found(card, None, *span)


def _own_rates(override: Override, conditions: Conditions) -> Mapping[str, int] | None:
    """Return the override's rates in a tier: None where it says nothing about that tier."""
    if conditions.name == Conditions().name:
        return override.rates
    tiers = override.tiers
    return tiers.get(conditions.name) or (tiers.get(BATCH) if conditions.batch and not conditions.tier else None)


def _overridden(rates: Mapping[str, Rate], override: Override, own: Mapping[str, int]) -> dict[str, Rate]:
    """Return the data's rates, times the override's factor, with its own over them."""
    changed = dict(rates)
    if override.times is not None:
        changed = {unit: rate.times(*override.times) if is_token(unit) else rate for unit, rate in rates.items()}
    return changed | {unit: Rate(rate) for unit, rate in own.items()}
