"""Deliver spans to PostHog as events of its LLM analytics.

Source: ../shared/reference/destinations.md section 5; PostHog's pages on generations, on calculating costs and on the capture API, read 2026-11.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from destinations.base import DestinationConfig
from destinations.chat import chat_messages
from destinations.costs import costs_of
from destinations.http import Answer, Verdict, gzipped, post
from destinations.jsontext import json_bytes
from destinations.lines import ended_text
from destinations.messages import messages_of
from destinations.providers import is_generation, name_of, provider_of
from destinations.urls import BaseUrl
from domain.destinations import Limits, Parcel, Payload, Receipt
from domain.spans import Span

if TYPE_CHECKING:
    import httpx

_TAKEN = 200
_FAILED = frozenset({"error", "interrupted", "denied"})


class PostHogConfig(DestinationConfig):
    """Send calls to PostHog's LLM analytics, with our costs in place of its own."""

    # PostHog drops an event over a megabyte without a word: so no request holds more than one may have.
    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=950_000, flush=1.0, parallel=4)

    type: Literal["posthog"] = "posthog"
    api_key: SecretStr = Field(description="The project's API key: `phc_…`.")
    url: BaseUrl = Field(
        "https://us.i.posthog.com", description="`https://eu.i.posthog.com` for Europe, or a server of your own."
    )

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in LLM analytics, under Traces, for {trace}."

    def build(self, name: str, client: "httpx.AsyncClient") -> "PostHog":
        """Return the destination."""
        del name
        return PostHog(client, self.url, self.api_key.get_secret_value(), self.limits())


class PostHog:
    """One request with many events. An event has the call's id, by which PostHog knows one that comes twice."""

    def __init__(self, client: "httpx.AsyncClient", url: str, key: str, limits: Limits) -> None:
        self.limits = limits
        self._client = client
        self._url = url
        self._key = key

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the events."""
        del batch
        events = [event_of(parcel) for parcel in parcels]
        return Payload(json_bytes({"batch": events}), "application/json", tuple(parcel.span.id for parcel in parcels))

    async def send(self, payload: Payload) -> Receipt:
        """Send the events. PostHog wants the key in the body; it is put there only now, so that no stored payload holds it."""
        body = b'{"api_key":' + json_bytes(self._key) + b"," + payload.body[1:]
        answer = await post(
            self._client,
            f"{self._url}/batch/",
            body=body,
            headers={},
            content_type=payload.content_type,
            pack=gzipped,
            judge=_verdict,
        )
        return Receipt(answer.status)


def _verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: a 200 can say that the plan's quota is used up, and that nothing was kept."""
    if answer.status != _TAKEN or b"quota_limited" not in answer.body:
        return None
    try:
        said = json.loads(answer.body)
    except ValueError:
        return None
    return "misconfigured" if isinstance(said, dict) and said.get("quota_limited") else None


def event_of(parcel: Parcel) -> dict[str, Any]:
    """Return a call as an event. A call of nobody is of its trace, and makes no person."""
    span, labels = parcel.span, parcel.span.labels
    properties = _properties(parcel)
    person = labels.user or labels.customer
    if person is None:
        properties["$process_person_profile"] = False
    return {
        "event": _name(span),
        "uuid": str(UUID(span.id)),
        "distinct_id": (person or span.trace_id)[:200],
        "timestamp": ended_text(parcel),
        "properties": {name: value for name, value in properties.items() if value is not None},
    }


def _name(span: Span) -> str:
    if span.operation == "embeddings":
        return "$ai_embedding"
    return "$ai_generation" if is_generation(span) or span.usage is not None or span.cost is not None else "$ai_span"


def _properties(parcel: Parcel) -> dict[str, Any]:
    """Return what PostHog shows. Each call is at the top of its trace: a parent that PostHog never saw would hide it."""
    span, labels = parcel.span, parcel.span.labels
    return {
        **labels.tags,
        "customer": labels.customer,
        "environment": labels.env,
        "release": labels.release,
        "run": labels.run,
        "section": labels.section,
        "project": span.project,
        "gateway_key": span.key_name,
        "gateway_call_id": span.id,
        "parent_span_id": span.parent_span_id,
        "outcome": span.outcome,
        "cost_status": span.cost_status,
        **parcel.extra,
        "$ai_trace_id": span.trace_id,
        "$ai_span_id": span.span_id,
        "$ai_parent_id": span.trace_id,
        "$ai_session_id": labels.session or labels.run,
        "$ai_span_name": name_of(span),
        "$ai_prompt_name": labels.prompt,
        "$ai_model": span.served_model or span.model,
        "$ai_provider": provider_of(span, parcel.server),
        "$ai_stream": span.stream,
        "$ai_http_status": span.status,
        "$ai_base_url": f"https://{parcel.server[0]}" if parcel.server is not None else None,
        "$ai_request_url": f"https://{parcel.server[0]}{span.path.partition('?')[0]}" if parcel.server is not None else None,
        "$ai_latency": None if span.latency_ms is None else span.latency_ms / 1000,
        "$ai_time_to_first_token": span.time_to_first_chunk_ms / 1000
        if span.stream and span.time_to_first_chunk_ms is not None
        else None,
        "$ai_stop_reason": span.finish_reasons[0] if span.finish_reasons else None,
        "$ai_temperature": span.params.get("temperature"),
        "$ai_max_tokens": span.params.get("max_tokens"),
        "$ai_model_parameters": dict(span.params) or None,
        **_error(span),
        **_messages(parcel),
        **_usage(span),
        **_costs(span),
    }


def _error(span: Span) -> dict[str, Any]:
    if span.outcome not in _FAILED:
        return {"$ai_is_error": False}
    error = span.error
    return {
        "$ai_is_error": True,
        "$ai_error": span.outcome if error is None else f"{error.type or error.code or 'error'}: {error.message}",
    }


def _messages(parcel: Parcel) -> dict[str, Any]:
    found = messages_of(parcel.content)
    asked = chat_messages(found.input, found.system)
    return {
        "$ai_input": asked or None,
        "$ai_output_choices": chat_messages(found.output) or None,
        "$ai_tools": [{"type": "function", "function": _without_type(tool)} for tool in found.tools] or None,
    }


def _without_type(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "type"}


def _usage(span: Span) -> dict[str, Any]:
    """Return the counts. Ours have cached tokens in the input whoever the provider is, which is said: PostHog would guess by provider."""
    usage = span.usage
    if usage is None:
        return {}
    return {
        "$ai_input_tokens": usage.input_tokens,
        "$ai_output_tokens": usage.output_tokens,
        "$ai_cache_read_input_tokens": usage.cache_read_tokens,
        "$ai_cache_creation_input_tokens": usage.cache_write_tokens,
        "$ai_cache_reporting_exclusive": False,
        "$ai_reasoning_tokens": usage.reasoning_tokens,
        "$ai_web_search_count": usage.searches.get("web"),
    }


def _costs(span: Span) -> dict[str, Any]:
    """Return the cost, and that PostHog is not to compute one of its own. It needs numbers, and takes floats."""
    costs = costs_of(span)
    if costs.total is None:
        return {}
    return {
        "$ai_input_cost_usd": costs.input,
        "$ai_output_cost_usd": costs.output,
        "$ai_total_cost_usd": costs.total,
        "$ai_cost_passthrough": True,
    }
