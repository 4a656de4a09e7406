"""Deliver spans to Datadog's Agent Observability (formerly LLM Observability) by its spans API.

Source: ../shared/reference/destinations.md section 4.9.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from destinations.base import DestinationConfig
from destinations.costs import costs_of
from destinations.counts import total_tokens
from destinations.genai import error_message_of, error_type_of
from destinations.http import post
from destinations.jsontext import json_bytes, json_text
from destinations.media import Part
from destinations.messages import Message, messages_of
from destinations.providers import is_generation, name_of, provider_of
from destinations.urls import BaseUrl
from domain.destinations import Limits, Parcel, Payload, Receipt
from domain.spans import Span

if TYPE_CHECKING:
    import httpx

Site = Literal[
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
]
PATH = "/api/intake/llm-obs/v1/trace/spans"
# It takes spans of the last 24 hours; ten minutes are for the way.
_OLDEST = 24 * 3600.0 - 600.0
_MOST_BYTES = 4_500_000
_LONGEST_TAG = 200
# What it takes a span without a parent for.
_NO_PARENT = "undefined"
_ML_APP = re.compile(r"[a-z][a-z0-9_:./-]{0,192}")


class DatadogConfig(DestinationConfig):
    """Send calls to Datadog's Agent Observability (formerly LLM Observability)."""

    LIMITS: ClassVar[Limits] = Limits(
        items=50, body_bytes=_MOST_BYTES, item_bytes=_MOST_BYTES, flush=1.0, parallel=2, max_age=_OLDEST
    )

    type: Literal["datadog"] = "datadog"
    api_key: SecretStr = Field(description="An API key.")
    site: Site = Field("datadoghq.com", description="Where your account is.")
    ml_app: str = Field("faregate", description="The name of the application in Datadog: lower case, at most 193 characters.")
    service: str | None = Field(None, description="The service; by default as `ml_app`.")
    url: BaseUrl | None = Field(None, description="The URL of the API, where it is not that of the site: a proxy of your own.")

    @field_validator("ml_app")
    @classmethod
    def _usable_name(cls, ml_app: str) -> str:
        if not _ML_APP.fullmatch(ml_app) or "__" in ml_app or ml_app.endswith("_"):
            raise ValueError(
                "a name begins with a letter and has at most 193 of a-z, 0-9, and _ - : . /, no two _ in a row and none at its end"
            )
        return ml_app

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in Agent Observability, in the application's traces, for {trace}."

    def build(self, name: str, client: "httpx.AsyncClient") -> "Datadog":
        """Return the destination."""
        del name
        url = (self.url or f"https://api.{self.site}") + PATH
        service = self.service or self.ml_app
        return Datadog(client, url, self.api_key.get_secret_value(), ml_app=self.ml_app, service=service, limits=self.limits())


class Datadog:
    """Many spans in one request. Datadog does not say what it does with one that comes twice; ids are the same then."""

    def __init__(  # noqa: PLR0913 - what it is told
        self, client: "httpx.AsyncClient", url: str, key: str, *, ml_app: str, service: str, limits: Limits
    ) -> None:
        self.limits = limits
        self._client = client
        self._url = url
        self._headers = {"dd-api-key": key}
        self._ml_app = ml_app
        self._service = service

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the spans."""
        del batch
        attributes = {
            "ml_app": self._ml_app,
            "tags": [f"service:{self._service}"],
            "spans": [span_of(parcel) for parcel in parcels],
        }
        body = json_bytes({"data": {"type": "span", "attributes": attributes}})
        return Payload(body, "application/json", tuple(parcel.span.id for parcel in parcels))

    async def send(self, payload: Payload) -> Receipt:
        """Send the spans."""
        answer = await post(self._client, self._url, body=payload.body, headers=self._headers, content_type=payload.content_type)
        return Receipt(answer.status)


def span_of(parcel: Parcel) -> dict[str, Any]:
    """Return a call as a span. It is always a root: a parent that Datadog was not sent would hide it, and is a tag."""
    span = parcel.span
    made: dict[str, Any] = {
        "name": name_of(span),
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": _NO_PARENT,
        "start_ns": span.started_at,
        "duration": round((span.latency_ms or 0) * 1_000_000),
        "status": "error" if error_type_of(span) is not None else "ok",
        "tags": _tags(parcel),
        "meta": _meta(parcel),
        "metrics": _metrics(span),
    }
    session = span.labels.session or span.labels.run
    return made | ({"session_id": session} if session else {})


def _tags(parcel: Parcel) -> list[str]:
    span, labels = parcel.span, parcel.span.labels
    told: dict[str, Any] = {
        **labels.tags,
        **parcel.extra,
        "env": labels.env,
        "version": labels.release,
        "user_id": labels.user,
        "customer": labels.customer,
        "run": labels.run,
        "section": labels.section,
        "prompt": labels.prompt,
        "project": span.project,
        "gateway_key": span.key_name,
        "gateway_request_id": span.id,
        "parent_span_id": span.parent_span_id,
        "upstream": span.upstream,
        "outcome": span.outcome,
        "cost_status": span.cost_status,
        "shortened": parcel.shortened,
    }
    return [f"{name}:{value}"[:_LONGEST_TAG] for name, value in told.items() if value is not None]


def _meta(parcel: Parcel) -> dict[str, Any]:
    span = parcel.span
    found = messages_of(parcel.content)
    metadata: dict[str, Any] = {
        "model_name": span.served_model or span.model or "unknown",
        "model_provider": provider_of(span, parcel.server),
        **span.params,
    }
    meta: dict[str, Any] = {"kind": _kind(span), "metadata": metadata, **_bodies(parcel)}
    if found.tools:
        meta["tool_definitions"] = [
            {"name": tool.get("name", ""), "description": tool.get("description", ""), "schema": tool.get("parameters", {})}
            for tool in found.tools
        ]
    error = error_type_of(span)
    if error is not None:
        meta["error"] = {"type": error, "message": error_message_of(span), "stack": ""}
    return meta


def _kind(span: Span) -> str:
    if span.operation == "embeddings":
        return "embedding"
    return "llm" if is_generation(span) or span.usage is not None else "task"


def _bodies(parcel: Parcel) -> dict[str, Any]:
    """Return what went in and came out, in the form that the span's kind wants: messages, documents, or a text."""
    found, kind = messages_of(parcel.content), _kind(parcel.span)
    if kind == "llm":
        system = [{"role": "system", "parts": found.system}] if found.system else []
        return {
            "input": {"messages": [made for message in (*system, *found.input) for made in _messages(message)]},
            "output": {"messages": [made for message in found.output for made in _messages(message)]},
        }
    if parcel.content is None:
        return {"input": {}, "output": {}}
    if kind == "embedding":
        texts = [str(part.get("content", "")) for message in found.input for part in message["parts"] if isinstance(part, dict)]
        return {"input": {"documents": [{"text": text} for text in texts]}, "output": {}}
    return {"input": {"value": json_text(parcel.content.input)}, "output": {"value": json_text(parcel.content.output)}}


