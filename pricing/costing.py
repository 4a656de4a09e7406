"""What a call cost: quantities times rates in whole numbers, rounded once, to pico-USD, at the very end."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from domain.calls import Call, SubCall, Usage
from domain.prices import Cost
from pricing.book import NO_MODEL, PriceBook
from pricing.cards import PriceCard, Step, usd_text
from pricing.overrides import Caller
from pricing.quantities import MICROSECONDS, Quantities, quantities_of
from pricing.tiers import conditions_of

ATTO_PER_PICO = 10**12
# The kind of call inside a call that is the sum of many requests (`recorder.apis.batches`).
BATCH_TOTAL = "batch_total"
MOST_PICO = 2**63 - 1
FREE_OPERATIONS: Mapping[str, frozenset[str]] = {"moderation": frozenset({"openai", "azure"})}
# Answers with text in them: if the output is not counted, it is not nothing.
_WITH_OUTPUT = frozenset({"chat", "responses", "text_completion", "generate_content"})
_LONGEST_WORDS = 256
_MODEL_IN_PATH = re.compile(r"/(?:models?|deployments)/([^/:?]+(?:%3[aA][^/:?]*|:\d+)?)[/:]")
_Line = tuple[PriceCard, Step, int, int]
_Lines = list[_Line]


class Place(NamedTuple):
    """Where and for whom a call was made. `host` is that of the upstream, with its path; `at` is in Unix nanoseconds."""

    upstream: str
    at: int
    host: str | None
    path: str
    caller: Caller


class Unpriced(Exception):
    """Why a call has no cost; the message is for the span's notes."""


def cost_of(  # noqa: PLR0913 - where and for whom
    call: Call,
    *,
    upstream: str,
    at: int,
    book: PriceBook,
    host: str | None = None,
    path: str = "",
    key: str | None = None,
    key_name: str | None = None,
    project: str | None = None,
) -> Cost:
    """Return what a call cost that was sent to a provider. Never raises, whatever the usage holds.

    The provider's own figure wins (`reported`); then the lines still are ours, so that the two can be compared. What has no price
    is unknown, and the notes say what it was.
    """
    return cost_at(call, Place(upstream, at, host, path, Caller((key or "", key_name or ""), project)), book)


def cost_at(call: Call, place: Place, book: PriceBook) -> Cost:
    """Return what a call cost, as `cost_of` does."""
    usage = call.usage
    if usage is None:
        return _without_usage(call, place, book)
    lines: _Lines = []
    try:
        total = _charged(usage, call, place, book, lines)
        why_not = None
    except Unpriced as reason:
        total, why_not = 0, str(reason)
    shown = _shown(_merged(lines) if usage.sub_calls else lines)
    ref = lines[0][0].ref if lines else None
    if usage.reported_cost is not None and 0 <= usage.reported_cost <= MOST_PICO:
        free = usage.reported_cost == 0 and why_not is None and bool(lines) and not total
        return Cost("free" if free else "reported", usage.reported_cost, shown, ref, _notes(usage, why_not))
    if why_not is not None:
        return Cost("unknown", None, shown, ref, _notes(usage, why_not))
    pico = rounded(total)
    if pico > MOST_PICO:
        return Cost("unknown", None, (), ref, ("anomalous",))
    if usage.source == "estimated" or "incomplete" in usage.flags:
        return Cost("estimated", pico, shown, ref, _notes(usage, None))
    notes = _notes(usage, None) if usage.flags else ()
    free = not total and bool(lines)
    return Cost("free" if free else "exact", pico, shown, ref, notes)


def rounded(atto: int) -> int:
    """Return 1e-24 US dollars as pico-USD, rounded half to even."""
    pico, rest = divmod(atto, ATTO_PER_PICO)
    half = ATTO_PER_PICO // 2
    return pico + (rest > half or (rest == half and pico % 2 == 1))


def _without_usage(call: Call, place: Place, book: PriceBook) -> Cost:
    if book.provider(place.upstream, place.host) in FREE_OPERATIONS.get(call.operation, frozenset()):
        return Cost("free", 0)
    return Cost("unknown", None, notes=("the provider told no usage",))


def _charged(usage: Usage, call: Call, place: Place, book: PriceBook, lines: _Lines) -> int:
    """Add a line for all that was used, and return the sum in 1e-24 US dollars.

    Raises:
        Unpriced: something of it has no price.
    """
    model = call.served_model or call.model or _model_in(place.path)
    total = 0
    if not usage.sub_calls:
        return _charged_here(usage, None, model, call.operation, place, book, lines)
    if _counts_something(usage):
        total += _charged_here(usage, None, model, call.operation, place, book, lines)
    for one in usage.sub_calls:
        total += _charged_inside(one, usage, model, place, book, lines, 0)
    return total


_DEEPEST = 4


def _charged_inside(  # noqa: PLR0913, PLR0917 - as `_charged`
    one: SubCall, outer: Usage, model: str | None, place: Place, book: PriceBook, lines: _Lines, depth: int
) -> int:
    """Charge a call inside a call, at the tier of the outer one where it names none of its own."""
    own = one.model or model
    total = 0
    if _counts_something(one.usage) or not one.usage.sub_calls:
        total = _charged_here(one.usage, outer, own, one.kind, place, book, lines)
    if depth < _DEEPEST:
        total += sum(_charged_inside(inner, one.usage, own, place, book, lines, depth + 1) for inner in one.usage.sub_calls)
    return total


