"""Deliver spans to Honeycomb by OTLP.

Source: ../shared/reference/destinations.md section 5; its limits: https://docs.honeycomb.io/api/events/ (read November 2026): 64 KB in a text, 1 MB in a span.
"""

from typing import ClassVar, Literal

from pydantic import Field

from destinations.credentials import HeaderSecret, HeaderText
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.urls import Url
from domain.destinations import Limits

_MB = 1024 * 1024
_LONGEST_TEXT = 64_000
_LARGEST_SPAN = 900_000


class HoneycombConfig(PresetConfig):
    """Send spans to Honeycomb."""

    LIMITS: ClassVar[Limits] = Limits(items=200, body_bytes=4 * _MB, item_bytes=_LARGEST_SPAN, parallel=2)

    type: Literal["honeycomb"] = "honeycomb"
    url: Url = Field("https://api.honeycomb.io", description="Where spans are taken; in Europe `https://api.eu1.honeycomb.io`.")
    api_key: HeaderSecret = Field(description="An ingest key of the environment.")
    dataset: HeaderText | None = Field(
        None, description="The dataset, for Honeycomb Classic; else the dataset is named by `service`."
    )

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Query the dataset of the service for trace.trace_id = {trace}."

    def preset(self) -> Preset:
        """Return how Honeycomb is sent to."""
        headers = {"x-honeycomb-team": self.api_key.get_secret_value()}
        return Preset(
            url=traces_url(self.url),
            headers=headers if self.dataset is None else {**headers, "x-honeycomb-dataset": self.dataset},
            mappers=(genai,),
            parents=self.parents,
            longest_text=_LONGEST_TEXT,
        )
