"""Usage of Gemini's native API.

`promptTokenCount` holds the cached part but not what tools put into the prompt; `candidatesTokenCount` does not hold the thoughts.
Counts of zero are left out of the answer. In streams every chunk has the counts so far, which can shrink: the last chunk's count.

Source: https://ai.google.dev/api/generate-content#UsageMetadata and ../shared/reference/pricing.md section 2.2.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from domain.calls import Usage
from pricing.usage.numbers import ANOMALOUS, TOTAL_MISMATCH, Numbers, added, more_than

_TRAFFIC = {
    "on_demand": "standard",
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "provisioned_throughput": "provisioned",
}


def usage_of(
    raw: Any, *, header_tier: str | None = None, searches: Mapping[str, int] | None = None, batch: bool = False
) -> Usage | None:
    """Return the usage in an answer's `usageMetadata`, None if there is no such object.

    `header_tier` is the answer's `x-gemini-service-tier`, which counts where the body is silent. `searches` are those that the
    answer's grounding shows.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    numbers = Numbers(raw)
    prompt, tools, total = (numbers.whole(name) for name in ("promptTokenCount", "toolUsePromptTokenCount", "totalTokenCount"))
    thoughts, cached = numbers.whole("thoughtsTokenCount"), numbers.whole("cachedContentTokenCount")
    answer = _first(numbers.whole("candidatesTokenCount"), numbers.whole("responseTokenCount"))
    given, made = added(prompt, tools), added(answer, thoughts)
    inside, outside, cached_kinds, odd = _modalities(numbers)
    flags = []
    if made is None and total is not None and given is not None and total >= given:
        made = total - given
    elif total is not None and total != (given or 0) + (made or 0):
        flags.append(TOTAL_MISMATCH)
    parts = (*((count, given) for count in (cached, *inside.values())), *((count, made) for count in outside.values()))
    if odd or numbers.impossible or any(more_than(part, whole) for part, whole in parts):
        flags.append(ANOMALOUS)
    return Usage(
        input_tokens=given,
        cache_read_tokens=cached,
        cache_read_audio_tokens=cached_kinds.get("AUDIO"),
        cache_read_image_tokens=cached_kinds.get("IMAGE"),
        input_audio_tokens=inside.get("AUDIO"),
        input_image_tokens=inside.get("IMAGE"),
        input_video_tokens=inside.get("VIDEO"),
        output_tokens=made,
        reasoning_tokens=thoughts,
        output_audio_tokens=outside.get("AUDIO"),
        output_image_tokens=outside.get("IMAGE"),
        searches={name: count for name, count in (searches or {}).items() if count},
        tier=_tier(numbers, header_tier),
        batch=batch,
        flags=tuple(flags),
        raw=raw,
    )


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


_Modalities = dict[str, int]


def _modalities(numbers: Numbers) -> tuple[_Modalities, _Modalities, _Modalities, bool]:
    """Return the tokens of each modality: of the input, of the output, of the cached part of the input; and if any was impossible."""
    prompt, odd_prompt = _by_modality(numbers.at("promptTokensDetails"), numbers.at("toolUsePromptTokensDetails"))
    answer, odd_answer = _by_modality(numbers.at("candidatesTokensDetails"), numbers.at("responseTokensDetails"))
    cached, odd_cached = _by_modality(numbers.at("cacheTokensDetails"))
    return prompt, answer, cached, odd_prompt or odd_answer or odd_cached


def _by_modality(*lists: Any) -> tuple[_Modalities, bool]:
    found: Counter[str] = Counter()
    odd = False
    for details in lists:
        for detail in details if isinstance(details, list) else ():
            entry = Numbers(detail)
            count = entry.whole("tokenCount")
            found[(entry.word("modality") or "").upper()] += count or 0
            odd = odd or entry.impossible
    return dict(found), odd


def _tier(numbers: Numbers, header_tier: str | None) -> str | None:
    """Return the tier that served the call, in small letters: the body's word, then the header's, then the kind of traffic."""
    named = numbers.word("serviceTier") or header_tier
    if named:
        return named.lower().removeprefix("service_tier_")
    traffic = (numbers.word("trafficType") or "").lower()
    return _TRAFFIC.get(traffic, traffic) or None
