"""Deliver spans and events to a URL of one's own as signed JSON (Standard Webhooks 1.0).

Source: ../shared/reference/destinations.md section 6.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from destinations.base import DestinationConfig
from destinations.handshake import Permission
from destinations.http import post
from destinations.jsontext import json_bytes
from destinations.lines import ended_text, full_line, thin_line
from destinations.signing import Sign, check_secret, signed, signer_of
from destinations.urls import Headers, Url
from domain.destinations import Limits, Misconfigured, Parcel, Payload, Receipt
from domain.events import Event
from domain.spans import rfc3339

if TYPE_CHECKING:
    import httpx

Format = Literal["full", "thin", "otlp_json", "cloudevents"]
ONE = "gateway.request.completed"
SEVERAL = "gateway.requests.completed"
MOST_ITEMS = 100
_GATHERED = 1.0
_DNS_NAME = r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}(\.[A-Za-z0-9-]{1,63}){0,9}$"
_JSON = "application/json"
_CLOUD_EVENT = "application/cloudevents+json"
_CLOUD_EVENTS = "application/cloudevents-batch+json"


class WebhookConfig(DestinationConfig):
    """Send calls and events to a URL of your own, as JSON that is signed by the Standard Webhooks specification."""

    TAKES: ClassVar[Literal["spans", "events", "both"]] = "both"
    LIMITS: ClassVar[Limits] = Limits(items=1, body_bytes=256 * 1024, flush=0.0, parallel=4, timeout=20.0)

    type: Literal["webhook"] = "webhook"
    url: Url = Field(description="Where to POST.", examples=["https://hooks.example.com/llm"])
    secret: SecretStr | tuple[SecretStr, ...] = Field(
        description="Signs each body: `whsec_…`, or the private key `whsk_…`. A list while you change it: each body is then signed with every one of them."
    )
    format: Format = Field("full", description="The shape of the body: `full`, `thin` (no bodies), `otlp_json` or `cloudevents`.")
    headers: Headers = Field(default_factory=dict, description="Headers of your own, such as an `Authorization`.")
    origin: str | None = Field(
        None,
        pattern=_DNS_NAME,
        description="The DNS name that you send as. With it, the receiver is asked first whether it wants messages from there, as CloudEvents' webhooks are.",
        examples=["gateway.example.com"],
    )
    batch_items: int | None = Field(
        None,
        ge=1,
        le=MOST_ITEMS,
        description="The most calls in one body, up to 100. With the default of 1 each call is a message.",
    )

    @field_validator("headers")
    @classmethod
    def _not_the_signature(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if any(name.lower().startswith("webhook-") for name in headers):
            raise ValueError("headers that begin with webhook- are the signature's; leave them out")
        return headers

    @field_validator("secret")
    @classmethod
    def _known_secrets(cls, secret: SecretStr | tuple[SecretStr, ...]) -> SecretStr | tuple[SecretStr, ...]:
        if not _all(secret):
            raise ValueError("give at least one secret")
        for one in _all(secret):
            check_secret(one.get_secret_value())
        return secret

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look at what your receiver got: a message whose data has the trace_id {trace}."

    def limits(self) -> Limits:
        """Return the limits. Batches of several are gathered for a second, and keep together when they are tried again, so that their id stays the same."""
        limits = super().limits()
        if limits.items == 1:
            return limits
        return replace(limits, keeps_batches=True, flush=_GATHERED if self.flush is None else self.flush)

    def build(self, name: str, client: "httpx.AsyncClient") -> "Webhook":
        """Return the destination."""
        del name
        try:
            signers = tuple(signer_of(one.get_secret_value()) for one in _all(self.secret))
        except ValueError as error:
            raise Misconfigured(str(error)) from None
        headers = {header: value.get_secret_value() for header, value in self.headers.items()}
        permission = None
        if self.origin is not None:
            permission = Permission(client, self.url, headers, origin=self.origin, now=time.monotonic)
        return Webhook(client, self.url, signers, headers=headers, form=self.format, limits=self.limits(), permission=permission)


def _all(secret: SecretStr | tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    return secret if isinstance(secret, tuple) else (secret,)


class Webhook:
    """One signed POST for each batch. The id of a message follows from the calls in it, so that a receiver knows one that comes twice."""

    def __init__(  # noqa: PLR0913 - what a webhook is made of
        self,
        client: "httpx.AsyncClient",
        url: str,
        signers: Sequence[Sign],
        *,
        headers: Mapping[str, str],
        form: Format,
        limits: Limits,
        permission: Permission | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits
        self._client = client
        self._url = url
        self._signers = tuple(signers)
        self._headers = {**headers, **(permission.headers if permission is not None else {})}
        self._permission = permission
        self._form = form
        self._now = now

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the body, in the format that was chosen."""
        message = message_id([parcel.span.id for parcel in parcels])
        body, content_type = _ENCODERS[self._form](parcels, batch, message)
        return Payload(body, content_type, tuple(parcel.span.id for parcel in parcels), {"webhook-id": message})

    def encode_event(self, event: Event) -> Payload:
        """Return an event. It is the same in every format but `cloudevents`."""
        message = event_message_id(event)
        value = {"type": event.type, "timestamp": rfc3339(event.at), "data": event_data(event)}
        content_type = _JSON
        if self._form == "cloudevents":
            value = _cloud_event(message, event.type, rfc3339(event.at), event.subject, event_data(event))
            content_type = _CLOUD_EVENT
        return Payload(json_bytes(value), content_type, (event.id,), {"webhook-id": message})

    async def send(self, payload: Payload) -> Receipt:
        """Sign the body for this try, and POST it, where the receiver wants it."""
        if self._permission is not None:
            await self._permission.check()
        proof = signed(self._signers, payload.headers["webhook-id"], int(self._now()), payload.body)
        answer = await post(
            self._client, self._url, body=payload.body, headers={**self._headers, **proof}, content_type=payload.content_type
        )
        return Receipt(answer.status)


