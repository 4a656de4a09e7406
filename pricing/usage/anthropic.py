"""Usage of Anthropic's Messages API.

`input_tokens` leaves out what was read from the cache and written to it, so all three are added. In streams the counts of
`message_delta` are cumulative: they replace those of `message_start`, field by field.

Source: https://docs.anthropic.com/en/api/messages and ../shared/reference/pricing.md section 2.2.
"""

from typing import Any

from domain.calls import SubCall, Usage
from pricing.usage.numbers import ANOMALOUS, Numbers, added, more_than

_NOT_IN_THE_TOP_LEVEL = ("compaction", "advisor_message")
_IN_THE_TOP_LEVEL = ("message", "fallback_message")
_SEARCHES = {"web_search_requests": "web", "web_fetch_requests": "web_fetch"}


def merged(earlier: Any, later: Any) -> dict[str, Any]:
    """Return one usage object of two from the same stream: what `later` says wins, what it leaves out or has as null stays."""
    merged_fields = dict(earlier) if isinstance(earlier, dict) else {}
    if isinstance(later, dict):
        merged_fields.update({name: value for name, value in later.items() if value is not None or name not in merged_fields})
    return merged_fields


def usage_of(raw: Any, *, batch: bool = False) -> Usage | None:
    """Return the usage in a message's `usage` object, None if there is no such object.

    `batch` says that the message came out of a batch; `service_tier: batch` says so too.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    numbers = Numbers(raw)
    fresh, read, output = (numbers.whole(name) for name in ("input_tokens", "cache_read_input_tokens", "output_tokens"))
    five_minutes = numbers.whole("cache_creation", "ephemeral_5m_input_tokens")
    one_hour = numbers.whole("cache_creation", "ephemeral_1h_input_tokens")
    written = numbers.whole("cache_creation_input_tokens")
    split = added(five_minutes, one_hour)
    thinking = numbers.whole("output_tokens_details", "thinking_tokens")
    tier = numbers.word("service_tier")
    sub_calls, odd = _sub_calls(raw.get("iterations"), batch=batch)
    searches = {name: numbers.whole("server_tool_use", field) for field, name in _SEARCHES.items()}
    if numbers.impossible or more_than(thinking, output):
        odd = (*odd, ANOMALOUS)
    if written is not None and split is not None and written != split:
        odd = (*odd, "cache_split_mismatch")
    written = split if written is None else written
    return Usage(
        input_tokens=None if fresh is None else added(fresh, written, read),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=one_hour,
        output_tokens=output,
        reasoning_tokens=thinking,
        searches={name: count for name, count in searches.items() if count},
        sub_calls=sub_calls,
        tier=tier,
        geo=numbers.word("inference_geo"),
        speed=numbers.word("speed"),
        batch=batch or tier == "batch",
        flags=tuple(dict.fromkeys(odd)),
        raw=raw,
    )


def _sub_calls(iterations: Any, *, batch: bool) -> tuple[tuple[SubCall, ...], tuple[str, ...]]:
    """Return the iterations that the top-level counts leave out, and what was odd about the list."""
    found: list[SubCall] = []
    odd: list[str] = []
    for iteration in iterations if isinstance(iterations, list) else ():
        kind = iteration.get("type") if isinstance(iteration, dict) else None
        if kind in _IN_THE_TOP_LEVEL:
            continue
        if kind not in _NOT_IN_THE_TOP_LEVEL:
            odd.append("unknown_iteration")
            continue
        # nothing in an iteration is itself a list of iterations
        usage = usage_of({name: value for name, value in iteration.items() if name != "iterations"}, batch=batch)
        if usage is not None:
            found.append(SubCall(Numbers(iteration).word("model"), kind, usage))
            odd.extend(usage.flags)
    return tuple(found), tuple(odd)
