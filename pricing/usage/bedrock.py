"""Usage of Amazon Bedrock's Converse API, and of models that are invoked by their own API and answer in Bedrock's shape.

What was read from the cache or written to it is not in `inputTokens`, and is added; the total has it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html and ../shared/reference/pricing.md section 2.2.
"""

from typing import Any

from domain.calls import Usage
from pricing.usage.numbers import ANOMALOUS, TOTAL_MISMATCH, Numbers, added

_TTLS = {"5m": "cache_write_5m_tokens", "1h": "cache_write_1h_tokens"}


def usage_of(raw: Any, *, tier: Any = None) -> Usage | None:
    """Return the usage in a `usage` object of Bedrock, None if there is no such object. `tier` is the service tier that served the call."""
    if not isinstance(raw, dict) or not raw:
        return None
    numbers = Numbers(raw)
    fresh, made, total = (numbers.whole(name) for name in ("inputTokens", "outputTokens", "totalTokens"))
    read, written = _either(numbers, "cacheReadInputToken"), _either(numbers, "cacheWriteInputToken")
    by_ttl, odd = _by_ttl(raw.get("cacheDetails"))
    given = None if fresh is None else added(fresh, read, written)
    flags = []
    if total is not None and given is not None and made is not None and total != given + made:
        flags.append(TOTAL_MISMATCH)
    if numbers.impossible or odd:
        flags.append(ANOMALOUS)
    return Usage(
        input_tokens=given,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=made,
        tier=tier if isinstance(tier, str) and tier else None,
        flags=tuple(flags),
        raw=raw,
        **by_ttl,
    )


def _either(numbers: Numbers, name: str) -> int | None:
    """Return a count that is told twice: `…Tokens` and `…TokenCount` are the same number."""
    found = numbers.whole(f"{name}s")
    return numbers.whole(f"{name}Count") if found is None else found


def _by_ttl(details: Any) -> tuple[dict[str, Any], bool]:
    """Return what was written to the cache for how long, and whether a number in it was impossible."""
    found: dict[str, Any] = {}
    odd = False
    for detail in details if isinstance(details, list) else ():
        numbers = Numbers(detail)
        field, count = _TTLS.get(numbers.word("ttl") or ""), numbers.whole("inputTokens")
        odd = odd or numbers.impossible
        if field is not None and count is not None:
            found[field] = found.get(field, 0) + count
    return found, odd
