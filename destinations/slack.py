"""Tell people in Slack of events, by an incoming webhook.

Source: Slack's pages on incoming webhooks, on their errors (2016-05-17) and on escaping text, read 2026-11.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from destinations.base import DestinationConfig
from destinations.http import post
from destinations.jsontext import json_bytes
from destinations.telling import MOST_LINES, calls_text, calls_title, text_of, title_of
from destinations.urls import allowed_url
from domain.destinations import Limits, Parcel, Payload, Receipt
from domain.events import Event

if TYPE_CHECKING:
    import httpx

_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class SlackConfig(DestinationConfig):
    """Tell people in Slack of budgets that run out, destinations that fail, and calls that a rule picks."""

    # One message a second is what a webhook may send.
    LIMITS: ClassVar[Limits] = Limits(items=MOST_LINES, body_bytes=64 * 1024, flush=5.0, parallel=1)
    CHANNEL: ClassVar[bool] = True
    TAKES: ClassVar[Literal["spans", "events", "both"]] = "both"

    type: Literal["slack"] = "slack"
    url: SecretStr = Field(
        description="The URL of an incoming webhook. Whoever has it can write to the channel, so it is a secret.",
        examples=["https://hooks.slack.com/services/…"],
    )

    @field_validator("url")
    @classmethod
    def _usable_url(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        allowed_url(url.get_secret_value(), info)
        return url

    def build(self, name: str, client: "httpx.AsyncClient") -> "Slack":
        """Return the destination."""
        del name
        return Slack(client, self.url.get_secret_value(), self.limits())


class Slack:
    """One message for each event, and one with a line for each call. Slack shows a message twice that is sent twice."""

    def __init__(self, client: "httpx.AsyncClient", url: str, limits: Limits) -> None:
        self.limits = limits
        self._client = client
        self._url = url

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return a message with a line for each call."""
        del batch
        return _message(calls_title(parcels), calls_text(parcels), tuple(parcel.span.id for parcel in parcels))

    def encode_event(self, event: Event) -> Payload:
        """Return a message about an event."""
        return _message(title_of(event), text_of(event), (event.id,))

    async def send(self, payload: Payload) -> Receipt:
        """Send a message."""
        answer = await post(self._client, self._url, body=payload.body, headers={}, content_type=payload.content_type)
        return Receipt(answer.status)


def _message(title: str, text: str, ids: tuple[str, ...]) -> Payload:
    """Return a message. What it says cannot call anybody (`<!channel>`), link anywhere, or be formatted: names and errors come from outside."""
    value = {"text": f"{title}\n{text}".translate(_ESCAPED), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    return Payload(json_bytes(value), "application/json", ids)
