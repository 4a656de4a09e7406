"""Deliver spans to Arize AX by OTLP in the terms of OpenInference.

Source: ../shared/reference/destinations.md section 4.6; how costs are taken: https://arize.com/docs/ax/instrument/how-cost-tracking-works (read
November 2026): the `llm.cost.…` of a span are kept, and only where there are none are prices looked up.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai_without_messages
from destinations.openinference import openinference
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_MB = 1024 * 1024


class ArizeConfig(PresetConfig):
    """Send spans to Arize AX."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, parallel=2)

    type: Literal["arize"] = "arize"
    url: Url = Field(
        "https://otlp.arize.com", description="Where spans are taken; in Europe `https://otlp.eu-west-1a.arize.com`, or your own."
    )
    api_key: HeaderSecret = Field(description="An API key of the space.")
    space_id: HeaderText = Field(description="The id of the space.")
    project: str = Field("faregate", min_length=1, max_length=200, description="The project that spans go to.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project's traces for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Arize is sent to."""
        key = self.api_key.get_secret_value()
        return Preset(
            url=traces_url(self.url),
            # Each by its newer name and by the older one, as its own SDK sends them.
            headers={
                "authorization": key,
                "api_key": key,
                "arize-space-id": self.space_id,
                "space_id": self.space_id,
                "arize-interface": "otel",
            },
            mappers=(openinference, genai_without_messages),
            resource={"openinference.project.name": self.project, "model_id": self.project},
            parents=self.parents,
        )
