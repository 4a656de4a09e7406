"""Deliver spans to Langfuse, cloud or self-hosted, by OTLP: its older endpoint for ingestion is gone or going.

Source: ../shared/reference/destinations.md section 4.2. The platform takes a request whole or not at all, and puts a row in the place of one with the
same project, trace, span and start time, so that sending twice is harmless.
"""

import base64
import re
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from destinations.attributes import Attributes, flags_of
from destinations.costs import Costs, costs_of
from destinations.counts import total_tokens
from destinations.genai import error_message_of, error_type_of, genai, prompt_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import is_generation, name_of, operation_of
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Limits, Parcel
from domain.spans import Span

_MB = 1024 * 1024
_NOT_IN_ENVIRONMENTS = re.compile(r"[^a-z0-9_-]")
_LONGEST_ENVIRONMENT = 40


class LangfuseConfig(PresetConfig):
    """Send spans to Langfuse."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, item_bytes=16 * _MB, parallel=2)

    type: Literal["langfuse"] = "langfuse"
    url: Url = Field(
        "https://cloud.langfuse.com",
        description="Where Langfuse is: its cloud in Europe, `https://us.cloud.langfuse.com`, or your own.",
    )
    public_key: str = Field(min_length=1, max_length=200, description="The project's public key.", examples=["pk-lf-…"])
    secret_key: SecretStr = Field(min_length=1, description="The project's secret key.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the keys' project under Tracing, for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Langfuse is sent to."""
        pair = f"{self.public_key}:{self.secret_key.get_secret_value()}".encode()
        return Preset(
            url=f"{self.url.rstrip('/')}/api/public/otel/v1/traces",
            # Without a version, what is sent can take ten minutes to be seen.
            headers={"authorization": f"Basic {base64.b64encode(pair).decode()}", "x-langfuse-ingestion-version": "4"},
            mappers=(langfuse, genai),
            parents=self.parents,
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be seen: the key, and the header that it is in."""
        return (*super().secrets(), self.preset().headers["authorization"].removeprefix("Basic "))


def langfuse(parcel: Parcel, to: Attributes) -> None:
    """Write what Langfuse has names of its own for; messages it reads in the conventions' terms."""
    span = parcel.span
    # It takes what begins so for the input, before the messages, and has names of its own for prompts.
    to.leave_out("gen_ai.prompt.name", "gen_ai.prompt.version")
    to.text("langfuse.observation.type", _kind(span))
    to.text("langfuse.observation.model.name", span.served_model or span.model)
    to.json("langfuse.observation.model.parameters", dict(span.params))
    if span.usage is not None:
        to.json("langfuse.observation.usage_details", usage_details(span.usage))
    to.json("langfuse.observation.cost_details", cost_details(costs_of(span)))
    if span.stream and span.time_to_first_chunk_ms is not None:
        # As JSON, as its SDK does it: older servers read it in no other way.
        to.json("langfuse.observation.completion_start_time", _time(span.started_at, span.time_to_first_chunk_ms))
    failed = error_type_of(span) is not None
    to.text("langfuse.observation.level", "ERROR" if failed else "WARNING" if span.outcome == "cancelled" else "DEFAULT")
    if failed:
        to.text("langfuse.observation.status_message", error_message_of(span))
    _write_prompt(span, to)
    _write_trace(span, to)
    # Each call is told as a root: its parent, if it has one, is in the app, and may never be sent here.
    to.flag("langfuse.internal.is_app_root", True)
    if span.parent_span_id is not None:
        to.flag("langfuse.internal.as_root", True)


def usage_details(usage: Usage) -> dict[str, int]:
    """Return the tokens of a call by kind; no token is counted in two of them but in `total`."""
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    reasoning, spoken = usage.reasoning_tokens or 0, usage.output_audio_tokens or 0
    counts = {
        "input": None if usage.input_tokens is None else usage.input_tokens - read - written,
        "input_cached_tokens": read or None,
        "input_cache_creation": written or None,
        "output": None if usage.output_tokens is None else usage.output_tokens - reasoning - spoken,
        "output_reasoning_tokens": reasoning or None,
        "output_audio_tokens": spoken or None,
        "total": total_tokens(usage),
    }
    return {name: max(count, 0) for name, count in counts.items() if count is not None}


def cost_details(costs: Costs) -> dict[str, float]:
    """Return the cost of a call in US dollars: of what went in, of what came out, in all; what is unknown is not there."""
    told = {"input": costs.input, "output": costs.output, "total": costs.total}
    return {name: amount for name, amount in told.items() if amount is not None}


def _kind(span: Span) -> str:
    if operation_of(span) == "embeddings":
        return "embedding"
    return "generation" if is_generation(span) or span.usage is not None else "span"


def _time(started_at: int, after_ms: float) -> str:
    """Return a time as ISO 8601 in UTC, to the microsecond."""
    microseconds = started_at // 1_000 + int(min(max(after_ms, 0.0), 1e12) * 1_000)
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _write_prompt(span: Span, to: Attributes) -> None:
    name, version = prompt_of(span)
    to.text("langfuse.observation.prompt.name", name)
    # Prompts there have whole numbers for versions.
    if name is not None and version is not None and version.isdecimal() and version.isascii():
        to.whole("langfuse.observation.prompt.version", int(version[:18]))


def _write_trace(span: Span, to: Attributes) -> None:
    labels = span.labels
    to.text("langfuse.trace.name", labels.section or name_of(span))
    to.text("user.id", labels.user)
    to.text("session.id", labels.session)
    to.texts("langfuse.trace.tags", flags_of(labels.tags))
    to.text("langfuse.environment", environment_of(labels.env))
    to.text("langfuse.release", labels.release)
    told = {"customer": labels.customer, "run": labels.run, "project": span.project, "key": span.key_name}
    tags = {name: value for name, value in labels.tags.items() if value != "true"}
    for name, value in {**tags, **told}.items():
        to.text(f"langfuse.trace.metadata.{name}", value)
    to.text("langfuse.observation.metadata.gateway_request_id", span.id)
    to.text("langfuse.observation.metadata.upstream", span.upstream)
    to.text("langfuse.observation.metadata.cost_status", span.cost_status)


def environment_of(env: str | None) -> str | None:
    """Return an environment in the letters that Langfuse allows there: it refuses a whole request for one that it does not like."""
    if env is None:
        return None
    name = _NOT_IN_ENVIRONMENTS.sub("-", env.lower())[:_LONGEST_ENVIRONMENT]
    return None if name.startswith("langfuse") else name or None
