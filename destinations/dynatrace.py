"""Deliver spans to Dynatrace by OTLP.

Source: ../shared/reference/destinations.md section 5: protobuf alone, at most 8 MB, and spans that ended in the last 60 minutes.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.credentials import HeaderSecret
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_LARGEST_REQUEST = 8_000_000
_MB = 1024 * 1024
# It takes spans that ended in the last 60 minutes; two are for the way.
_OLDEST = 58 * 60.0
_PATH = "/api/v2/otlp"


class DynatraceConfig(PresetConfig):
    """Send spans to Dynatrace."""

    LIMITS: ClassVar[Limits] = Limits(items=200, body_bytes=4 * _MB, item_bytes=_LARGEST_REQUEST, parallel=2, max_age=_OLDEST)

    type: Literal["dynatrace"] = "dynatrace"
    url: Url = Field(
        description="Where the environment is: its address, or that of an ActiveGate.",
        examples=["https://abc12345.live.dynatrace.com"],
    )
    token: HeaderSecret = Field(description="An API token with the scope `openTelemetryTrace.ingest`.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Distributed tracing for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Dynatrace is sent to."""
        base = self.url.rstrip("/")
        return Preset(
            url=traces_url(base if _PATH in base else base + _PATH),
            headers={"authorization": f"Api-Token {self.token.get_secret_value()}"},
            mappers=(genai,),
            parents=self.parents,
        )
