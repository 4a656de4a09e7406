"""Price cards: the rates of one model, in one tier, for as long as they hold. All rates are integers of 1e-24 US dollars for one unit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pricing.units import ABOVE, BY_PARTS, MILLION, UNITS

_DECIMALS = 24
_MOST_PLANS = 256


class Rate(NamedTuple):
    """What one unit costs. `above` are thresholds of all input tokens, rising: beyond one, its rate counts for every token."""

    base: int
    above: tuple[tuple[int, int], ...] = ()

    def at(self, input_tokens: int) -> int:
        """Return the rate in a call with so much input."""
        rate = self.base
        for threshold, higher in self.above:
            if input_tokens > threshold:
                rate = higher
        return rate

    def times(self, numerator: int, denominator: int) -> "Rate":
        """Return this rate times a fraction."""
        higher = tuple((threshold, rate * numerator // denominator) for threshold, rate in self.above)
        return Rate(self.base * numerator // denominator, higher)


class Step(NamedTuple):
    """One rate in the order of the sum: parts come before what they are parts of, which costs only what is left.

    `name` (`usd_per_million`, `usd_each`) and `prices` say how its rate is shown, below and above its thresholds.
    """

    unit: str
    rate: Rate
    inner: tuple[str, ...]
    name: str
    prices: Mapping[int, str]


class Plan(NamedTuple):
    """How to sum up usage in certain units: the steps, or the units that have no price."""

    steps: tuple[Step, ...]
    unpriced: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PriceCard:
    """The rates of one model in one tier.

    Good from `since` until before `until` (Unix nanoseconds). `ref` names everything that made it: snapshot, provider, model, tier, region,
    overrides. `minimum_seconds` is the least that a piece of audio is billed for, `once` are units of which a call is billed one at most. `covered` are the units that have a rate, or are part of one that has.
    """

    provider: str
    model: str
    tier: str
    ref: str
    rates: Mapping[str, Rate]
    since: int = 0
    until: int = 2**63
    minimum_seconds: int = 0
    once: frozenset[str] = frozenset()
    covered: frozenset[str] = frozenset()
    tiered: bool = False
    plans: dict[tuple[str, ...], Plan] = field(default_factory=dict)

    def rate(self, unit: str, input_tokens: int = 0) -> int | None:
        """Return what one `unit` costs in a call with so much input; by the nearest unit above it if it has no rate. None is unknown."""
        for name in ABOVE.get(unit, ()):
            rate = self.rates.get(name)
            if rate is not None:
                return rate.at(input_tokens)
        return None

    def plan(self, units: tuple[str, ...]) -> Plan:
        """Return how to sum up usage in these units."""
        plan = self.plans.get(units)
        if plan is None:
            if len(self.plans) >= _MOST_PLANS:
                self.plans.clear()
            plan = self.plans[units] = _plan(self.rates, units)
        return plan

    @property
    def free(self) -> bool:
        """Whether nothing on this card costs anything."""
        return not any(rate.base or rate.above for rate in self.rates.values())


def card_of(  # noqa: PLR0913 - what a card is made of
    *,
    provider: str,
    model: str,
    tier: str,
    ref: str,
    rates: Mapping[str, Rate],
    span: tuple[int, int],
    minimum_seconds: int = 0,
    once: frozenset[str] = frozenset(),
) -> PriceCard:
    """Return the card of these rates, good in `span` (from, until)."""
    joined = with_joins(rates)
    return PriceCard(
        provider=provider,
        model=model,
        tier=tier,
        ref=ref,
        rates=joined,
        since=span[0],
        until=span[1],
        minimum_seconds=minimum_seconds,
        once=once,
        covered=covered_by(joined),
        tiered=any(rate.above for rate in joined.values()),
    )


def with_joins(rates: Mapping[str, Rate]) -> dict[str, Rate]:
    """Return `rates` with one for everything that is a part of two units with rates and of neither alone, such as cached audio.

    The dearer of the two counts where the lists have none: too much is a wrong price too, but never a budget passed.
    """
    joined = dict(rates)
    for first in rates:
        for second in rates:
            parts = UNITS[first].parts | UNITS[second].parts
            both = BY_PARTS.get(parts)
            if both is not None and both not in joined:
                joined[both] = max(rates[first], rates[second])
    return joined


# They cost more than others, so the rate of others is no price for them.
_LONG_WRITES = frozenset({"cache_write_1h", "cache_write_12h"})


def _plan(rates: Mapping[str, Rate], units: tuple[str, ...]) -> Plan:
    covered = covered_by(rates)
    longer = _LONG_WRITES.intersection(units) - rates.keys() if "cache_write" in rates else frozenset()
    concerned = {above for unit in units for above in ABOVE.get(unit, ()) if above in rates}
    names = sorted(concerned, key=lambda name: (-len(UNITS[name].parts), name))
    steps = tuple(Step(name, rates[name], tuple(_inner(name, names)), *_shown(name, rates[name])) for name in names)
    return Plan(steps, tuple(sorted({*(unit for unit in units if unit not in covered), *longer})))


def _inner(name: str, names: Iterable[str]) -> Iterable[str]:
    """Yield the units with a rate of their own that are parts of `name`."""
    parts = UNITS[name].parts
    return (other for other in names if UNITS[other].parts > parts)


def covered_by(rates: Mapping[str, Rate]) -> frozenset[str]:
    """Return all units that a card with `rates` has a price for."""
    return frozenset(name for name, above in ABOVE.items() if any(unit in rates for unit in above))


def _shown(unit: str, rate: Rate) -> tuple[str, dict[int, str]]:
    """Return how a rate is shown: for what, and the amounts."""
    name, units = ("usd_per_million", MILLION) if UNITS[unit].per_million else ("usd_each", 1)
    return name, {atto: usd_text(atto * units) for atto in (rate.base, *(atto for _, atto in rate.above))}


def usd_text(atto: int) -> str:
    """Return 1e-24 US dollars as a decimal text in US dollars, exactly and without trailing zeros."""
    digits = str(atto)
    if len(digits) <= _DECIMALS:
        return f"0.{digits.zfill(_DECIMALS).rstrip('0')}" if atto else "0"
    return f"{digits[:-_DECIMALS]}.{digits[-_DECIMALS:].rstrip('0')}".rstrip(".")
