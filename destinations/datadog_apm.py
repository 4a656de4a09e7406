"""Deliver spans to Datadog by OTLP, beside the spans of other services: its APM, or its Agent Observability.

Source: ../shared/reference/destinations.md section 4.9. The native way to Agent Observability, with exact costs, is `destinations/datadog.py`.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from destinations.credentials import HeaderSecret, HeaderText
from destinations.datadog import Site
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_MB = 1024 * 1024
# It takes spans of the last 24 hours; ten minutes are for the way.
_OLDEST = 24 * 3_600.0 - 600.0


class DatadogApmConfig(PresetConfig):
    """Send spans to Datadog APM by OTLP, or to its Agent Observability."""

    LIMITS: ClassVar[Limits] = Limits(items=50, body_bytes=4 * _MB, parallel=2, max_age=_OLDEST)

    type: Literal["datadog-apm"] = "datadog-apm"
    site: Site = Field("datadoghq.com", description="Where your account is.")
    url: Url | None = Field(None, description="Where spans are taken, where it is not the site's intake: an agent of your own.")
    api_key: HeaderSecret | None = Field(None, description="An API key; an agent of your own needs none.")
    llmobs: bool = Field(False, description="Whether the intake puts spans into Agent Observability rather than into APM.")
    source: HeaderText | None = Field(
        None, description="The value of `dd-otlp-source` that Datadog gave you, if it gave you one."
    )

    @model_validator(mode="after")
    def _complete(self) -> "DatadogApmConfig":
        if self.api_key is None and self.url is None:
            raise ValueError("set `api_key`, or `url` for an agent of your own")
        if self.llmobs and self.source is not None:
            raise ValueError("`llmobs` is a `source` of its own; set one of them")
        return self

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        product = "Agent Observability" if self.llmobs else "APM"
        return f"Look in {product} for the trace {{trace}}; it may take five minutes to be there."

    def preset(self) -> Preset:
        """Return how Datadog is sent to."""
        key = None if self.api_key is None else self.api_key.get_secret_value()
        told = {"dd-api-key": key, "dd-otlp-source": "llmobs" if self.llmobs else self.source}
        return Preset(
            url=traces_url(self.url or f"https://otlp.{self.site}"),
            headers={name: value for name, value in told.items() if value is not None},
            mappers=(genai,),
            parents=self.parents,
        )
