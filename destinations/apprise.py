"""Tell people of events by any service that Apprise knows. Needs the extra `alerts`.

Source: Apprise 2.2 (https://github.com/caronc/apprise), read 2026-11.
"""

import asyncio
import json
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from destinations.addresses import place_of, why_not
from destinations.base import DestinationConfig
from destinations.extras import need
from destinations.jsontext import json_bytes
from destinations.telling import MOST_LINES, calls_text, calls_title, text_of, title_of
from destinations.urls import checked_host
from domain.destinations import DeliveryFailed, Limits, Misconfigured, Parcel, Payload, Receipt, Unavailable
from domain.events import Event

if TYPE_CHECKING:
    import httpx

# Written out like this it is an address, and no service's token; a number alone can be the id of a channel.
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-f.]*:[0-9a-f:.]*")


class AppriseConfig(DestinationConfig):
    """Tell people of events by any of the services that Apprise knows: Teams, Discord, Telegram, Matrix, ntfy, SMS and a hundred more."""

    LIMITS: ClassVar[Limits] = Limits(items=MOST_LINES, body_bytes=64 * 1024, flush=5.0, parallel=1, timeout=30.0)
    CHANNEL: ClassVar[bool] = True
    TAKES: ClassVar[Literal["spans", "events", "both"]] = "both"

    type: Literal["apprise"] = "apprise"
    url: SecretStr = Field(
        description="An Apprise URL. It holds credentials, so it is a secret.", examples=["discord://…", "msteams://…"]
    )

    @field_validator("url")
    @classmethod
    def _at_no_forbidden_address(cls, url: SecretStr) -> SecretStr:
        host = ""
        with suppress(ValueError):  # what is no URL is for the package to say
            host = urlsplit(url.get_secret_value()).hostname or ""
        if _ADDRESS.fullmatch(host):
            checked_host(host)
        return url

    @model_validator(mode="after")
    def _packages(self) -> Self:
        need("apprise", "alerts")
        return self

    def build(self, name: str, client: "httpx.AsyncClient") -> "Apprise":
        """Return the destination. The package has connections of its own."""
        del name, client
        return Apprise(self.url.get_secret_value(), self.limits(), allow_private=self.allow_private)


class Apprise:
    """One notification for each event, sent in a thread."""

    def __init__(self, url: str, limits: Limits, *, allow_private: bool) -> None:
        self.limits = limits
        self._url = url
        self._allow_private = allow_private

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
                taken = await asyncio.to_thread(_told, self._url, json.loads(payload.body), self._allow_private)
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


def _told(url: str, notification: dict[str, Any], allow_private: bool) -> bool:
    import apprise  # noqa: PLC0415 - an extra, and slow to import

    service = apprise.Apprise.instantiate(url)
    if service is None:
        raise Misconfigured("Apprise knows no such service, or its URL lacks something; look at the URL")
    _check(service, allow_private)
    # Where a redirect leads is checked by nobody.
    service.redirects = False
    # Only this class turns a text into what the service shows.
    services = apprise.Apprise()
    services.add(service)
    return bool(services.notify(**notification, body_format=apprise.NotifyFormat.TEXT))


def _check(service: Any, allow_private: bool) -> None:
    """See that a service is at allowed addresses, where its URL says at which host it is.

    Raises:
        Misconfigured: it is not.

    """
    if not any("{host}" in template for template in service.templates):
        return  # it is at its maker's; what stands in the host's place is a token
    host = str(getattr(service, "smtp_host", None) or service.host or "").strip("[]")
    try:
        found = [str(place[0]) for *_, place in socket.getaddrinfo(host, None)] if host else []
    except (OSError, UnicodeError):
        return  # no host's name but a topic's, say; if it is one, Apprise finds no more than we
    for address in found:
        reason = why_not(address, allow_private=allow_private)
        if reason is not None:
            raise Misconfigured(f"{place_of(host, address)}: {reason}")
