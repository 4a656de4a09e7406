"""What genai-prices lacks or has wrong, by provider: `pricing/data/<provider>.toml`, each entry with its source and the date it was read.

An entry is for the `models` that it names (globs; the name that was used or the list's own). It may hold only `from` a date, `until` one, on
certain `days` (`["sat", "sun"]`) or `dates`, at certain `hosts` or in one `geo`. What it does:

- `per_million_usd`, `each_usd`: rates. They replace those of the same units, and with `only = true` all others too. A rate is an amount, or
  a list `["2.5", 200000, "5"]`: beyond so many input tokens, the next amount counts.
- `tier`: those rates, or the standard ones `times` a factor, are for this tier. Without a tier, `times` multiplies what all tokens cost.
- `multiples`: rates that are a multiple of another one in the same tier (`{ cache_write_12h = ["cache_write", "2"] }`).
- `new`: the list has no such model; these rates are all that there is. Other entries are for models of the list only.
- `same_as`: these models are another one; `{name}` in it stands for the name that was used.
- `keep`: kinds of tokens that `times` leaves alone.
- `minimum_seconds`: audio is billed for at least so long. `once`: units that are billed once for a call, however many there were.

An entry about what tokens of a model cost ends where the list itself has a later price for it, one that begins after the entry was read.
"""

import datetime as dt
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import translate
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from re import Pattern
from re import compile as regex
from typing import Any

from domain.prices import ATTO_PER_USD
from pricing.cards import Rate
from pricing.units import MILLION, UNITS

FOLDER = Path(__file__).parent / "data"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS = frozenset(
    {
        *(
            "models",
            "but",
            "source",
            "read",
            "why",
            "per_million_usd",
            "each_usd",
            "only",
            "tier",
            "times",
            "multiples",
            "same_as",
        ),
        *("from", "until", "days", "dates", "hosts", "geo", "minimum_seconds", "once", "new", "keep"),
    }
)


@dataclass(frozen=True, slots=True)
class Correction:
    """One entry. Days are in UTC; `since` is the first, `until` the first day after."""

    id: str
    models: tuple[Pattern[str], ...]
    but: tuple[Pattern[str], ...] = ()
    rates: Mapping[str, Rate] = field(default_factory=dict)
    only: bool = False
    tier: str | None = None
    times: Fraction | None = None
    multiples: Mapping[str, tuple[str, Fraction]] = field(default_factory=dict)
    keep: frozenset[str] = frozenset()
    new: str | None = None
    same_as: str | None = None
    since: dt.date | None = None
    until: dt.date | None = None
    days: frozenset[int] = frozenset()
    dates: frozenset[dt.date] = frozenset()
    hosts: tuple[Pattern[str], ...] = ()
    geo: str | None = None
    minimum_seconds: int = 0
    once: frozenset[str] = frozenset()
    source: str = ""
    read: dt.date = dt.date.max

    @property
    def regional(self) -> bool:
        """Whether it depends on where the call was served."""
        return bool(self.hosts) or self.geo is not None

    def names(self, names: Iterable[str]) -> bool:
        """Tell whether it is about a model with one of these names."""
        return any(_fits(self.models, name) and not _fits(self.but, name) for name in names)

    def holds(self, day: dt.date) -> bool:
        """Tell whether it holds on a day."""
        if (self.since is not None and day < self.since) or (self.until is not None and day >= self.until):
            return False
        return not (self.days or self.dates) or day.weekday() in self.days or day in self.dates

    def served_at(self, host: str, geo: str) -> bool:
        """Tell whether it is for calls served there; True if that does not matter to it."""
        return (not self.hosts or _fits(self.hosts, host)) and (self.geo is None or self.geo == geo)


@lru_cache(maxsize=128)
def corrections_for(provider: str) -> tuple[Correction, ...]:
    """Return the entries for a provider, in the order of the file; none if it has no file."""
    path = FOLDER / f"{provider}.toml"
    if not path.is_file():
        return ()
    document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)
    return tuple(_correction(f"{provider}:{number}", entry) for number, entry in enumerate(document["prices"], 1))


def _correction(name: str, entry: Mapping[str, Any]) -> Correction:
    unknown = entry.keys() - _FIELDS
    if unknown:
        raise ValueError(f"{name}: there is no {', '.join(sorted(unknown))}")
    times = entry.get("times")
    return Correction(
        id=name,
        models=_globs(entry["models"]),
        but=_globs(entry.get("but", ())),
        rates=_rates(name, entry.get("per_million_usd", {}), MILLION) | _rates(name, entry.get("each_usd", {}), 1),
        only=entry.get("only", False),
        tier=entry.get("tier"),
        times=None if times is None else Fraction(times),
        multiples={unit: (of, Fraction(factor)) for unit, (of, factor) in entry.get("multiples", {}).items()},
        keep=frozenset(entry.get("keep", ())),
        new=entry["models"][0].rstrip("*-") if entry.get("new") else None,
        same_as=entry.get("same_as"),
        since=entry.get("from"),
        until=entry.get("until"),
        days=frozenset(DAYS.index(day) for day in entry.get("days", ())),
        dates=frozenset(entry.get("dates", ())),
        hosts=_globs(entry.get("hosts", ())),
        geo=entry.get("geo"),
        minimum_seconds=entry.get("minimum_seconds", 0),
        once=frozenset(entry.get("once", ())),
        source=entry["source"],
        read=entry["read"],
    )


def _rates(name: str, amounts: Mapping[str, Any], units: int) -> dict[str, Rate]:
    for unit in amounts:
        if unit not in UNITS or UNITS[unit].per_million != (units == MILLION):
            raise ValueError(f"{name}: there is no unit {unit} here")
    return {unit: _rate(amount, units) for unit, amount in amounts.items()}


def _rate(amount: Any, units: int) -> Rate:
    if not isinstance(amount, list):
        return Rate(rate_of(amount, units))
    base, *rest = amount
    return Rate(
        rate_of(base, units), tuple((above, rate_of(higher, units)) for above, higher in zip(rest[::2], rest[1::2], strict=True))
    )


def rate_of(amount: str, units: int) -> int:
    """Return the price of one unit in 1e-24 US dollars, where `units` of them cost `amount` US dollars."""
    numerator, denominator = Decimal(amount).as_integer_ratio()
    return round(Fraction(numerator * ATTO_PER_USD, denominator * units))


def _globs(patterns: Iterable[str]) -> tuple[Pattern[str], ...]:
    return tuple(regex(translate(pattern)) for pattern in patterns)


def _fits(patterns: Iterable[Pattern[str]], name: str) -> bool:
    return any(pattern.match(name) for pattern in patterns)
