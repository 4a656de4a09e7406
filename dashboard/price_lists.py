"""What models cost now: one line for each, or all about one: every tier, where each rate is from, and the limits."""

from collections.abc import Mapping
from fnmatch import translate
from re import IGNORECASE
from re import compile as regex
from typing import Any

from domain.spans import rfc3339
from pricing.book import PriceBook
from pricing.cards import PriceCard, usd_text
from pricing.corrections import corrections_for
from pricing.limits import limits_of
from pricing.override_documents import document_of
from pricing.units import MILLION, UNITS

_SHOWN = ("input", "output", "cache_read", "cache_write")


def all_models(book: PriceBook, upstreams: Mapping[str, str], pattern: str, at: int) -> list[dict[str, Any]]:
    """Return a line for each model with a price whose name fits the glob `pattern`, by upstream; `upstreams` are names and hosts."""
    fits = regex(translate(pattern), IGNORECASE).match
    rows = []
    for upstream, host in sorted(upstreams.items()):
        rows += [
            line
            for model in _models(book, upstream, host)
            if fits(model) and (line := _line(book, upstream, host, model, at)) is not None
        ]
    return rows


def one_model(book: PriceBook, upstreams: Mapping[str, str], model: str, at: int) -> list[dict[str, Any]]:
    """Return everything about the price of `model` at `at` (Unix nanoseconds), for each upstream that has one."""
    return [
        shown for upstream, host in sorted(upstreams.items()) if (shown := _shown(book, upstream, host, model, at)) is not None
    ]


def _models(book: PriceBook, upstream: str, host: str) -> list[str]:
    """Return the names of an upstream's models: those on its provider's list, and those that an override names in full."""
    provider = book.provider(upstream, host)
    listed = [model.id for model in book.snapshot.models(provider)] if provider is not None else []
    own = [one.model for one in book.overrides if one.upstream == upstream and one.model and not set(one.model) & set("*?[:")]
    return list(dict.fromkeys([*listed, *own]))


def _line(book: PriceBook, upstream: str, host: str, model: str, at: int) -> dict[str, Any] | None:
    card = book.card(upstream=upstream, host=host, model=model, at=at)
    if card is None:
        return None
    amounts = {f"{unit}_usd_per_million": _per_million(card, unit) for unit in _SHOWN}
    return {
        "upstream": upstream,
        "model": model,
        **amounts,
        "tiered": card.tiered,
        "source": _source(card),
        "price_ref": card.ref,
    }


def _per_million(card: PriceCard, unit: str) -> str | None:
    """Return a rate of the card's own; None where it has none, and the nearest one above it counts."""
    rate = card.rates.get(unit)
    return None if rate is None else usd_text(rate.base * MILLION)


def _source(card: PriceCard) -> str:
    """Return where a card is from: an override, a correction of ours, or the list."""
    snapshot, *parts = card.ref.split("/")
    override = next((part for part in parts if part.startswith("override:")), None)
    if override is not None:
        return override
    corrections = [one.id for one in corrections_for(card.provider) if one.id in parts]
    return f"correction {', '.join(corrections)}" if corrections else snapshot.partition("#")[0].replace("@", " ")


def _shown(book: PriceBook, upstream: str, host: str, model: str, at: int) -> dict[str, Any] | None:
    cards = book.cards(upstream=upstream, host=host, model=model, at=at)
    if not cards:
        return None
    window, most_output = limits_of(book.snapshot, upstream, host, model)
    refs = {part for card in cards for part in card.ref.split("/")}
    return {
        "upstream": upstream,
        "provider": cards[0].provider,
        "listed_as": cards[0].model,
        "context_window": window,
        "max_output_tokens": most_output,
        "tiers": [_tier(book, card) for card in cards],
        "overrides": [{**document_of(one), "origin": one.origin} for one in book.overrides if f"override:{one.id}" in refs],
    }


def _tier(book: PriceBook, card: PriceCard) -> dict[str, Any]:
    return {
        "tier": card.tier,
        "price_ref": card.ref,
        "good_from": rfc3339(card.since),
        "rates": [_rate(book, card, unit) for unit in UNITS if unit in card.rates],
    }


def _rate(book: PriceBook, card: PriceCard, unit: str) -> dict[str, Any]:
    rate = card.rates[unit]
    name, units = ("usd_per_million", MILLION) if UNITS[unit].per_million else ("usd_each", 1)
    above = [{"above_input_tokens": threshold, name: usd_text(atto * units)} for threshold, atto in rate.above]
    return {"unit": unit, name: usd_text(rate.base * units), "tiers": above, **_origin(book, card, unit)}


def _origin(book: PriceBook, card: PriceCard, unit: str) -> dict[str, Any]:
    """Return where one rate is from: the override or the correction that names its unit, else the list."""
    parts = card.ref.split("/")
    for one in book.overrides:
        named = {*one.rates, *(name for rates in one.tiers.values() for name in rates)}
        if f"override:{one.id}" in parts and (unit in named or one.times is not None):
            return {"from": f"override:{one.id}", "source": one.origin, "read": None}
    for entry in reversed(corrections_for(card.provider)):
        if entry.id in parts and (unit in entry.rates or unit in entry.multiples or entry.times is not None):
            return {"from": entry.id, "source": entry.source, "read": entry.read}
    return {"from": parts[0], "source": "https://github.com/pydantic/genai-prices", "read": None}
