"""Deliver spans to LangWatch, its cloud or your own, by OTLP.

Source: ../shared/reference/destinations.md section 4.5. It adds cached tokens to the input tokens, where everybody else has them among these; and it
answers in JSON whatever it was asked in, with a count of the spans that it did not take.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.attributes import Attributes, flags_of
from destinations.costs import costs_of
from destinations.counts import plain_input_tokens
from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai
from destinations.http import Answer, Verdict
from destinations.openinference import metadata_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import is_generation
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Limits, Parcel
from domain.spans import Span

_MB = 1024 * 1024
# It takes spans of the last 31 days; an hour is for the way.
_OLDEST = 31 * 86_400.0 - 3_600.0
_THROTTLED = 429
_NANOSECONDS = 1_000_000  # of one millisecond
_LONGEST_MS = 1e12


class LangWatchConfig(PresetConfig):
    """Send spans to LangWatch."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=8 * _MB, item_bytes=9 * _MB, parallel=2, max_age=_OLDEST)

    type: Literal["langwatch"] = "langwatch"
    url: Url = Field("https://app.langwatch.ai", description="Where LangWatch is: its cloud, or your own.")
    api_key: HeaderSecret = Field(description="The project's API key.")
    project_id: HeaderText | None = Field(None, description="The project's id, for keys that are good for several projects.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project's messages for the trace {trace}."

    def preset(self) -> Preset:
        """Return how LangWatch is sent to."""
        key = self.api_key.get_secret_value()
        headers = {"authorization": f"Bearer {key}", "x-auth-token": key}
        return Preset(
            url=f"{self.url.rstrip('/')}/api/otel/v1/traces",
            headers=headers if self.project_id is None else {**headers, "x-project-id": self.project_id},
            mappers=(langwatch, genai),
            parents=self.parents,
            judge=judged,
        )


def judged(answer: Answer) -> Verdict | None:
    """Tell that a request has too many spans, which is said by a status that elsewhere asks to come back later."""
    many = answer.status == _THROTTLED and b"too many spans" in answer.body[:4_096].lower()
    return "too_large" if many else None


def langwatch(parcel: Parcel, to: Attributes) -> None:
    """Write what LangWatch has names of its own for; messages it reads in the conventions' terms."""
    span = parcel.span
    to.text("langwatch.span.type", "llm" if is_generation(span) or span.usage is not None else "span")
    to.real("langwatch.span.cost", costs_of(span).total)
    if span.usage is not None:
        # The first to write a name counts: the conventions' number has the cached tokens in it, which would be priced twice.
        to.whole("gen_ai.usage.input_tokens", plain_input_tokens(span.usage))
    to.json("langwatch.metrics", metrics_of(span))
    to.json("langwatch.timestamps", _timestamps(span))
    to.json("langwatch.params", dict(span.params))
    labels = span.labels
    to.text("langwatch.thread.id", labels.session)
    to.text("langwatch.user.id", labels.user)
    to.text("langwatch.customer.id", labels.customer)
    to.json("langwatch.labels", flags_of(labels.tags))
    to.json("metadata", metadata_of(span))


def metrics_of(span: Span) -> dict[str, float]:
    """Return what a call used, cost and waited for, by LangWatch's names; what is unknown is not there."""
    usage = span.usage or Usage()
    first = span.time_to_first_chunk_ms if span.stream else None
    told = {
        "prompt_tokens": plain_input_tokens(usage),
        "completion_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens or None,
        "cache_read_input_tokens": usage.cache_read_tokens or None,
        "cache_creation_input_tokens": usage.cache_write_tokens or None,
        "cost": costs_of(span).total,
        "first_token_ms": None if first is None else int(min(max(first, 0.0), _LONGEST_MS)),
    }
    return {name: value for name, value in told.items() if value is not None}


def _timestamps(span: Span) -> dict[str, int]:
    """Return when a call began, was first answered and ended, in Unix milliseconds."""
    started = span.started_at // _NANOSECONDS
    waits = {"first_token_at": span.time_to_first_chunk_ms if span.stream else None, "finished_at": span.latency_ms}
    told = {name: started + int(min(max(wait, 0.0), _LONGEST_MS)) for name, wait in waits.items() if wait is not None}
    return {"started_at": started, **told}
