"""Deliver spans to SigNoz, its cloud or your own, by OTLP.

Source: ../shared/reference/destinations.md section 5, and https://signoz.io/docs/ai-observability-telemetry-requirements (read November 2026).
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.attributes import Attributes
from destinations.credentials import HeaderSecret
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits, Parcel

_MB = 1024 * 1024


class SignozConfig(PresetConfig):
    """Send spans to SigNoz."""

    LIMITS: ClassVar[Limits] = Limits(items=200, body_bytes=4 * _MB, parallel=2)

    type: Literal["signoz"] = "signoz"
    url: Url = Field(
        description="Where spans are taken: `https://ingest.REGION.signoz.cloud`, or your own collector.",
        examples=["https://ingest.eu.signoz.cloud"],
    )
    ingestion_key: HeaderSecret | None = Field(None, description="An ingestion key of the cloud; your own collector needs none.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Traces for the trace {trace}."

    def preset(self) -> Preset:
        """Return how SigNoz is sent to."""
        return Preset(
            url=traces_url(self.url),
            headers={} if self.ingestion_key is None else {"signoz-ingestion-key": self.ingestion_key.get_secret_value()},
            mappers=(signoz, genai),
            parents=self.parents,
        )


def signoz(parcel: Parcel, to: Attributes) -> None:
    """Write what SigNoz has another name for than the conventions."""
    span = parcel.span
    if span.stream and span.time_to_first_chunk_ms is not None:
        to.real("gen_ai.server.ttft", span.time_to_first_chunk_ms / 1000)
