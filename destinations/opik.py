"""Deliver spans to Opik, Comet's cloud or self-hosted, by OTLP.

Source: ../shared/reference/destinations.md section 5, and the mapping rules of Opik's server (read November 2026): a usage is each whole number under
`gen_ai.usage.`, a thread is `thread_id`, and costs are its own, worked out from provider, model and usage.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field

from destinations.attributes import Attributes, flags_of
from destinations.costs import costs_of
from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai
from destinations.openinference import metadata_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import provider_of
from destinations.urls import Url
from domain.destinations import Limits, Parcel

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
    to.texts("opik.tags", flags_of(span.labels.tags))
    cost = costs_of(span).total
    # It reads no cost: what the call did cost is at least among the rest.
    told: dict[str, Any] = dict(metadata_of(span))
    to.json("opik.metadata", told if cost is None else {**told, "gateway.cost_usd": cost})
