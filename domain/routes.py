"""Routes: which upstreams serve a call, as an operator wrote it down. Times are seconds."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["order", "split", "fastest", "cheapest", "least-busy"]
Sticky = Literal["session", "customer", "key", "off"]
TRANSIENT = frozenset({429, 500, 502, 503, 504, 529})


@dataclass(frozen=True, slots=True)
class Aim:
    """An upstream that a route names, and the model's name there, where the route says one. `weight` counts in a split only."""

    upstream: str
    model: str | None = None
    weight: float = 1.0

    @property
    def text(self) -> str:
        """How an operator writes it: `azure`, or `azure/gpt-4o-eu`."""
        return self.upstream if self.model is None else f"{self.upstream}/{self.model}"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried once more when every target of its route has failed, and after which pause.

    The pause before the n-th further try is a random part of `backoff` doubled n - 1 times (full jitter), at most `longest`. Where an
    upstream says by `retry-after` how long it wants to be left alone, the pause is at least that; where that is over `longest`, nothing more is tried.
    """

    statuses: AbstractSet[int] = TRANSIENT
    times: int = 2
    backoff: float = 0.5
    longest: float = 8.0


@dataclass(frozen=True, slots=True)
class RouteTimeouts:
    """How long an upstream may take on this route; None is what the upstream's own settings say."""

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of a `share` (0 to 1) of the calls to a second upstream. `key` is the name of the key that the copies are recorded under, and budgets know them by."""

    to: Aim
    share: float
    key: str


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One route. Without `aims` the call goes where it would go without routes; `deny` is the message of a refusal."""

    name: str
    when: str | None = None
    aims: tuple[Aim, ...] = ()
    strategy: Strategy = "order"
    sticky: Sticky = "off"
    model: str | None = None
    retries: Retries | None = None
    timeouts: RouteTimeouts | None = None
    mirror: Mirror | None = None
    deny: str | None = None
