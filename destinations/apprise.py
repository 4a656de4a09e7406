"""Tell people of events by any service that Apprise knows. Needs the extra `alerts`.

Source: Apprise 2.2 (https://github.com/caronc/apprise), read 2026-11.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from destinations.base import DestinationConfig
from destinations.extras import need
from destinations.jsontext import json_bytes
from destinations.telling import MOST_LINES, calls_text, calls_title, text_of, title_of
from domain.destinations import DeliveryFailed, Limits, Misconfigured, Parcel, Payload, Receipt, Unavailable
from domain.events import Event

if TYPE_CHECKING:
    import httpx


class AppriseConfig(DestinationConfig):
    """Tell people of events by any of the services that Apprise knows: Teams, Discord, Telegram, Matrix, ntfy, SMS and a hundred more."""

    LIMITS: ClassVar[Limits] = Limits(items=MOST_LINES, body_bytes=64 * 1024, flush=5.0, parallel=1, timeout=30.0)
    CHANNEL: ClassVar[bool] = True
    TAKES: ClassVar[Literal["spans", "events", "both"]] = "both"

    type: Literal["apprise"] = "apprise"
    url: SecretStr = Field(
        description="An Apprise URL. It holds credentials, so it is a secret.", examples=["discord://…", "msteams://…"]
    )

    @model_validator(mode="after")
    def _packages(self) -> Self:
        need("apprise", "alerts")
        return self

    def build(self, name: str, client: "httpx.AsyncClient") -> "Apprise":
        """Return the destination. The package has connections of its own."""
        del name, client
        return Apprise(self.url.get_secret_value(), self.limits())


class Apprise:
    """One notification for each event, sent in a thread."""

    def __init__(self, url: str, limits: Limits) -> None:
        self.limits = limits
        self._url = url

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return a notification with a line for each call."""
        del batch
        return _notification(calls_title(parcels), calls_text(parcels), "info", tuple(parcel.span.id for parcel in parcels))

    def encode_event(self, event: Event) -> Payload:
        """Return a notification about an event."""
        kind = {"error": "failure", "warning": "warning"}.get(event.severity, "info")
        return _notification(title_of(event), text_of(event), kind, (event.id,))

    async def send(self, payload: Payload) -> Receipt:
        """Send a notification. The package says only whether it was taken; a thread that never ends is left behind."""
        try:
            async with asyncio.timeout(self.limits.timeout):
                taken = await asyncio.to_thread(_told, self._url, json.loads(payload.body))
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error
        except DeliveryFailed:
            raise
        except Exception as error:  # noqa: BLE001 - code of a hundred services, of which nothing is known
            raise Unavailable(f"Apprise failed: {type(error).__name__}") from None
        if not taken:
            raise Unavailable("the service did not take it; Apprise does not say why")
        return Receipt()


def _notification(title: str, text: str, kind: str, ids: tuple[str, ...]) -> Payload:
    return Payload(json_bytes({"title": title, "body": text, "notify_type": kind}), "application/json", ids)


def _told(url: str, notification: dict[str, Any]) -> bool:
    import apprise  # noqa: PLC0415 - an extra, and slow to import

    service = apprise.Apprise()
    if not service.add(url):
        raise Misconfigured("Apprise knows no such service, or its URL lacks something; look at the URL")
    return bool(service.notify(**notification, body_format=apprise.NotifyFormat.TEXT))
