"""Usage as OpenAI reports it, and the many providers that took over its shape and changed the meaning.

Source: shared/reference/pricing.md section 2.2, where each provider's fields and recorded answers are listed.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from domain.calls import Usage
from pricing.usage.counts import Counts
from pricing.usage.money import pico_usd
from pricing.usage.numbers import ANOMALOUS
from pricing.usage.reconcile import Counted, Reconciled, reconciled

_PICO_PER_TICK = 100  # xAI counts in 1e-10 USD
_LONGEST_TIME = 2**31
_NOTHING: Mapping[str, Any] = {}
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None


class _PlainInput(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: _Count = None
    audio_tokens: _Count = None


class _PlainOutput(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: _Count = None
    audio_tokens: _Count = None
    accepted_prediction_tokens: _Count = None
    rejected_prediction_tokens: _Count = None


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as OpenAI itself writes it for chats. Nearly all of it is this and no more, so that no other provider's meaning need be looked for."""

    prompt_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    completion_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    total_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    prompt_tokens_details: _PlainInput = msgspec.field(default_factory=_PlainInput)
    completion_tokens_details: _PlainOutput = msgspec.field(default_factory=_PlainOutput)


def usage_of(raw: Any, *, exact: Any = None, tier: Any = None, searches: Mapping[str, int] | None = None) -> Usage | None:
    """Return what a usage object means, or None if it is none.

    Chat and completions count `prompt` and `completion` tokens, responses and others `input` and `output`. The cache is inside
    the input. Whether reasoning is inside the output differs by provider (not with xAI, hidden with Gemini): the total tells.

    Args:
        raw: the usage object.
        exact: the same object with its fractions as text, for a cost that the provider reports.
        tier: the service tier that the answer names.
        searches: tool uses that were counted elsewhere.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    tier = tier if isinstance(tier, str) and tier else None
    plain = _plain_usage(raw, tier, searches) if "completion_tokens" in raw else None
    if plain is not None:
        return plain
    counts = Counts()
    inside_input = _part(raw, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    inside_output = _part(raw, "completion_tokens_details", "output_tokens_details", "output_token_details")
    settled = _settled(raw, counts, inside_input, inside_output)
    written = _part(inside_input, "cache_write_tokens_details") if inside_input else _NOTHING
    found = {} if _SEARCH_FIELDS.isdisjoint(raw) else _searches(raw, counts)
    seconds = raw.get("prompt_audio_seconds")
    cost = _reported_cost(exact if isinstance(exact, dict) else raw)
    return Usage(
        input_tokens=settled.input,
        cache_read_tokens=settled.cache_read,
        cache_write_tokens=settled.cache_write,
        cache_write_30m_tokens=counts.first(written, "ttl_30m_tokens") if written else None,
        cache_write_12h_tokens=counts.first(written, "ttl_12h_tokens") if written else None,
        input_audio_tokens=counts.first(inside_input, "audio_tokens"),
        input_image_tokens=counts.first(inside_input, "image_tokens"),
        input_video_tokens=counts.first(inside_input, "video_tokens"),
        output_tokens=settled.output,
        reasoning_tokens=settled.reasoning,
        output_audio_tokens=counts.first(inside_output, "audio_tokens"),
        output_image_tokens=counts.first(inside_output, "image_tokens"),
        audio_seconds=float(seconds) if isinstance(seconds, int | float) and 0 < seconds < _LONGEST_TIME else None,
        images=counts.first(_part(raw, "billed_units"), "images") if "billed_units" in raw else None,
        searches={**found, **(searches or _NOTHING)},
        reported_cost=cost,
        tier=tier,
        flags=(*settled.flags, ANOMALOUS) if counts.anomalous and ANOMALOUS not in settled.flags else settled.flags,
        raw=raw,
    )


def _plain_usage(raw: dict[str, Any], tier: str | None, searches: Mapping[str, int] | None) -> Usage | None:
    """Return what usage means in which nothing is odd and nothing is another provider's, or None if this is not such."""
    try:
        plain = msgspec.convert(raw, _Plain)
    except msgspec.ValidationError:
        return None
    prompt, completion = plain.prompt_tokens, plain.completion_tokens
    inside_input, inside_output = plain.prompt_tokens_details, plain.completion_tokens_details
    cached, reasoning = inside_input.cached_tokens, inside_output.reasoning_tokens
    if prompt + completion != plain.total_tokens or (cached or 0) > prompt or (reasoning or 0) > completion:
        return None
    return Usage(
        input_tokens=prompt,
        cache_read_tokens=cached,
        input_audio_tokens=inside_input.audio_tokens,
        output_tokens=completion,
        reasoning_tokens=reasoning,
        output_audio_tokens=inside_output.audio_tokens,
        searches=dict(searches or _NOTHING),
        tier=tier,
        raw=raw,
    )


