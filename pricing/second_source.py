"""Another price list beside ours: where the two differ, one of them is wrong.

Two shapes are read: litellm's `model_prices_and_context_window.json` (US dollars for one token, by model; the fields as in litellm 1.109) and the
published list of genai-prices. What only one of the two has is counted, and not compared.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.prices import ATTO_PER_USD
from pricing.book import PriceBook
from pricing.cards import usd_text
from pricing.compiling import compiled, raw_list
from pricing.names import PROVIDERS
from pricing.snapshot import Snapshot
from pricing.units import MILLION

UNITS = ("input", "output", "cache_read", "cache_write")
LARGEST = 64 * 2**20
_APART = 100  # one part in so many
_LITELLM_UNITS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
_LITELLM_PROVIDERS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "azure": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "groq": "groq",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "openrouter": "openrouter",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "cerebras": "cerebras",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "moonshot": "moonshotai",
    "zai": "zai",
    "voyage": "voyageai",
}
_UPSTREAMS = {provider: upstream for upstream, provider in reversed(list(PROVIDERS.items()))}


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as the other list has it: rates in 1e-24 US dollars for one token, by unit. None means that it is the one in `book`."""

    provider: str
    model: str
    rates: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class SecondList:
    """Another price list, and its shape. `book` is there where it has the shape of ours."""

    format: str
    models: tuple[Listed, ...]
    book: PriceBook | None = None


def read_list(text: bytes) -> SecondList:
    """Return a price list.

    Raises:
        ValueError: it is neither of the two.
    """
    if len(text) > LARGEST:
        raise ValueError("it is larger than a price list")
    try:
        raw = json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if isinstance(raw, dict):
        found = tuple(_litellm(raw))
        if found:
            return SecondList("litellm", found)
    if isinstance(raw, list):
        snapshot = Snapshot.of_files(compiled(raw_list(text), "second list"))
        models = tuple(
            Listed(provider, model.id, None)
            for provider in snapshot.providers
            if provider in _UPSTREAMS
            for model in snapshot.models(provider)
        )
        return SecondList("genai-prices", models, PriceBook(snapshot))
    raise ValueError("it is neither litellm's price map nor genai-prices' list")


def compared(book: PriceBook, other: SecondList, at: int) -> dict[str, Any]:
    """Return where `book` and another list are one percent apart or more at `at` (Unix nanoseconds), as JSON values."""
    apart: list[dict[str, Any]] = []
    both = equal = missing = 0
    for listed in other.models:
        ours = _rates(book, listed, at)
        theirs = listed.rates if listed.rates is not None else _rates(other.book or book, listed, at)
        if ours is None or theirs is None:
            missing += 1
            continue
        both += 1
        different = list(_different(listed, ours, theirs))
        equal += not different
        apart += different
    return {"kind": "list", "format": other.format, "compared": both, "equal": equal, "only_theirs": missing, "apart": apart}


def _rates(book: PriceBook, listed: Listed, at: int) -> dict[str, int] | None:
    upstream = _UPSTREAMS.get(listed.provider)
    card = None if upstream is None else book.card(upstream=upstream, model=listed.model, at=at)
    return None if card is None else {unit: card.rates[unit].base for unit in UNITS if unit in card.rates}


def _different(listed: Listed, ours: Mapping[str, int], theirs: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the units in which the two are apart. What one of them leaves out is no difference."""
    for unit in UNITS:
        if unit in ours and unit in theirs and abs(ours[unit] - theirs[unit]) * _APART > max(ours[unit], theirs[unit]):
            yield {
                "provider": listed.provider,
                "model": listed.model,
                "unit": unit,
                "ours": usd_text(ours[unit] * MILLION),
                "theirs": usd_text(theirs[unit] * MILLION),
            }


def _litellm(raw: Mapping[str, Any]) -> Iterator[Listed]:
    for name, fields in raw.items():
        provider = _LITELLM_PROVIDERS.get(str(fields.get("litellm_provider"))) if isinstance(fields, dict) else None
        if provider is None:
            continue
        rates = {unit: rate for field, unit in _LITELLM_UNITS.items() if (rate := _atto(fields.get(field))) is not None}
        if "input" in rates:
            yield Listed(provider, name.removeprefix(f"{fields['litellm_provider']}/"), rates)


def _atto(value: Any) -> int | None:
    """Return US dollars for one token as 1e-24 US dollars, None where there is no such amount."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        amount = Decimal(value)
        if not amount.is_finite() or not 0 <= amount < 1:
            return None
        return int((amount * ATTO_PER_USD).to_integral_value())
    except InvalidOperation:
        return None
