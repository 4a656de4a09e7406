"""Deliver spans to Opik, Comet's cloud or self-hosted, by OTLP.

Source: ../shared/reference/destinations.md section 5, and the mapping rules and the cost calculator of Opik's server (read November 2026): a usage is each whole
number under `gen_ai.usage.`, a thread is `thread_id`, and costs are its own. For these it takes cached tokens by their older names, and counts them
among the input tokens, but for models of Anthropic and of Bedrock, where it adds them to the input tokens that their own usage tells.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.attributes import Attributes, flags_of
from destinations.counts import plain_input_tokens
from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai
from destinations.openinference import metadata_with_cost_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import provider_of
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Limits, Parcel
from domain.spans import Span

_MB = 1024 * 1024
# Its names of providers, where they are not the conventions'.
_PROVIDERS = {
    "gcp.gemini": "google_ai",
    "gcp.vertex_ai": "google_vertexai",
    "aws.bedrock": "bedrock",
    "azure.ai.openai": "azure",
    "mistral_ai": "mistral",
    "x_ai": "xai",
}


class OpikConfig(PresetConfig):
    """Send spans to Opik."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, parallel=2)

    type: Literal["opik"] = "opik"
    url: Url = Field("https://www.comet.com/opik/api", description="Where its API is: Comet's cloud, or your own.")
    api_key: HeaderSecret | None = Field(None, description="An API key; a self-hosted Opik needs none.")
    workspace: HeaderText | None = Field(None, description="The workspace, where there are several.")
    project: HeaderText = Field("faregate", description="The project that spans go to.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project's logs; the trace {trace} has an id of Opik's own there."

    def preset(self) -> Preset:
        """Return how Opik is sent to."""
        told = {
            # Without a word such as `Bearer` in front.
            "authorization": None if self.api_key is None else self.api_key.get_secret_value(),
            "comet-workspace": self.workspace,
            "projectName": self.project,
        }
        return Preset(
            url=f"{self.url.rstrip('/')}/v1/private/otel/v1/traces",
            headers={name: value for name, value in told.items() if value is not None},
            mappers=(opik, genai),
            parents=self.parents,
        )


def opik(parcel: Parcel, to: Attributes) -> None:
    """Write what Opik has names of its own for; messages and tokens it reads in the conventions' terms."""
    span = parcel.span
    provider = provider_of(span, parcel.server)
    to.text("gen_ai.system", _PROVIDERS.get(provider, provider))
    to.text("thread_id", span.labels.session)
    if span.usage is not None:
        _write_usage(span, span.usage, provider, to)
    to.texts("opik.tags", flags_of(span.labels.tags))
    # It reads no cost: what the call did cost is at least among the rest.
    to.json("opik.metadata", metadata_with_cost_of(span))


def _write_usage(span: Span, usage: Usage, provider: str, to: Attributes) -> None:
    """Write tokens by the names that its prices are multiplied with; those of the conventions it would show beside them and not price."""
    read, written = usage.cache_read_tokens or None, usage.cache_write_tokens or None
    to.leave_out(*(f"gen_ai.usage.cache_{kind}.input_tokens" for kind in ("read", "write", "creation")))
    to.whole("gen_ai.usage.cache_read_input_tokens", read)
    to.whole("gen_ai.usage.cache_creation_input_tokens", written)
    names = _apart(span, provider)
    if names is not None:
        counts = (plain_input_tokens(usage), usage.output_tokens, read, written)
        for name, count in zip(names, counts, strict=True):
            to.whole(f"gen_ai.usage.original_usage.{name}", count)


def _apart(span: Span, provider: str) -> tuple[str, ...] | None:
    """Return by which names the provider tells tokens, where cached ones are not among the input; None where they are."""
    if provider == "aws.bedrock":
        return ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    if provider == "anthropic" or "claude" in (span.served_model or span.model or ""):
        return ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return None
