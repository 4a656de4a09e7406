"""Page people by PagerDuty's Events API v2.

Source: PagerDuty's pages on the Events API v2 (send an alert event; responses), read 2026-11.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from destinations.base import DestinationConfig
from destinations.genai import error_type_of
from destinations.http import Answer, Verdict, post
from destinations.jsontext import json_bytes
from destinations.lines import ended_text
from destinations.telling import call_line, calls_text, calls_title, one_line, text_of
from destinations.urls import Url
from domain.destinations import Limits, Parcel, Payload, Receipt
from domain.events import Event
from domain.spans import rfc3339

if TYPE_CHECKING:
    import httpx

_KEY = re.compile(r"[A-Za-z0-9]{32}")
_LONGEST_SUMMARY = 1_024
# Events of one trouble have one key, so that its end resolves what its beginning triggered.
_TROUBLES = frozenset({"destination.failing", "destination.misconfigured", "destination.recovered"})
_ENDS = frozenset({"destination.recovered"})
_INVALID = 400


class PagerDutyConfig(DestinationConfig):
    """Page people when budgets run out or destinations fail, and resolve it when they are well again."""

    LIMITS: ClassVar[Limits] = Limits(items=1, body_bytes=256 * 1024, flush=0.0, parallel=1)
    CHANNEL: ClassVar[bool] = True
    TAKES: ClassVar[Literal["spans", "events", "both"]] = "both"

    type: Literal["pagerduty"] = "pagerduty"
    routing_key: SecretStr = Field(description="The integration key of an Events API v2 integration: 32 letters and digits.")
    source: str = Field(
        "faregate", min_length=1, max_length=255, description="What PagerDuty shows as the place where it happened."
    )
    url: Url = Field(
        "https://events.pagerduty.com/v2/enqueue",
        description="`https://events.eu.pagerduty.com/v2/enqueue` for accounts in Europe.",
    )

    @field_validator("routing_key")
    @classmethod
    def _usable_key(cls, key: SecretStr) -> SecretStr:
        if not _KEY.fullmatch(key.get_secret_value()):
            raise ValueError("an integration key has 32 letters and digits; it is not an API key")
        return key

    def build(self, name: str, client: "httpx.AsyncClient") -> "PagerDuty":
        """Return the destination."""
        del name
        return PagerDuty(client, self.url, self.routing_key.get_secret_value(), self.source, self.limits())


class PagerDuty:
    """One POST for each event. The key of an alert follows from the event, so that one that is sent twice is one alert."""

    def __init__(self, client: "httpx.AsyncClient", url: str, key: str, source: str, limits: Limits) -> None:
        self.limits = limits
        self._client = client
        self._url = url
        self._key = key
        self._source = source

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return an alert about calls: `error` where one failed."""
        del batch
        ids = tuple(parcel.span.id for parcel in parcels)
        failed = any(error_type_of(parcel.span) is not None for parcel in parcels)
        summary = call_line(parcels[0]) if len(parcels) == 1 else calls_title(parcels)
        alert = {
            "summary": summary,
            "severity": "error" if failed else "info",
            "timestamp": ended_text(parcels[-1]),
            "class": "call",
            "custom_details": {"calls": calls_text(parcels).splitlines(), "ids": list(ids)},
        }
        return self._payload("trigger", f"calls:{' '.join(ids)}", alert, ids)

    def encode_event(self, event: Event) -> Payload:
        """Return an alert about an event, or what resolves one."""
        trouble = event.type in _TROUBLES
        alert = {
            "summary": text_of(event)[:_LONGEST_SUMMARY],
            "severity": event.severity,
            "timestamp": rfc3339(event.at),
            "component": one_line(event.subject),
            "class": event.type,
            "custom_details": {"id": event.id, **event.data},
        }
        action = "resolve" if event.type in _ENDS else "trigger"
        return self._payload(action, f"destination:{event.subject}" if trouble else f"event:{event.id}", alert, (event.id,))

    def _payload(self, action: str, about: str, alert: Mapping[str, Any], ids: tuple[str, ...]) -> Payload:
        value = {
            "event_action": action,
            "dedup_key": f"faregate-{hashlib.sha256(about.encode(errors='surrogatepass')).hexdigest()[:40]}",
            "client": "Faregate",
            "payload": {"source": self._source, **alert},
        }
        return Payload(json_bytes(value), "application/json", ids)

    async def send(self, payload: Payload) -> Receipt:
        """Send an alert. PagerDuty wants the key in the body; it is put there only now, so that no stored payload holds it."""
        body = b'{"routing_key":' + json_bytes(self._key) + b"," + payload.body[1:]
        answer = await post(self._client, self._url, body=body, headers={}, content_type=payload.content_type, judge=_verdict)
        return Receipt(answer.status)


def _verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: with a key that it does not know, it calls events invalid that are well."""
    return "misconfigured" if answer.status == _INVALID and b"routing_key" in answer.body else None
