"""Deliver spans to Axiom by OTLP. Source: ../shared/reference/destinations.md section 5."""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_MB = 1024 * 1024


class AxiomConfig(PresetConfig):
    """Send spans to Axiom."""

    LIMITS: ClassVar[Limits] = Limits(items=200, body_bytes=4 * _MB, parallel=2)

    type: Literal["axiom"] = "axiom"
    url: Url = Field("https://api.axiom.co", description="Where spans are taken: the address of the edge that the dataset is at.")
    token: HeaderSecret = Field(description="An API token that may ingest into the dataset.")
    dataset: HeaderText = Field(description="The dataset that spans go to, made for traces.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the dataset for trace_id = {trace}."

    def preset(self) -> Preset:
        """Return how Axiom is sent to."""
        return Preset(
            url=traces_url(self.url),
            headers={"authorization": f"Bearer {self.token.get_secret_value()}", "x-axiom-dataset": self.dataset},
            mappers=(genai,),
            parents=self.parents,
        )
