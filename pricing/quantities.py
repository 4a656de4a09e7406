"""How much of each unit a call used: from what its provider told, in the one meaning that `domain.calls.Usage` gives it."""

from decimal import Decimal, InvalidOperation
from operator import attrgetter

from domain.calls import Usage
from pricing.cards import PriceCard

MICROSECONDS = 1_000_000
Quantities = dict[str, int]

_TOKENS = (
    ("input_tokens", "input"),
    ("output_tokens", "output"),
    ("cache_read_tokens", "cache_read"),
    ("cache_write_tokens", "cache_write"),
    ("cache_read_audio_tokens", "cache_read_audio"),
    ("cache_read_image_tokens", "cache_read_image"),
    ("cache_write_5m_tokens", "cache_write_5m"),
    ("cache_write_30m_tokens", "cache_write_30m"),
    ("cache_write_1h_tokens", "cache_write_1h"),
    ("cache_write_12h_tokens", "cache_write_12h"),
    ("input_audio_tokens", "input_audio"),
    ("input_image_tokens", "input_image"),
    ("input_video_tokens", "input_video"),
    ("reasoning_tokens", "reasoning"),
    ("output_audio_tokens", "output_audio"),
    ("output_image_tokens", "output_image"),
)
_counts = attrgetter(*(field for field, _ in _TOKENS))
_UNITS = tuple(unit for _, unit in _TOKENS)
_WRITES = frozenset({"cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h"})
_SIZES = frozenset({"low", "medium", "high"})


def quantities_of(usage: Usage, card: PriceCard) -> Quantities:
    """Return how much of each unit is to be charged; units of which there is nothing are left out. Seconds are in microseconds."""
    found: Quantities = {unit: count for unit, count in zip(_UNITS, _counts(usage), strict=True) if count}
    if "cache_write" not in found and not _WRITES.isdisjoint(found):
        found["cache_write"] = sum(found.get(unit, 0) for unit in _WRITES)
    if usage.characters or usage.audio_seconds or usage.images or usage.pages:
        _add_measures(found, usage, card)
    for unit, count in usage.searches.items():
        if count:
            found[unit] = min(count, 1) if unit in card.once else count
    if "request" in card.rates:
        _add_request(found, usage, card)
    if "citation" in card.rates:
        _add_outside(found, usage)
    return found


def _add_measures(found: Quantities, usage: Usage, card: PriceCard) -> None:
    """Add characters, seconds, images and pages, where they are what is billed or where nothing else could be."""
    told = {}
    if usage.characters:
        told["characters"] = usage.characters
    if usage.audio_seconds:
        told["audio_seconds"] = _microseconds(usage.audio_seconds, card.minimum_seconds)
    if usage.images:
        told["images"] = usage.images
    if usage.pages:
        told["pages"] = usage.pages
    if told:
        billed = {unit: count for unit, count in told.items() if unit in card.covered}
        found.update(billed or (told if not found else {}))


def _microseconds(seconds: float, least: int) -> int:
    try:
        exact = int((Decimal(repr(float(seconds))) * MICROSECONDS).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        return 0
    return max(exact, least * MICROSECONDS)


def _add_request(found: Quantities, usage: Usage, card: PriceCard) -> None:
    """Add the call itself, and what size of search it was where the provider tells that, and charges by it."""
    found["request"] = 1
    size = usage.raw.get("search_context_size") if isinstance(usage.raw, dict) else None
    if isinstance(size, str) and size in _SIZES and f"request_{size}" in card.rates:
        found[f"request_{size}"] = 1


def _add_outside(found: Quantities, usage: Usage) -> None:
    """Add what Perplexity's deep research counts apart from the completion: its reasoning, and the pages that it cites."""
    raw = usage.raw if isinstance(usage.raw, dict) else {}
    counts = {unit: raw.get(f"{unit}_tokens") for unit in ("reasoning", "citation")}
    for unit, count in counts.items():
        if type(count) is int and count > 0:
            found[unit] = count
            found["output"] = found.get("output", 0) + count