def message_id(calls: Sequence[str]) -> str:
    """Return the id of the message that tells of these calls: the same whenever it is sent."""
    if len(calls) == 1:
        return f"msg_{calls[0]}"
    return f"msg_{hashlib.sha256(' '.join(calls).encode()).hexdigest()[:32]}"


def event_message_id(event: Event) -> str:
    """Return the id of an event's message. An event's own id may hold a dot, which would make the signed text ambiguous."""
    return f"evt_{hashlib.sha256(event.id.encode()).hexdigest()[:32]}"


def event_data(event: Event) -> dict[str, Any]:
    """Return what a message says of an event."""
    return {
        "id": event.id,
        "severity": event.severity,
        "subject": event.subject,
        "message": event.message,
        "data": dict(event.data),
    }


def _full(parcels: Sequence[Parcel], batch: str, message: str) -> tuple[bytes, str]:
    del batch, message
    return json_bytes(_plain(parcels, full_line)), _JSON


def _thin(parcels: Sequence[Parcel], batch: str, message: str) -> tuple[bytes, str]:
    del batch, message
    return json_bytes(_plain(parcels, thin_line)), _JSON


def _plain(parcels: Sequence[Parcel], line: Callable[[Parcel], dict[str, Any]]) -> dict[str, Any]:
    """Return one call as a message, or several as one message with a list."""
    if len(parcels) == 1:
        return {"type": ONE, "timestamp": ended_text(parcels[0]), "data": line(parcels[0])}
    return {"type": SEVERAL, "timestamp": max(map(ended_text, parcels)), "data": [line(parcel) for parcel in parcels]}


def _otlp(parcels: Sequence[Parcel], batch: str, message: str) -> tuple[bytes, str]:
    del batch, message
    from destinations.exporter import encoded_json  # noqa: PLC0415 - protobuf is needed by this format alone

    return encoded_json(parcels), _JSON


def _cloud(parcels: Sequence[Parcel], batch: str, message: str) -> tuple[bytes, str]:
    del batch
    events = [
        _cloud_event(message_id([parcel.span.id]), ONE, ended_text(parcel), parcel.span.id, full_line(parcel))
        for parcel in parcels
    ]
    if len(events) == 1:
        return json_bytes(events[0] | {"id": message}), _CLOUD_EVENT
    return json_bytes(events), _CLOUD_EVENTS


def _cloud_event(id_: str, type_: str, time_: str, subject: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CloudEvent 1.0 in structured mode. `source` and `id` together are unique: ids of calls are unique by themselves."""
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "faregate",
        "type": type_,
        "time": time_,
        "subject": subject,
        "datacontenttype": _JSON,
        "data": data,
    }


_ENCODERS: Mapping[Format, Callable[[Sequence[Parcel], str, str], tuple[bytes, str]]] = {
    "full": _full,
    "thin": _thin,
    "otlp_json": _otlp,
    "cloudevents": _cloud,
}
