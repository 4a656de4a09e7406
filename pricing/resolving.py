"""From lists to the rates of one call: the snapshot's price at that time, corrected, in the tier and the place that served it."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from pricing.cards import Rate
from pricing.corrections import Correction, corrections_for, rate_of
from pricing.snapshot import Model, Snapshot
from pricing.tiers import BATCH, Conditions, prepaid
from pricing.units import GENAI, UNITS

DAY = 86_400
NANOSECONDS = 10**9
_Rates = dict[str, Rate]


@dataclass(slots=True)
class Prices:
    """What was found: rates by unit, or why there are none. `since` and `until` are Unix nanoseconds within one day."""

    provider: str
    model: str
    rates: _Rates
    since: int
    until: int
    minimum_seconds: int = 0
    once: frozenset[str] = frozenset()
    origins: list[str] = field(default_factory=list)
    why_not: str | None = None


@dataclass(slots=True, frozen=True)
class Moment:
    """A time, as prices look at it."""

    at: int

    @property
    def day(self) -> dt.date:
        """The date in UTC."""
        return dt.date(1970, 1, 1) + dt.timedelta(days=self.at // NANOSECONDS // DAY)

    @property
    def second(self) -> int:
        """The second of the day in UTC."""
        return self.at // NANOSECONDS % DAY


def prices_of(  # noqa: PLR0913, PLR0917 - a price depends on all of them
    snapshot: Snapshot,
    provider: str,
    names: Sequence[str],
    moment: Moment,
    conditions: Conditions,
    host: str,
    *,
    corrected: bool = True,
) -> Prices | None:
    """Return the prices of the model that is first found under one of `names`, None if there is none.

    Without `corrected`, they are the snapshot's alone.
    """
    found = _found(snapshot, provider, names, moment, corrected=corrected)
    if found is None:
        return None
    seller, model, names, corrections = found
    listed = _Listed.of(model)
    since, until = listed.span(moment) if listed else _day(moment)
    identity = model.id if model else names[0]
    prices = Prices(provider if seller == provider else f"{provider}<{seller}", identity, {}, since, until)
    standard = listed.standard(moment) if listed else {}
    newest = listed.newest(moment) if listed else dt.date.min
    for one in corrections:
        if one.tier is None and not one.regional and not (newest > one.read and any(map(is_token, one.rates))):
            _correct(prices, one, standard)
    # A seller of others' models has its own tiers, or none that are known.
    variants = listed.variants(moment) if listed and seller == provider else ()
    prices.rates = _in_tier(prices, standard, variants, corrections, conditions)
    for one in corrections:
        _multiples(prices, one)
    _in_region(prices, corrections, host, conditions.geo)
    return prices


def tiers_of(snapshot: Snapshot, provider: str, names: Sequence[str], moment: Moment) -> tuple[Conditions, ...]:
    """Return the tiers that the lists name for a model, whether or not they hold now; the standard one first."""
    found = _found(snapshot, provider, names, moment)
    if found is None:
        return ()
    seller, model, _, corrections = found
    listed = _Listed.of(model)
    named = dict.fromkeys([Conditions()])
    for when, _, _ in listed.all_variants if listed and seller == provider else ():
        if set(when) <= {"processing", "service_tier", "speed"} and when.get("service_tier") != "default":
            tier, speed = when.get("service_tier", ""), when.get("speed", "")
            named[Conditions(tier, when.get("processing") == BATCH, "", speed)] = None
    for one in corrections:
        if one.tier is not None:
            named[Conditions("" if one.tier == BATCH else one.tier, one.tier == BATCH)] = None
    return tuple(named)


_Found = tuple[str, Model | None, Sequence[str], list[Correction]]


def _found(snapshot: Snapshot, provider: str, names: Sequence[str], moment: Moment, *, corrected: bool = True) -> _Found | None:
    """Return who sets the price, the model in its list (None if only our own files know it), its names, and what we correct of it."""
    own = corrections_for(provider) if corrected else ()
    renamed = _renamed(own, names, moment.day)
    for name in (*renamed, *names):
        found = snapshot.find(provider, name)
        if found is not None:
            seller, model = found
            known = (name, model.id.lower())
            every = own if seller == provider or not corrected else (*corrections_for(seller), *own)
            return seller, model, known, [one for one in every if one.holds(moment.day) and one.names(known)]
    matching = [one for one in own if one.holds(moment.day) and one.names(names)]
    title = next((one.new for one in matching if one.new is not None), None)
    return None if title is None else (provider, None, (title,), matching)


def _renamed(own: Iterable[Correction], names: Sequence[str], day: dt.date) -> list[str]:
    """Return the names of the models that these names mean instead."""
    means = ((one, name) for one in own if one.same_as is not None and one.holds(day) for name in names if one.names((name,)))
    return [(one.same_as or "").replace("{name}", name) for one, name in means]


def _correct(prices: Prices, one: Correction, rates: _Rates) -> None:
    if one.only and one.rates:
        rates.clear()
    rates.update(one.rates)
    prices.minimum_seconds = max(prices.minimum_seconds, one.minimum_seconds)
    prices.once |= one.once
    if one.minimum_seconds or one.once or any(is_token(unit) for unit in one.rates):
        prices.origins.append(one.id)


def _in_tier(
    prices: Prices,
    standard: _Rates,
    variants: Iterable[tuple[Mapping[str, str], _Rates]],
    corrections: list[Correction],
    conditions: Conditions,
) -> _Rates:
    """Return the rates in the tier that served the call, or say why there are none."""
    asked = {("processing", BATCH)} if conditions.batch else set()
    asked |= {("service_tier", conditions.tier)} if conditions.tier else set()
    asked |= {("speed", conditions.speed)} if conditions.speed else set()
    if not asked:
        return dict(standard)
    if prepaid(prices.provider, conditions.tier):
        prices.why_not = f"tier {conditions.tier} is paid for beforehand"
        return {}
    special: _Rates = {}
    priced: set[tuple[str, str]] = set()
    for when, rates in variants:
        if set(when.items()) <= asked and rates:
            priced |= set(when.items())
            special = {**rates, **special}
    for one in corrections:
        wanted = ("processing", BATCH) if one.tier == BATCH else ("service_tier", one.tier)
        if one.tier is not None and wanted in asked:
            priced.add(wanted)
            special |= (_times(standard, one) if one.times is not None else {}) | dict(one.rates)
            prices.origins.append(one.id)
    missing = sorted(value for _, value in asked - priced)
    if missing:
        prices.why_not = f"no price for tier {' and '.join(missing)}"
        return {}
    return {**standard, **special}


def _multiples(prices: Prices, one: Correction) -> None:
    for unit, (of, factor) in one.multiples.items():
        if of in prices.rates:
            prices.rates[unit] = prices.rates[of].times(factor.numerator, factor.denominator)
            if one.id not in prices.origins:
                prices.origins.append(one.id)


def _in_region(prices: Prices, corrections: list[Correction], host: str, geo: str) -> None:
    """Apply what holds where the call was served. A place that a provider names, and nobody has a price for, makes the price unknown."""
    known = not geo
    for one in corrections:
        if one.tier is not None or not one.served_at(host, geo):
            continue
        known = known or one.geo == geo
        if one.times is not None:
            prices.rates.update(_times(prices.rates, one))
            prices.origins.append(one.id)
        elif one.regional:
            _correct(prices, one, prices.rates)
    if not known and prices.why_not is None:
        prices.why_not = f"no price for calls served in {geo}"


def _times(rates: Mapping[str, Rate], one: Correction) -> _Rates:
    """Return what tokens cost, times the factor of an entry; fees for tools stay as they are."""
    if one.times is None:
        return {}
    numerator, denominator = one.times.numerator, one.times.denominator
    return {unit: rate.times(numerator, denominator) for unit, rate in rates.items() if is_token(unit) and unit not in one.keep}


def is_token(unit: str) -> bool:
    """Tell whether a unit is a kind of token."""
    return bool(UNITS[unit].parts & {"in", "out"})


def _day(moment: Moment) -> tuple[int, int]:
    start = moment.at // NANOSECONDS // DAY * DAY
    return start * NANOSECONDS, (start + DAY) * NANOSECONDS


# A model without any price in the list is free of charge: those named `:free`, moderation, what a subscription includes.
_FREE: Mapping[str, Rate] = {"input": Rate(0), "output": Rate(0)}


class _Listed:
    """The prices of one model in the snapshot, decoded."""

    def __init__(self, model: Model) -> None:
        self._prices = _decode(model.prices)
        self.all_variants: list[Any] = _decode(model.variants)

    @classmethod
    def of(cls, model: Model | None) -> "_Listed | None":
        return None if model is None else cls(model)

    def span(self, moment: Moment) -> tuple[int, int]:
        """Return from when until when on this day the same prices hold."""
        start, end = _day(moment)
        times = [second for constraint in self._constraints() for second in _times_of_day(constraint)]
        since = max((second for second in times if second <= moment.second), default=0)
        until = min((second for second in times if second > moment.second), default=DAY)
        return start + since * NANOSECONDS, start + until * NANOSECONDS if until < DAY else end

    def standard(self, moment: Moment) -> _Rates:
        """Return the standard rates: those of the last condition that holds, else the first."""
        holding = (prices for constraint, prices in reversed(self._prices) if _holds(constraint, moment))
        prices = next(holding, self._prices[0][1])
        return _rates(prices) if prices else dict(_FREE)

    def newest(self, moment: Moment) -> dt.date:
        """Return the day on which the latest of the prices that hold began, as far as the list says."""
        days = (
            dt.date.fromisoformat(constraint[0])
            for constraint, _ in self._prices
            if constraint is not None and len(constraint) == 1
        )
        return max((day for day in days if day <= moment.day), default=dt.date.min)

    def variants(self, moment: Moment) -> Iterator[tuple[Mapping[str, str], _Rates]]:
        """Yield the variants that hold, the first of which counts."""
        for when, constraint, prices in self.all_variants:
            if _holds(constraint, moment):
                yield when, _rates(prices)

    def _constraints(self) -> Iterator[list[str] | None]:
        yield from (constraint for constraint, _ in self._prices)
        yield from (constraint for _, constraint, _ in self.all_variants)


def _decode(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _times_of_day(constraint: list[str] | None) -> Iterator[int]:
    if constraint is not None and len(constraint) > 1:
        yield from map(_second, constraint)


def _holds(constraint: list[str] | None, moment: Moment) -> bool:
    if constraint is None:
        return True
    if len(constraint) == 1:
        return moment.day >= dt.date.fromisoformat(constraint[0])
    start, end = map(_second, constraint)
    if end < start:
        return moment.second >= start or moment.second < end
    return start <= moment.second < end


@lru_cache(maxsize=256)
def _second(text: str) -> int:
    time = dt.time.fromisoformat(text)
    return time.hour * 3_600 + time.minute * 60 + time.second


def _rates(prices: Mapping[str, Any]) -> _Rates:
    rates = {}
    for key, price in prices.items():
        if key in GENAI:
            unit, units = GENAI[key]
            base, above = (price, ()) if isinstance(price, str) else price
            rates[unit] = Rate(rate_of(base, units), tuple((start, rate_of(higher, units)) for start, higher in above))
    return rates