def _settled(
    raw: Mapping[str, Any], counts: Counts, inside_input: Mapping[str, Any], inside_output: Mapping[str, Any]
) -> Reconciled:
    """Return the main counts, with everything inside input and output.

    Cohere bills `billed_units`; the `tokens` beside them are more. Voyage gives nothing but a total, which is all input.
    """
    counted = _part(raw, "billed_units") or raw
    prompt = counts.first(counted, "prompt_tokens", "input_tokens")
    completion = counts.first(counted, "completion_tokens", "output_tokens")
    total = counts.first(raw, "total_tokens")
    if prompt is None and completion is None and not counts.anomalous:
        prompt, total = total, None
    return reconciled(
        Counted(
            prompt,
            completion,
            total,
            reasoning=_either(counts, inside_output, raw, "reasoning_tokens"),
            cache_read=_cache_read(raw, counts, inside_input),
            cache_write=_either(counts, inside_input, raw, *_CACHE_WRITES),
        )
    )


# OpenAI's name (OpenRouter's too), and what gateways make of Anthropic's.
_CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def _cache_read(raw: Mapping[str, Any], counts: Counts, inside_input: Mapping[str, Any]) -> int | None:
    """Return what came from the cache: once, though some providers say it twice.

    Beside OpenAI's field there are DeepSeek's, Mistral's, and that of Hugging Face and Moonshot, at the top.
    """
    if inside_input.get("cached_tokens") is not None:
        return counts.first(inside_input, "cached_tokens")
    return counts.first(raw, "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens")


def _either(counts: Counts, details: Mapping[str, Any], raw: Mapping[str, Any], *names: str) -> int | None:
    """Return a count from the details, or from the top where some providers put it."""
    inside = counts.first(details, *names)
    return counts.first(raw, *names) if inside is None else inside


def _part(source: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the first object among the fields `names`, or an empty one."""
    for name in names:
        value = source.get(name)
        if isinstance(value, dict):
            return value
    return _NOTHING


# Where tool uses are counted, and their name in `Usage.searches`: by Perplexity, xAI, OpenRouter (twice) and Cohere (twice).
_SEARCHES = (
    ("num_search_queries", "web"),
    ("num_sources_used", "sources"),
    ("server_tool_use", "web_search_requests", "web"),
    ("server_tool_use_details", "web_search_requests", "web"),
    ("billed_units", "search_units", "rerank"),
    ("billed_units", "classifications", "classifications"),
)
_SEARCH_FIELDS = frozenset(row[0] for row in _SEARCHES)


def _searches(raw: Mapping[str, Any], counts: Counts) -> dict[str, int]:
    found: dict[str, int] = {}
    for *place, field, name in _SEARCHES:
        source = raw.get(place[0]) if place else raw
        number = counts.first(source, field) if isinstance(source, dict) else None
        if number:
            found[name] = number
    return found


def _reported_cost(raw: Mapping[str, Any]) -> int | None:
    """Return the provider's own figure in pico-USD.

    xAI gives ticks, Perplexity an object with a total, OpenRouter dollars; with a key of one's own at the provider ("BYOK")
    OpenRouter's cost is its fee, and what the provider takes stands beside it.
    """
    ticks = raw.get("cost_in_usd_ticks")
    if type(ticks) is int and 0 <= ticks < 2**63 // _PICO_PER_TICK:
        return ticks * _PICO_PER_TICK
    cost = raw.get("cost")
    if cost is None:
        return None
    if isinstance(cost, dict):
        return pico_usd(cost.get("total_cost"))
    own = pico_usd(cost)
    if own is not None and raw.get("is_byok") is True:
        return own + (pico_usd(_part(raw, "cost_details").get("upstream_inference_cost")) or 0)
    return own