def _charged_here(  # noqa: PLR0913, PLR0917 - as `_charged`
    usage: Usage, outer: Usage | None, model: str | None, operation: str, place: Place, book: PriceBook, lines: _Lines
) -> int:
    if not model:
        raise Unpriced("the model is not known")
    if "anomalous" in usage.flags:
        raise Unpriced("anomalous")
    tier, geo, speed, batch = usage.tier, usage.geo, usage.speed, usage.batch
    if outer is not None:
        tier, geo, speed, batch = tier or outer.tier, geo or outer.geo, speed or outer.speed, batch or outer.batch
    if (tier or geo or speed) and len(tier or "") + len(geo or "") + len(speed or "") > _LONGEST_WORDS:
        raise Unpriced("no price for a tier of such a name")
    conditions = conditions_of(tier, geo, speed, batch)
    found = book.found(place.upstream, place.host, model, place.at, place.caller, conditions)
    if found.card is None:
        raise Unpriced(found.why_not if found.why_not != NO_MODEL else f"no price for {model[:128]} at {place.upstream}")
    quantities = quantities_of(usage, found.card)
    if operation == BATCH_TOTAL and _any_tier(found.card, quantities.get("input", 0)):
        raise Unpriced("how long each request of the batch was is in its results only")
    if usage.input_tokens is None or usage.output_tokens is None:
        _check(usage, quantities, found.card, operation)
    return charge(found.card, quantities, lines)


def _any_tier(card: PriceCard, input_tokens: int) -> bool:
    """Tell whether requests with so much input in all may be in different tiers."""
    return card.tiered and any(input_tokens > rate.above[0][0] for rate in card.rates.values() if rate.above)


def _check(usage: Usage, quantities: Quantities, card: PriceCard, operation: str) -> None:
    """Refuse to sum up what is only a part: where input or output is not told.

    Raises:
        Unpriced: what is not told is billed.
    """
    # What an estimate leaves open could be neither told nor counted.
    if "incomplete" in usage.flags and usage.source != "estimated":
        return
    if not quantities and usage.input_tokens is None and usage.output_tokens is None:
        raise Unpriced("the provider told no usage")
    if usage.input_tokens is None and usage.output_tokens is not None and "input" in card.rates and not usage.characters:
        raise Unpriced("the provider did not tell the input tokens")
    if usage.output_tokens is None and operation in _WITH_OUTPUT and "output" in card.rates and not _all_is_input(usage):
        raise Unpriced("the provider did not tell the output tokens")


def _all_is_input(usage: Usage) -> bool:
    raw = usage.raw if isinstance(usage.raw, dict) else {}
    return usage.input_tokens is not None and raw.get("total_tokens") == usage.input_tokens


def charge(card: PriceCard, quantities: Quantities, lines: _Lines) -> int:
    """Return quantities times rates in 1e-24 US dollars; add to `lines` how much of which rate that was.

    Raises:
        Unpriced: something has no price, or the parts of something are more than the whole.
    """
    steps, unpriced = card.plan(tuple(quantities))
    if unpriced:
        raise Unpriced(f"no price for {', '.join(unpriced)} of {card.model}")
    total = 0
    left: Quantities = {}
    for step in steps:
        unit, rate, inner, _, _ = step
        quantity = quantities.get(unit, 0)
        for part in inner:
            quantity -= left[part]
        left[unit] = quantity
        if quantity > 0:
            base, above = rate
            atto = rate.at(quantities.get("input", 0)) if above else base
            lines.append((card, step, atto, quantity))
            total += quantity * atto if unit != "audio_seconds" else quantity * atto // MICROSECONDS
        elif quantity:
            raise Unpriced("anomalous")
    return total


def _merged(lines: _Lines) -> _Lines:
    """Return one line for each rate, where several calls inside one have the same."""
    merged: dict[tuple[PriceCard, str, int], _Line] = {}
    for card, step, atto, quantity in lines:
        before = merged.get((card, step.unit, atto))
        merged[card, step.unit, atto] = (card, step, atto, quantity + (before[3] if before is not None else 0))
    return list(merged.values())


def _shown(lines: _Lines) -> tuple[dict[str, Any], ...]:
    """Return lines as they are stored and shown: the unit, how much of it, what one or a million costs, and what it comes to."""
    return tuple(
        [
            {"unit": unit, "quantity": quantity, name: prices[atto], "cost_usd": usd_text(quantity * atto), "model": card.model}
            if unit != "audio_seconds"
            else _shown_seconds(card, name, prices[atto], atto, quantity)
            for card, (unit, _, _, name, prices), atto, quantity in lines
        ]
    )


def _shown_seconds(card: PriceCard, name: str, price: str, atto: int, quantity: int) -> dict[str, Any]:
    cost = usd_text(quantity * atto // MICROSECONDS)
    return {"unit": "audio_seconds", "quantity": quantity / MICROSECONDS, name: price, "cost_usd": cost, "model": card.model}


def _notes(usage: Usage, why_not: str | None) -> tuple[str, ...]:
    if why_not is None:
        return () if not usage.flags else tuple(flag for flag in usage.flags if flag in _ODD)
    return (why_not, *(flag for flag in usage.flags if flag in _ODD and flag != why_not))


_ODD = frozenset(
    {"anomalous", "total_mismatch", "cache_split_mismatch", "unknown_iteration", "incomplete", "retrieved", "batch_results"}
)


def _counts_something(usage: Usage) -> bool:
    """Tell whether there is anything in a usage but calls inside it."""
    counts: Iterable[object] = (
        *(usage.input_tokens, usage.output_tokens, usage.audio_seconds, usage.characters, usage.images, usage.pages),
        usage.searches or None,
    )
    return any(count is not None for count in counts)


def _model_in(path: str) -> str | None:
    """Return the model that a path names, as Bedrock's and Azure's do."""
    found = _MODEL_IN_PATH.search(path)
    return unquote(found[1]) if found else None
