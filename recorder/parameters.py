"""The settings of a request that platforms show beside a call: few, small, and by the names of the OpenTelemetry GenAI conventions.

They are kept also where no body is. Source: ../shared/reference/destinations.md, section 3.4.
"""

from collections.abc import Mapping
from typing import Any

LONGEST_TEXT = 200
MOST_STOPS = 16
# Of several that mean the same, the first counts.
_NUMBERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "topP": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "max_tokens": "max_tokens",
    "top_k": "top_k",
    "topK": "top_k",
    "seed": "seed",
    "n": "choice.count",
    "candidateCount": "choice.count",
}
_WHOLE = frozenset({"max_tokens", "top_k", "seed", "choice.count"})
_STOPS = ("stop", "stop_sequences", "stopSequences")


def parameters_of(request: Any) -> dict[str, Any]:
    """Return the settings of a request body (a JSON value, perhaps none)."""
    if not isinstance(request, dict):
        return {}
    found: dict[str, Any] = {}
    inner = request.get("generationConfig")
    for part in (request, inner) if isinstance(inner, dict) else (request,):
        _read(part, found)
    effort = _text(_member(request, "reasoning", "effort")) or _text(request.get("reasoning_effort"))
    if effort:
        found["reasoning.level"] = effort
    previous = _text(request.get("previous_response_id"))
    if previous:
        found["previous_response.id"] = previous
    return found


def _read(part: Mapping[str, Any], found: dict[str, Any]) -> None:
    for name, known in _NUMBERS.items():
        value = part.get(name)
        if type(value) is int or (type(value) is float and known not in _WHOLE):
            found.setdefault(known, value)
    for name in _STOPS:
        stops = part.get(name)
        texts = [stops] if isinstance(stops, str) else stops
        if isinstance(texts, list) and texts:
            found["stop_sequences"] = [stop[:LONGEST_TEXT] for stop in texts[:MOST_STOPS] if isinstance(stop, str)]


def _member(value: Mapping[str, Any], name: str, inner: str) -> Any:
    outer = value.get(name)
    return outer.get(inner) if isinstance(outer, dict) else None


def _text(value: Any) -> str | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) and value else None
