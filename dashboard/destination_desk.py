"""What the admin API works on destinations and deliveries with, and how a destination is shown."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from dashboard.times import NANOSECONDS
from destinations.base import DestinationConfig
from domain.deliveries import Counts, Owed
from domain.destinations import Limits, Payload
from domain.replays import Estimate, Replay, ReplayAsked
from domain.spans import Content, Span, rfc3339
from storage.deliveries import DeliveryDesk
from storage.spans import SpanStore

_TIMES = ("since", "last_ok_at", "last_error_at", "paused_until")


class Standing(Protocol):
    """How the courier stands with one destination (`recorder.courier.status.DestinationStatus`). Times are Unix nanoseconds."""

    @property
    def state(self) -> str:
        """One word: idle, sending, waiting, failing, open, misconfigured or disabled."""

    @property
    def why(self) -> str:
        """One sentence."""

    @property
    def last_error(self) -> str | None:
        """What went wrong last."""

    @property
    def breaker(self) -> str:
        """closed, open or half-open."""

    @property
    def batch(self) -> int:
        """How many spans go into one request now."""

    @property
    def parallel(self) -> int:
        """How many requests there may be at once now."""

    @property
    def in_flight(self) -> int:
        """How many there are."""

    @property
    def attempts(self) -> int:
        """Requests since the office was started."""

    @property
    def failures(self) -> int:
        """Those of them that failed."""

    @property
    def outcomes(self) -> Mapping[str, int]:
        """What came of them."""


class TestResult(Protocol):
    """What became of a test (`recorder.courier.status.TestResult`)."""

    @property
    def ok(self) -> bool:
        """Whether it was taken."""

    @property
    def message(self) -> str:
        """What happened, in a sentence."""

    @property
    def status(self) -> int | None:
        """The status of the answer."""

    @property
    def took(self) -> float:
        """Seconds."""

    @property
    def call_id(self) -> str:
        """The id of the span or event that was sent."""

    @property
    def trace_id(self) -> str:
        """Its trace."""

    @property
    def look_at(self) -> str:
        """Where to find it."""


class Courier(Protocol):
    """The courier, as far as it is asked here (`recorder.courier.Courier`). All of it may be called from any thread."""

    def status(self) -> Mapping[str, Standing]:
        """Return how it stands with each destination."""

    def test(self, name: str, /) -> TestResult:
        """Send a span through the queue, and wait, not for ever, for what becomes of it."""

    def retry(self, name: str, /) -> Any:
        """Try a destination again now, whatever it is paused for."""

    def wake(self) -> Any:
        """Look at what is owed."""

    def encoded(self, name: str, span: Span, content: Content | None, owed: Owed, /) -> Payload:
        """Return what is sent to a destination for one span."""


class Replays(Protocol):
    """The replays (`recorder.replaying.Replays`)."""

    def begin(self, asked: ReplayAsked, /) -> Replay | None:
        """Begin one; return None where too many run."""

    def all(self) -> Sequence[Replay]:
        """Return all, the newest first."""

    def get(self, id_: str, /) -> Replay | None:
        """Return one."""

    def end(self, id_: str, /) -> Replay | None:
        """Stop one."""

    def forget(self, names: Collection[str], /) -> int:
        """Forget the conditions that name somebody; return how many those are."""

    def estimate(self, asked: ReplayAsked, seconds: float, /) -> Estimate:
        """Return what one would do, as far as so many seconds suffice to look."""


def as_the_settings_say(_span: Span, destination: str) -> Owed | None:
    """Owe a span to a destination as the destination's own settings say."""
    return Owed(destination)


