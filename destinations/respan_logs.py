"""Calls as logs of Respan's own API, one in each request: with what they cost, which it does not read from OTLP.

Source: ../shared/reference/destinations.md section 4.3; `RespanLogParams` of respan-sdk 2.9.0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from destinations.chat import chat_messages
from destinations.costs import costs_of
from destinations.counts import total_tokens
from destinations.genai import error_message_of, error_type_of
from destinations.http import post
from destinations.jsontext import json_bytes, json_text
from destinations.lines import ended_text
from destinations.messages import messages_of
from destinations.openinference import metadata_of
from destinations.providers import name_of, operation_of
from domain.calls import Usage
from domain.destinations import Limits, Parcel, Payload, Receipt
from domain.spans import Span, rfc3339

if TYPE_CHECKING:
    import httpx

_LOG_TYPES = {
    "chat": "chat",
    "generate_content": "chat",
    "realtime": "chat",
    "text_completion": "completion",
    "embeddings": "embedding",
    "transcription": "transcription",
    "translation": "transcription",
    "speech": "speech",
}
# Any other is refused, with the log that it is in.
_ROLES = frozenset({"user", "assistant", "system", "tool", "none", "developer"})
_LONGEST_NAME = 255
_MOST_TOKENS = 2**63 - 1
_JSON = "application/json"


class RespanLogs:
    """One POST for each call. Respan knows no ids of requests, so that a log that is sent twice is two, with one `custom_identifier`."""

    def __init__(
        self,
        client: "httpx.AsyncClient",
        api: str,
        headers: Mapping[str, str],
        *,
        limits: Limits,
        parents: Literal["root", "keep"],
    ) -> None:
        self.limits = limits
        self._client = client
        self._url = f"{api}/request-logs/create/"
        self._headers = dict(headers)
        self._parents = parents

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return a call; of several, which nobody should ask for, a list that Respan does not take."""
        del batch
        logs = [log_of(parcel, keep_parent=self._parents == "keep") for parcel in parcels]
        calls = tuple(parcel.span.id for parcel in parcels)
        return Payload(json_bytes(logs[0] if len(logs) == 1 else logs), _JSON, calls)

    async def send(self, payload: Payload) -> Receipt:
        """Send a call."""
        answer = await post(self._client, self._url, body=payload.body, headers=self._headers, content_type=payload.content_type)
        return Receipt(answer.status)


def log_type_of(span: Span) -> str:
    """Return what kind of call Respan takes a span for."""
    return _LOG_TYPES.get(operation_of(span), "generation" if span.usage is not None else "span")


def function_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's definition as chat completions have it."""
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def log_of(parcel: Parcel, *, keep_parent: bool = False) -> dict[str, Any]:
    """Return a call as a log; what is not known is not there."""
    span, labels = parcel.span, parcel.span.labels
    first = span.time_to_first_chunk_ms if span.stream else None
    told = {
        "log_type": log_type_of(span),
        "model": span.served_model or span.model,
        "stream": span.stream,
        "status_code": span.status,
        "error_message": None if error_type_of(span) is None else error_message_of(span) or span.outcome,
        "start_time": rfc3339(span.started_at),
        "timestamp": ended_text(parcel),
        "latency": None if span.latency_ms is None else span.latency_ms / 1000,
        "time_to_first_token": None if first is None else max(first, 0.0) / 1000,
        **_params(span),
        "usage": None if span.usage is None else usage_of(span.usage),
        "cost": costs_of(span).total,
        **_content(parcel),
        "custom_identifier": span.id,
        "customer_identifier": labels.user or labels.customer,
        # It makes sessions of threads and of groups of traces alike.
        "thread_identifier": labels.session or labels.run,
        "trace_unique_id": span.trace_id,
        "span_unique_id": span.span_id,
        "span_parent_id": span.parent_span_id if keep_parent else None,
        "span_name": name_of(span)[:_LONGEST_NAME],
        "metadata": {name: str(value) for name, value in {**metadata_of(span), **parcel.extra}.items()},
    }
    return {name: value for name, value in told.items() if value is not None}


def _params(span: Span) -> dict[str, Any]:
    """Return the settings of a request that a log has places for."""
    found: dict[str, Any] = {}
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
        value = span.params.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = value
    most = span.params.get("max_tokens")
    if type(most) is int and 0 <= most <= _MOST_TOKENS:
        found["max_tokens"] = most
    return found


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return tokens in Respan's terms; cached ones are among the input."""
    told = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": total_tokens(usage),
        "cache_read_input_tokens": usage.cache_read_tokens or None,
        "cache_creation_prompt_tokens": usage.cache_write_tokens or None,
    }
    found: dict[str, Any] = {name: count for name, count in told.items() if count is not None and abs(count) <= _MOST_TOKENS}
    if usage.reasoning_tokens:
        found["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return found


def _content(parcel: Parcel) -> dict[str, Any]:
    """Return what was asked and answered: as messages, or as texts where it was neither."""
    content = parcel.content
    messages = messages_of(content)
    asked = [_message(one) for one in chat_messages(messages.input, messages.system)]
    answered = [_message(one) for one in chat_messages(messages.output)]
    told: dict[str, Any] = {
        "prompt_messages": asked or None,
        "completion_message": answered[0] if answered else None,
        "completion_messages": answered if len(answered) > 1 else None,
        "tools": [function_of(tool) for tool in messages.tools] or None,
    }
    if content is not None and content.input is not None and not asked:
        told["input"] = json_text(content.input)
    if content is not None and content.output is not None and not answered:
        told["output"] = json_text(content.output)
    return told


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = message.get("role")
    return {**message, "role": role if isinstance(role, str) and role in _ROLES else "user"}
