"""Prices of the operator's own as documents: one shape in the settings (`[[prices]]`), in the admin API, in the store, and with an exchange.

    {"match": {"upstream": "vllm", "model": "llama-*"}, "per_million_usd": {"input": "0.10", "output": "0.40"}, "from": "2026-01-01"}

Amounts are texts, so that nothing is rounded on the way. What is wrong is said in a sentence, with the place of it.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from domain.prices import ATTO_PER_USD, Override
from pricing.cards import usd_text
from pricing.corrections import rate_of
from pricing.units import MILLION, UNITS

FIELDS = ("id", "match", "per_million_usd", "each_usd", "tiers", "times", "same_as", "from", "until")
MATCHES = ("upstream", "model", "key", "project")
_RATES = {"per_million_usd": MILLION, "each_usd": 1}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,24})?|\.\d{1,24}")
_LONGEST_PATTERN = 200
_MOST_TIERS, _MOST_TIMES = 20, 1_000
_LAST_YEAR = 2200
_NANOSECONDS = 10**9


class WrongPrice(ValueError):
    """A document that tells of no price; the message says where it is wrong and what would be right."""


def override_of(document: Any, *, price_id: str, origin: str) -> Override:
    """Return the price that a document tells of; `price_id` is its id where it has none of its own.

    Raises:
        WrongPrice: it tells of none.
    """
    if not isinstance(document, Mapping):
        raise WrongPrice('a price is an object such as {"match": {"model": "llama-*"}, "per_million_usd": {"input": "0.10"}}')
    _refuse_unknown(document, FIELDS, "field")
    match = document.get("match", {})
    if not isinstance(match, Mapping):
        raise WrongPrice('`match` is an object such as {"upstream": "vllm", "model": "llama-*"}')
    _refuse_unknown(match, MATCHES, "field of `match`")
    patterns = {name: _pattern(name, match.get(name)) for name in MATCHES}
    if not any(patterns.values()):
        raise WrongPrice("`match` says what the price is for: its `model`, `upstream`, `key` or `project`")
    rates, times, same_as = _rates(document, ""), _times(document.get("times")), _pattern("same_as", document.get("same_as"))
    tiers = _tiers(document.get("tiers", {}))
    if not rates and not tiers and times is None and same_as is None:
        raise WrongPrice(
            'a price has amounts, such as "per_million_usd": {"input": "0.10", "output": "0.40"}; 0 is free of charge'
        )
    since, until = _instant("from", document.get("from")), _instant("until", document.get("until"))
    if since is not None and until is not None and until <= since:
        raise WrongPrice("`until` is not after `from`")
    return Override(
        id=_id(document.get("id", price_id)),
        rates=rates,
        **patterns,
        since=since,
        until=until,
        origin=origin,
        tiers=tiers,
        times=times,
        same_as=same_as,
    )


def document_of(override: Override) -> dict[str, Any]:
    """Return the document that tells of a price, in JSON values; what it leaves open is left out."""
    match = {name: getattr(override, name) for name in MATCHES if getattr(override, name) is not None}
    document: dict[str, Any] = {"id": override.id, "match": match, **_amounts(override.rates)}
    if override.tiers:
        document["tiers"] = {tier: _amounts(rates) for tier, rates in override.tiers.items()}
    if override.times is not None:
        document["times"] = usd_text(ATTO_PER_USD * override.times[0] // override.times[1])
    if override.same_as is not None:
        document["same_as"] = override.same_as
    for name, at in (("from", override.since), ("until", override.until)):
        if at is not None:
            document[name] = dt.datetime.fromtimestamp(at // _NANOSECONDS, dt.UTC).isoformat().replace("+00:00", "Z")
    return document


def _amounts(rates: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """Return rates as amounts, by what they are for."""
    fields = {
        field: {unit: usd_text(rate * units) for unit, rate in rates.items() if UNITS[unit].per_million == (units == MILLION)}
        for field, units in _RATES.items()
    }
    return {field: amounts for field, amounts in fields.items() if amounts}


def _refuse_unknown(given: Iterable[Any], known: Iterable[str], kind: str) -> None:
    known = sorted(known)
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.5)
            advice = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
            raise WrongPrice(f"there is no {kind} `{str(name)[:80]}`; {advice}")


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise WrongPrice("`id` has up to 64 letters, digits and `.`, `_`, `:`, `@`, `-`, with a letter or digit first")
    return value


def _pattern(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_PATTERN or not value.isprintable():
        raise WrongPrice(
            f"`{name}` is a name of at most {_LONGEST_PATTERN} characters, a pattern such as llama-*, or re: and a regular expression"
        )
    if value.startswith("re:"):
        try:
            re.compile(value.removeprefix("re:"))
        except re.error as error:
            raise WrongPrice(f"`{name}` is no regular expression: {error}") from None
    return value


def _rates(document: Mapping[str, Any], where: str) -> dict[str, int]:
    rates: dict[str, int] = {}
    for field, units in _RATES.items():
        amounts = document.get(field, {})
        if not isinstance(amounts, Mapping):
            raise WrongPrice(f'`{where}{field}` is an object such as {{"input": "0.10"}}')
        known = [name for name, unit in UNITS.items() if unit.per_million == (units == MILLION)]
        _refuse_unknown(amounts, known, f"unit in `{where}{field}`")
        rates |= {unit: rate_of(_amount(f"{where}{field}.{unit}", amount), units) for unit, amount in amounts.items()}
    return rates


def _amount(where: str, value: Any) -> str:
    """Return an amount of US dollars as text. A float is taken for the shortest text that means it."""
    text = repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, Decimal):
        text = format(text, "f")
    if isinstance(text, str) and "e" in text.lower():
        text = _plain(text)
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise WrongPrice(f'`{where}` is an amount of US dollars that is not negative, best as text: "0.10"')
    return text


def _plain(text: str) -> str:
    """Return `1e-07` as it is written without an exponent."""
    try:
        amount = Decimal(text)
        return format(amount, "f") if amount.is_finite() and -24 <= amount.adjusted() <= 9 else ""  # noqa: PLR2004 - as _AMOUNT
    except InvalidOperation:
        return ""


def _tiers(value: Any) -> dict[str, dict[str, int]]:
    if not isinstance(value, Mapping) or len(value) > _MOST_TIERS:
        raise WrongPrice('`tiers` is an object such as {"batch": {"per_million_usd": {"input": "0.05"}}}')
    tiers = {}
    for name, amounts in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(amounts, Mapping):
            raise WrongPrice('`tiers` is an object such as {"batch": {"per_million_usd": {"input": "0.05"}}}')
        _refuse_unknown(amounts, _RATES, f"field in `tiers.{name}`")
        tiers[name] = _rates(amounts, f"tiers.{name}.")
    return tiers


def _times(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    factor = Fraction(_amount("times", value))
    if factor > _MOST_TIMES:
        raise WrongPrice(f"`times` is a factor of at most {_MOST_TIMES}")
    return factor.numerator, factor.denominator


def _instant(name: str, value: Any) -> int | None:
    """Return Unix nanoseconds. A date is its first moment, and a time without a zone is meant, in UTC."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime) or not 1970 < value.year < _LAST_YEAR:  # noqa: PLR2004 - Unix time begins there
        raise WrongPrice(f"`{name}` is a date or a time, such as 2026-01-31 or 2026-01-31T12:00:00Z")
    value = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return int(value.timestamp()) * _NANOSECONDS