@dataclass(frozen=True, slots=True)
class DestinationDesk:
    """What these answers are made from.

    `lines` says where the settings define each destination (`faregate.toml:12`), `owed_for` how rules owe a span to a destination,
    None where they keep it from everybody. `patience` is how long one request may look or change, in seconds; what is left is for the next one.
    """

    configured: Mapping[str, DestinationConfig]
    store: DeliveryDesk
    spans: SpanStore
    courier: Courier
    replays: Replays
    lines: Mapping[str, str] = field(default_factory=dict)
    owed_for: Callable[[Span, str], Owed | None] = as_the_settings_say
    patience: float = 10.0
    now: Callable[[], float] = time.time

    def names(self) -> list[str]:
        """Return the destinations that the settings have, and those that something is still owed to."""
        return sorted({*self.configured, *self.store.counts()})


def destination_json(desk: DestinationDesk, name: str, counts: Counts, standing: Standing | None) -> dict[str, Any]:
    """Return a destination as JSON. Nothing secret is in it: not even the path of its URL, which is a secret with some."""
    config = desk.configured.get(name)
    return {
        "name": name,
        "type": None if config is None else config.type,
        "origin": None if config is None else "file",
        "locked": True,
        "place": desk.lines.get(name),
        "address": None if config is None else address_of(config),
        **_settings_json(config),
        **_standing_json(standing, configured=config is not None),
        "counts": counts_json(counts),
        "oldest_age_seconds": _age(counts.oldest, desk.now()),
    }


def counts_json(counts: Counts) -> dict[str, int]:
    """Return counts as JSON: accepted is delivered, pending and dead together. `dead_kept` are the dead ones that can still be sent."""
    shown = {name: getattr(counts, name) for name in ("accepted", "delivered", "pending", "dead", "refused")}
    return shown | {"dead_kept": counts.dead - counts.gone}


def _settings_json(config: DestinationConfig | None) -> dict[str, Any]:
    if config is None:
        return {"content": None, "redact": None, "allow_private": None, "takes": None, "limits": None}
    return {
        "content": config.content,
        "redact": list(config.redact),
        "allow_private": config.allow_private,
        "takes": config.TAKES,
        "limits": _limits_json(config.limits(), config.retry_for),
    }


def _limits_json(limits: Limits, retry_for: float) -> dict[str, Any]:
    return {
        "items": limits.items,
        "body_bytes": limits.body_bytes,
        "item_bytes": limits.item_bytes,
        "flush_seconds": limits.flush,
        "parallel": limits.parallel,
        "timeout_seconds": limits.timeout,
        "max_age_seconds": limits.max_age,
        "retry_for_seconds": retry_for,
    }


def _standing_json(standing: Standing | None, *, configured: bool) -> dict[str, Any]:
    if standing is None:
        why = "The courier is not running." if configured else "The settings do not have it any more; what it is owed waits."
        times = dict.fromkeys(_TIMES)
        numbers = dict.fromkeys(
            ("last_error", "breaker", "batch", "parallel_now", "in_flight", "attempts", "failures", "outcomes")
        )
        return {"state": "unknown" if configured else "removed", "why": why, **times, **numbers}
    return {
        "state": standing.state,
        "why": standing.why or None,
        **{name: time_json(getattr(standing, name)) for name in _TIMES},
        "last_error": standing.last_error,
        "breaker": standing.breaker,
        "batch": standing.batch,
        "parallel_now": standing.parallel,
        "in_flight": standing.in_flight,
        "attempts": standing.attempts,
        "failures": standing.failures,
        "outcomes": dict(standing.outcomes),
    }


def address_of(config: DestinationConfig) -> str | None:
    """Return the host and port of a destination's URL, None where it has none."""
    url = getattr(config, "url", None)
    if url is None or hasattr(url, "get_secret_value"):
        return None
    try:
        parts = urlsplit(str(url))
        port = parts.port
    except ValueError:
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return host if port is None else f"{host}:{port}"


def _age(oldest: int | None, now: float) -> float | None:
    return None if oldest is None else round(max(now - oldest / NANOSECONDS, 0.0), 3)


def time_json(at: int | None) -> str | None:
    """Return Unix nanoseconds as RFC 3339, None for None."""
    return None if at is None else rfc3339(at)
