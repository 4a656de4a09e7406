"""Deliver spans to Grafana Cloud by its OTLP gateway. Source: ../shared/reference/destinations.md section 5."""

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from destinations.credentials import HeaderSecret, basic, packed_in
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_MB = 1024 * 1024


class GrafanaConfig(PresetConfig):
    """Send spans to Grafana Cloud Traces."""

    LIMITS: ClassVar[Limits] = Limits(items=200, body_bytes=4 * _MB, parallel=2)

    type: Literal["grafana"] = "grafana"
    url: Url = Field(
        description="The OTLP endpoint of the stack.", examples=["https://otlp-gateway-prod-us-west-0.grafana.net/otlp"]
    )
    instance_id: str = Field(pattern=r"^[0-9]{1,20}$", description="The number of the stack's instance.")
    token: HeaderSecret = Field(description="A token of an access policy with the scope `traces:write`.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Explore, in the traces' data source, for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Grafana is sent to."""
        base = self.url if urlsplit(self.url).path.strip("/") else f"{self.url.rstrip('/')}/otlp"
        return Preset(
            url=traces_url(base),
            headers={"authorization": basic(self.instance_id, self.token)},
            mappers=(genai,),
            parents=self.parents,
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be seen: the token, and the header that it is in."""
        return (*super().secrets(), *packed_in(self.preset().headers))
