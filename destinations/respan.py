"""Deliver spans to Respan (formerly Keywords AI) by OTLP.

Source: ../shared/reference/destinations.md section 4.3; the names are those of respan-sdk 2.9.0. It is documented to read messages one attribute at a
time (`gen_ai.prompt.0.role`), and tokens by the conventions' older names.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from destinations.attributes import Attributes
from destinations.chat import chat_messages
from destinations.costs import costs_of
from destinations.credentials import HeaderSecret
from destinations.genai import error_message_of, error_type_of, genai_without_messages
from destinations.jsontext import json_text
from destinations.openinference import metadata_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import operation_of
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Limits, Parcel
from domain.spans import Span

_MB = 1024 * 1024
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


class RespanConfig(PresetConfig):
    """Send spans to Respan (formerly Keywords AI)."""

    LIMITS: ClassVar[Limits] = Limits(items=50, body_bytes=4 * _MB, parallel=2)

    type: Literal["respan"] = "respan"
    url: Url = Field("https://api.respan.ai", description="Where Respan is.")
    api_key: HeaderSecret = Field(description="An API key.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Traces for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Respan is sent to."""
        return Preset(
            url=f"{self.url.rstrip('/').removesuffix('/api')}/api/v2/traces",
            # The second one tells it that this is a report, of which it is to make none itself.
            headers={"authorization": f"Bearer {self.api_key.get_secret_value()}", "x-respan-dogfood": "1"},
            mappers=(respan, genai_without_messages),
            parents=self.parents,
        )


def respan(parcel: Parcel, to: Attributes) -> None:
    """Write what Respan has names of its own for, and messages and tokens by the names that it is documented to read."""
    span = parcel.span
    # It takes what begins so for a message; the prompt's name is among the metadata.
    to.leave_out("gen_ai.prompt.name", "gen_ai.prompt.version")
    kind = log_type_of(span)
    to.text("respan.entity.log_type", kind)
    to.text("llm.request.type", {"response": "chat", "generation": "completion"}.get(kind, kind))
    if span.stream:
        to.flag("llm.is_streaming", True)
    if span.usage is not None:
        _write_usage(span.usage, to)
    messages = to.messages
    _write_messages("gen_ai.prompt", chat_messages(messages.input, messages.system), to)
    _write_messages("gen_ai.completion", chat_messages(messages.output), to)
    to.json("respan.span.tools", [{"type": "function", "function": _function(tool)} for tool in messages.tools])
    if error_type_of(span) is not None:
        to.text("error.message", error_message_of(span))
    _write_identity(span, to)


def log_type_of(span: Span) -> str:
    """Return what kind of call Respan takes a span for."""
    return _LOG_TYPES.get(operation_of(span), "generation" if span.usage is not None else "span")


def _write_usage(usage: Usage, to: Attributes) -> None:
    to.whole("gen_ai.usage.prompt_tokens", usage.input_tokens)
    to.whole("gen_ai.usage.completion_tokens", usage.output_tokens)
    if usage.input_tokens is not None and usage.output_tokens is not None:
        to.whole("gen_ai.usage.total_tokens", usage.input_tokens + usage.output_tokens)
        to.whole("llm.usage.total_tokens", usage.input_tokens + usage.output_tokens)
    to.whole("prompt_cache_hit_tokens", usage.cache_read_tokens or None)
    to.whole("prompt_cache_creation_tokens", usage.cache_write_tokens or None)
    to.whole("llm.usage.reasoning_tokens", usage.reasoning_tokens or None)


def _write_messages(start: str, messages: Sequence[dict[str, Any]], to: Attributes) -> None:
    for number, message in enumerate(messages):
        name = f"{start}.{number}"
        to.any(f"{name}.role", message["role"])
        content = message.get("content")
        to.text(f"{name}.content", content if content is None or isinstance(content, str) else json_text(content))
        to.json(f"{name}.tool_calls", message.get("tool_calls"))
        to.any(f"{name}.tool_call_id", message.get("tool_call_id"))
        to.text(f"{name}.reasoning", message.get("reasoning_content"))


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "type"}


def _write_identity(span: Span, to: Attributes) -> None:
    labels = span.labels
    to.text("respan.span_params.custom_identifier", span.id)
    to.text("respan.customer_params.customer_identifier", labels.user or labels.customer)
    to.text("respan.threads.thread_identifier", labels.session)
    to.text("respan.sessions.session_identifier", labels.session)
    to.text("respan.trace.trace_group_identifier", labels.run)
    to.text("respan.environment", labels.env)
    cost = costs_of(span).total
    # What it cost is no attribute there: the number that we know is at least among the rest.
    told: dict[str, Any] = dict(metadata_of(span))
    to.json("respan.metadata", told if cost is None else {**told, "gateway.cost_usd": cost})
