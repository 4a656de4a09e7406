"""Deliver spans to Respan (formerly Keywords AI): by OTLP, or one by one to its API for logs, which alone takes costs (`destinations.respan_logs`).

Source: ../shared/reference/destinations.md section 4.3; the names are those of respan-sdk 2.9.0. By OTLP it is documented to read messages one attribute
at a time (`gen_ai.prompt.0.role`), and tokens by the conventions' older names.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from destinations.attributes import Attributes
from destinations.chat import chat_messages
from destinations.counts import total_tokens
from destinations.credentials import HeaderSecret
from destinations.genai import error_message_of, error_type_of, genai_without_messages
from destinations.jsontext import json_text
from destinations.openinference import metadata_with_cost_of
from destinations.otlp import Preset, PresetConfig
from destinations.respan_logs import RespanLogs, function_of, log_type_of
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Destination, Limits, Parcel
from domain.spans import Span

if TYPE_CHECKING:
    import httpx

_MB = 1024 * 1024
_PARALLEL_LOGS = 4


class RespanConfig(PresetConfig):
    """Send spans to Respan (formerly Keywords AI)."""

    LIMITS: ClassVar[Limits] = Limits(items=50, body_bytes=4 * _MB, parallel=2)

    type: Literal["respan"] = "respan"
    url: Url = Field("https://api.respan.ai", description="Where Respan is.")
    api_key: HeaderSecret = Field(description="An API key.")
    format: Literal["otlp", "json"] = Field(
        "otlp", description="How a call is told: `otlp`, or `json`, one request for each call, with what it cost."
    )

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Traces for the trace {trace}."

    def limits(self) -> Limits:
        """Return the limits: a log is alone in its request, and waits for no other."""
        limits = super().limits()
        if self.format == "otlp":
            return limits
        return replace(limits, items=1, flush=self.flush or 0.0, parallel=self.parallel or _PARALLEL_LOGS)

    def build(self, name: str, client: "httpx.AsyncClient") -> Destination:
        """Return the destination."""
        if self.format == "otlp":
            return super().build(name, client)
        return RespanLogs(client, self._api(), self.preset().headers, limits=self.limits(), parents=self.parents)

    def preset(self) -> Preset:
        """Return how Respan is sent to."""
        return Preset(
            url=f"{self._api()}/v2/traces",
            # The second one tells it that this is a report, of which it is to make none itself.
            headers={"authorization": f"Bearer {self.api_key.get_secret_value()}", "x-respan-dogfood": "1"},
            mappers=(respan, genai_without_messages),
            parents=self.parents,
        )

    def _api(self) -> str:
        return f"{self.url.rstrip('/').removesuffix('/api')}/api"


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
    to.json("respan.span.tools", [function_of(tool) for tool in messages.tools])
    if error_type_of(span) is not None:
        to.text("error.message", error_message_of(span))
    _write_identity(span, to)


def _write_usage(usage: Usage, to: Attributes) -> None:
    to.whole("gen_ai.usage.prompt_tokens", usage.input_tokens)
    to.whole("gen_ai.usage.completion_tokens", usage.output_tokens)
    to.whole("gen_ai.usage.total_tokens", total_tokens(usage))
    to.whole("llm.usage.total_tokens", total_tokens(usage))
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


def _write_identity(span: Span, to: Attributes) -> None:
    labels = span.labels
    to.text("respan.span_params.custom_identifier", span.id)
    to.text("respan.customer_params.customer_identifier", labels.user or labels.customer)
    to.text("respan.threads.thread_identifier", labels.session)
    to.text("respan.sessions.session_identifier", labels.session)
    to.text("respan.trace.trace_group_identifier", labels.run)
    to.text("respan.environment", labels.env)
    # What it cost is no attribute there: the number that we know is at least among the rest.
    to.json("respan.metadata", metadata_with_cost_of(span))
