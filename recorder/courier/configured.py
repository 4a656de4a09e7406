"""What the courier is told of a destination: how to make it, and what its settings say of its deliveries."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from destinations.base import DestinationConfig
from domain.deliveries import ContentMode
from domain.destinations import Destination, Limits, Misconfigured
from recorder.courier.transforms import Transform, transform_called
from recorder.profiles import STANDARD, Redaction

if TYPE_CHECKING:
    import httpx

WEEK = 7 * 86_400.0
LOOK = "Look there for the trace {trace}, or for the tag `faregate.test`."

Takes = Literal["spans", "events", "both"]
Close = Callable[[], Awaitable[None]]


async def _nothing_to_close() -> None:
    """Close nothing."""


@dataclass(frozen=True, slots=True)
class Made:
    """A destination that is ready, what ends its connections, and the function of a user's own that changes what is sent there, if any."""

    destination: Destination
    close: Close = _nothing_to_close
    transform: Transform | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """One destination of the settings. Times are seconds. `make` is called in the courier's loop, does no I/O, and may raise anything.

    `servers` says at which host and port an upstream is. `look_at` says where somebody finds a test call, with `{trace}` in it. `takes` says what is sent there.
    """

    name: str
    make: Callable[[], Made]
    limits: Limits
    content: ContentMode = "full"
    redact: tuple[str, ...] = ()
    retry_for: float = WEEK
    servers: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    look_at: str = LOOK
    key: bytes = b""
    takes: Takes = "spans"
    policy: Redaction = STANDARD


def configured(
    name: str,
    config: DestinationConfig,
    *,
    servers: Mapping[str, tuple[str, int]] | None = None,
    key: bytes = b"",
    policy: Redaction = STANDARD,
) -> Configured:
    """Return what the courier is told of a destination that is in the settings. `policy` says what redacting does, `key` is for what is hashed."""

    def make() -> Made:
        transform = _transform_of(config)
        client = _client_for(config)
        return Made(config.build(name, client), client.aclose, transform)

    return Configured(
        name=name,
        make=make,
        limits=config.limits(),
        content=config.content,
        redact=config.redact,
        retry_for=float(config.retry_for),
        servers=servers or {},
        look_at=getattr(config, "look_at", "") or LOOK,
        key=key,
        takes=getattr(config, "TAKES", "spans"),
        policy=policy,
    )


def _transform_of(config: DestinationConfig) -> Transform | None:
    name = getattr(config, "transform", None)
    try:
        return transform_called(name) if name else None
    except ValueError as error:
        raise Misconfigured(str(error)) from error


def _client_for(config: DestinationConfig) -> "httpx.AsyncClient":
    # An office without destinations has no use for an HTTP client.
    from destinations.client import client_for  # noqa: PLC0415

    return client_for(config)
