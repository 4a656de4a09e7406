"""Destinations: the places a span can be sent, as the courier and their authors see them.

A destination turns parcels into one payload (`encode`: no I/O, the same bytes for the same parcels) and sends it (`send`: one try). When,
how often, how many at once and what happens on failure is the courier's; so a destination has no queue, no retry and no back-off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from domain.events import Event
from domain.spans import Content, Span


@dataclass(slots=True)
class Parcel:
    """One span as one destination is to have it: redacted for it, with what rules added.

    `content` is None where the destination gets no bodies. `extra` are attributes that rules set, by name. `server` is the host and
    port of the upstream, None where that is not known. `shortened` says what was taken out so that it fits (`media`, `texts`, `content`).
    """

    span: Span
    content: Content | None
    extra: Mapping[str, Any] = field(default_factory=dict)
    server: tuple[str, int] | None = None
    shortened: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How a destination wants to be served. Bytes are of the payload before compression; times are seconds.

    `max_age`: older spans are refused there, so the courier does not send them. `keeps_batches`: a batch that is tried again holds the same
    spans under the same id. `by_hour`: all spans of a batch began in the same hour (UTC). `parallel`: the most requests at once.
    """

    items: int = 100
    body_bytes: int = 4 * 1024 * 1024
    item_bytes: int | None = None
    flush: float = 1.0
    parallel: int = 2
    timeout: float = 15.0
    max_age: float | None = None
    keeps_batches: bool = False
    by_hour: bool = False


@dataclass(slots=True)
class Payload:
    """A request's body as it will be sent, uncompressed, without any credential. `calls` are the ids in it, in order.

    `name` is where it goes in a store of objects. `headers` belong to this body (a boundary, an id).
    """

    body: bytes
    content_type: str
    calls: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(slots=True)
class Receipt:
    """What a destination said of a payload that it took. Calls that are not named were taken.

    `rejected` are never to be sent again, `again` are; both give a reason by call id. `refused` counts items that it did not keep without
    saying which (OTLP's partial success). `note` is a warning in its own words, at most 1 KB.
    """

    status: int | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)
    again: Mapping[str, str] = field(default_factory=dict)
    refused: int = 0
    note: str = ""


class DeliveryFailed(Exception):
    """A payload was not taken, in a way that somebody treats differently. `message` holds no content and no credential."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Unavailable(DeliveryFailed):
    """It may be taken later: try again. `retry_after` (seconds) is the destination's wish; `throttled`: it is well, and has too much to do."""

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None, throttled: bool = False
    ) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after
        self.throttled = throttled


class Rejected(DeliveryFailed):
    """It will never be taken as it is: something in it is wrong (400, 422)."""


class TooLarge(DeliveryFailed):
    """It is more than the destination takes at once (413)."""


class Misconfigured(DeliveryFailed):
    """The destination takes nothing until somebody changes something: credentials, address, plan (401, 402, 403, 404, 410).

    `gone`: it said that it will never take anything again (410).
    """

    def __init__(self, message: str, *, status: int | None = None, gone: bool = False) -> None:
        super().__init__(message, status=status)
        self.gone = gone


class Destination(Protocol):
    """Takes spans away. One object serves one configured destination, from one event loop; `encode` may run in another thread.

    `limits` are those of its settings. It may lower `items` and `body_bytes` when it learns that its server takes less.
    """

    limits: Limits

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the parcels as one payload. `batch` is the batch's id: 32 hex digits, the same when it is tried again."""

    async def send(self, payload: Payload) -> Receipt:
        """Send a payload, once.

        Raises:
            Unavailable: try again later.
            TooLarge: try with less.
            Rejected: something in it is wrong.
            Misconfigured: nothing will be taken until somebody changes something.

        """


@runtime_checkable
class TakesEvents(Protocol):
    """A destination that takes events too: webhooks and channels."""

    def encode_event(self, event: Event) -> Payload:
        """Return an event as a payload; `Payload.calls` is its id."""
