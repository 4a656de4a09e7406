"""Deliver spans to Phoenix, self-hosted or its cloud, by OTLP in the terms of OpenInference.

Source: ../shared/reference/destinations.md sections 3.8 and 4.6. It takes protobuf alone, keeps the first span of an id whatever its trace, and works
out costs from its own table of prices. 503 (its queue is full) and 507 (its disk is) are what they are everywhere.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.credentials import HeaderSecret
from destinations.genai import genai_without_messages
from destinations.openinference import openinference
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_MB = 1024 * 1024


class PhoenixConfig(PresetConfig):
    """Send spans to Phoenix."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=8 * _MB, parallel=2)

    type: Literal["phoenix"] = "phoenix"
    url: Url = Field(description="Where Phoenix is.", examples=["https://phoenix.example.com:6006"])
    api_key: HeaderSecret | None = Field(None, description="An API key, where Phoenix asks for one.")
    project: str = Field("faregate", min_length=1, max_length=200, description="The project that new traces go to.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project's traces for the trace {trace}; it may take a minute to be there."

    def preset(self) -> Preset:
        """Return how Phoenix is sent to."""
        return Preset(
            url=traces_url(self.url),
            headers={} if self.api_key is None else {"authorization": f"Bearer {self.api_key.get_secret_value()}"},
            mappers=(openinference, genai_without_messages),
            # A header names the project too, for newer servers only; the attribute is read by all.
            resource={"openinference.project.name": self.project},
            parents=self.parents,
        )