def _messages(message: Message) -> list[dict[str, Any]]:
    """Return a message, and before it what was thought, which Datadog draws as a message of its own."""
    parts: list[Part] = [part for part in message.get("parts", ()) if isinstance(part, dict)]
    thought = "\n".join(str(part.get("content", "")) for part in parts if part.get("type") == "reasoning")
    return [*([{"role": "reasoning", "content": thought}] if thought else []), _message(message, parts)]


def _message(message: Message, parts: list[Part]) -> dict[str, Any]:
    """Return a message: its text, and beside it what tools were called, what they answered, and the pictures that it holds."""
    made: dict[str, Any] = {
        "role": str(message.get("role", "")),
        "content": "\n".join(text for part in parts if (text := _text(part))),
    }
    calls = [_call(part) for part in parts if part.get("type") == "tool_call"]
    answers = [_answer(part) for part in parts if part.get("type") == "tool_call_response"]
    pictures = [
        {"mime_type": part.get("mime_type", "image/png"), "content": part.get("content", "")}
        for part in parts
        if part.get("type") == "blob" and part.get("modality") == "image"
    ]
    told = {"tool_calls": calls, "tool_results": answers, "image_parts": pictures}
    return made | {name: value for name, value in told.items() if value}


def _text(part: Part) -> str:
    """Return what a part says in the text of a message: nothing where it stands beside it."""
    kind = part.get("type")
    if kind in {"tool_call", "tool_call_response", "reasoning"} or (kind == "blob" and part.get("modality") == "image"):
        return ""
    if kind in {"text", "refusal"}:
        return str(part.get("content", ""))
    if kind == "uri":
        return str(part.get("uri", ""))
    return json_text({name: value for name, value in part.items() if name != "content"})


def _call(part: Part) -> dict[str, Any]:
    arguments = part.get("arguments")
    told = arguments if isinstance(arguments, dict) else {} if arguments is None else {"value": arguments}
    made: dict[str, Any] = {"name": part.get("name") or "", "arguments": told, "type": "function"}
    return made | ({"tool_id": part["id"]} if "id" in part else {})


def _answer(part: Part) -> dict[str, Any]:
    response = part.get("response")
    made: dict[str, Any] = {
        "name": str(part.get("name") or ""),
        "result": response if isinstance(response, str) else json_text(response),
    }
    return made | ({"tool_id": part["id"]} if "id" in part else {}) | {"type": "function"}


def _metrics(span: Span) -> dict[str, int | float]:
    """Return counts and costs: our costs take the place of Datadog's estimates."""
    usage, costs = span.usage, costs_of(span)
    told: dict[str, int | float | None] = {}
    if usage is not None:
        told = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": total_tokens(usage),
            "cache_read_input_tokens": usage.cache_read_tokens,
            "cache_write_input_tokens": usage.cache_write_tokens,
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
            "reasoning_output_tokens": usage.reasoning_tokens,
        }
    told |= {"input_cost": costs.input, "output_cost": costs.output, "total_cost": costs.total}
    if span.stream and span.time_to_first_chunk_ms is not None:
        told["time_to_first_token"] = span.time_to_first_chunk_ms / 1000
    return {name: value for name, value in told.items() if value is not None}
