"""Deliver spans to Braintrust by OTLP.

Source: ../shared/reference/destinations.md section 5; its names: https://www.braintrust.dev/docs/integrations/sdk-integrations/opentelemetry/attributes
(read November 2026), and the metrics that its own SDKs write.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from destinations.attributes import Attributes, flags_of
from destinations.costs import costs_of
from destinations.counts import total_tokens
from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai
from destinations.openinference import metadata_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import is_generation, provider_of
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Limits, Parcel
from domain.spans import Span

_MB = 1024 * 1024


class BraintrustConfig(PresetConfig):
    """Send spans to Braintrust."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, parallel=2)

    type: Literal["braintrust"] = "braintrust"
    url: Url = Field("https://api.braintrust.dev", description="Where its API is: the cloud's, or your own data plane's.")
    api_key: HeaderSecret = Field(description="An API key.")
    project: HeaderText | None = Field(None, description="The name of the project that spans go to.")
    project_id: HeaderText | None = Field(None, description="The id of that project, in place of its name.")
    experiment_id: HeaderText | None = Field(None, description="The id of an experiment that spans go to, in place of a project.")

    @model_validator(mode="after")
    def _one_parent(self) -> "BraintrustConfig":
        if len([one for one in (self.project, self.project_id, self.experiment_id) if one]) != 1:
            raise ValueError("set one of `project`, `project_id` and `experiment_id`: it says where spans go")
        return self

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project's logs for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Braintrust is sent to."""
        parents = {"project_name": self.project, "project_id": self.project_id, "experiment_id": self.experiment_id}
        parent = next(f"{kind}:{name}" for kind, name in parents.items() if name)
        return Preset(
            url=f"{self.url.rstrip('/')}/otel/v1/traces",
            headers={"authorization": f"Bearer {self.api_key.get_secret_value()}", "x-bt-parent": parent},
            mappers=(braintrust, genai),
            parents=self.parents,
        )


def braintrust(parcel: Parcel, to: Attributes) -> None:
    """Write what Braintrust has names of its own for; messages it reads in the conventions' terms."""
    span = parcel.span
    # Names that begin so are those of messages too; the prompt's name is among the metadata.
    to.leave_out("gen_ai.prompt.name", "gen_ai.prompt.version")
    to.json("braintrust.span_attributes", {"type": "llm" if is_generation(span) or span.usage is not None else "task"})
    to.json("braintrust.metrics", metrics_of(span))
    labels = span.labels
    told: dict[str, Any] = {
        "model": span.served_model or span.model,
        "provider": provider_of(span, parcel.server),
        "session_id": labels.session,
        "user_id": labels.user,
    }
    known = {name: value for name, value in told.items() if value is not None}
    to.json("braintrust.metadata", {**metadata_of(span), **span.params, **known})
    to.texts("braintrust.tags", flags_of(labels.tags))


def metrics_of(span: Span) -> dict[str, float]:
    """Return what a call used, cost (US dollars) and waited for (seconds); what is unknown is not there."""
    usage = span.usage or Usage()
    first = span.time_to_first_chunk_ms if span.stream else None
    told = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "tokens": total_tokens(usage),
        "prompt_cached_tokens": usage.cache_read_tokens or None,
        "prompt_cache_creation_tokens": usage.cache_write_tokens or None,
        "completion_reasoning_tokens": usage.reasoning_tokens or None,
        "time_to_first_token": None if first is None else first / 1000,
        "estimated_cost": costs_of(span).total,
    }
    return {name: value for name, value in told.items() if value is not None}
