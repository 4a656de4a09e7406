"""Deliver spans to W&B Weave by OTLP.

Source: ../shared/reference/destinations.md section 5, and the names in Weave's server (read November 2026). It adds what the conventions and what
OpenInference say of tokens, so it is told in one of them only.
"""

from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from destinations.attributes import Attributes
from destinations.costs import costs_of
from destinations.credentials import HeaderSecret, HeaderText, basic, packed_in
from destinations.genai import genai
from destinations.openinference import metadata_of
from destinations.otlp import Preset, PresetConfig
from destinations.providers import is_generation, name_of, provider_of
from destinations.urls import Url
from domain.destinations import Limits, Parcel

_MB = 1024 * 1024


class WeaveConfig(PresetConfig):
    """Send spans to W&B Weave."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, parallel=2)

    type: Literal["weave"] = "weave"
    url: Url = Field(
        "https://trace.wandb.ai",
        description="Where traces are taken: the cloud's, or `https://SUBDOMAIN.wandb.io/traces` of your own.",
    )
    api_key: HeaderSecret = Field(description="An API key.")
    entity: HeaderText = Field(description="The team, or the user, that the project is of.")
    project: HeaderText = Field(description="The project that spans go to.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project's traces for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Weave is sent to."""
        return Preset(
            url=f"{self.url.rstrip('/')}/otel/v1/traces",
            # Older servers read the project from this header, newer ones from the resource.
            headers={"authorization": _authorization(self.api_key), "project_id": f"{self.entity}/{self.project}"},
            mappers=(weave, genai),
            resource={"wandb.entity": self.entity, "wandb.project": self.project},
            parents=self.parents,
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be seen: the key, and the header that it is in."""
        return (*super().secrets(), *packed_in(self.preset().headers))


def _authorization(api_key: SecretStr) -> str:
    return basic("api", api_key)


def weave(parcel: Parcel, to: Attributes) -> None:
    """Write what Weave has names of its own for; messages and tokens it reads in the conventions' terms."""
    span = parcel.span
    # It takes what begins so for the input, before the messages; the prompt's name is among the attributes.
    to.leave_out("gen_ai.prompt.name", "gen_ai.prompt.version")
    to.text("weave.span.kind", "llm" if is_generation(span) or span.usage is not None else "task")
    to.text("gen_ai.system", provider_of(span, parcel.server))
    to.text("llm.provider", provider_of(span, parcel.server))
    to.text("wandb.display_name", span.labels.section or name_of(span))
    if span.labels.session is not None:
        to.text("wandb.thread_id", span.labels.session)
        to.flag("wandb.is_turn", True)
    cost = costs_of(span).total
    told = {**metadata_of(span), **({} if span.labels.user is None else {"user": span.labels.user})}
    to.json("wandb.attributes", told if cost is None else {**told, "gateway.cost_usd": cost})
