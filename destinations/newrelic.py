"""Deliver spans to New Relic by OTLP.

Source: ../shared/reference/destinations.md section 5; its limits: https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp (read
November 2026): 4,095 characters in a value, and a request of 1 MB.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.credentials import HeaderSecret
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_LONGEST_TEXT = 4_095
_LARGEST_REQUEST = 1_000_000


class NewRelicConfig(PresetConfig):
    """Send spans to New Relic."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=_LARGEST_REQUEST, parallel=2)

    type: Literal["newrelic"] = "newrelic"
    url: Url = Field("https://otlp.nr-data.net", description="Where spans are taken; in Europe `https://otlp.eu01.nr-data.net`.")
    license_key: HeaderSecret = Field(description="A license key of the account.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Traces for the trace {trace}."

    def preset(self) -> Preset:
        """Return how New Relic is sent to."""
        return Preset(
            url=traces_url(self.url),
            headers={"api-key": self.license_key.get_secret_value()},
            mappers=(genai,),
            parents=self.parents,
            longest_text=_LONGEST_TEXT,
        )
