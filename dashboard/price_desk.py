"""What the routes of prices work with, and how they read what is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request

from dashboard.price_shelf import PriceShelf
from dashboard.problems import Problem
from dashboard.times import instant_of
from domain.spans import Span
from storage.adjustments import AdjustmentStore

Place = tuple[int, int]
STEP_SECONDS = 2.0


class Moved(Protocol):
    """How much the calls of one model moved (`recorder.repricing`), in pico-USD."""

    upstream: str
    model: str
    calls: int
    old: int
    new: int
    became_known: int
    became_unknown: int


class Step(Protocol):
    """What one step of pricing again did; `place` is None at the end."""

    scanned: int
    moved: dict[tuple[str, str], Any]
    place: Place | None


class Repricing(Protocol):
    """Prices recorded calls again (`recorder.repricing.Repricer`)."""

    def step(  # noqa: PLR0913 - as there
        self,
        since: int,
        until: int,
        after: Place = ...,
        *,
        run: str | None,
        matches: Callable[[Span], bool] = ...,
        seconds: float = ...,
    ) -> Step:
        """Look at some of the calls between two times; write only where there is a `run`."""

    def of(self, spans: Sequence[Span]) -> Step:
        """Return what would change about these calls."""


class Auditing(Protocol):
    """Compares what providers reported with our prices (`recorder.price_audit.Auditor`)."""

    def step(self, since: int, until: int, after: Place = ..., *, seconds: float = ...) -> Any:
        """Compare some of the calls between two times."""


@dataclass(frozen=True, slots=True)
class PriceDesk:
    """What the routes work with.

    `upstreams` are the configured ones: name, and host with path. `refresh` fetches the price list that the settings name, and says what it found
    (`dry_run`: without putting it in force); it raises ValueError where that cannot be done.
    """

    shelf: PriceShelf
    adjustments: AdjustmentStore
    repricing: Repricing
    auditing: Auditing
    upstreams: Mapping[str, str]
    refresh: Callable[[bool], Mapping[str, Any]]


def desk_of(request: Request) -> PriceDesk:
    """Return what the routes work with."""
    desk: PriceDesk = request.app.state.prices
    return desk


def instant_in(given: Mapping[str, Any], name: str, now: float, default: str | None) -> int:
    """Return a time that is asked for (Unix nanoseconds); `default` None: it must be there.

    Raises:
        Problem: it is not there, or no time.

    """
    if name not in given and default is None:
        raise Problem(400, f"`{name}` is needed: a time, or 24h for 24 hours ago.", parameter=name)
    try:
        return instant_of(text_in(given, name) if name in given else str(default), now)
    except ValueError as error:
        raise Problem(400, str(error), parameter=name) from None


def text_in(given: Mapping[str, Any], name: str) -> str:
    """Return a text that is asked for.

    Raises:
        Problem: it is none.

    """
    value = given[name]
    if not isinstance(value, str):
        raise Problem(400, f"`{name}` is a text.", parameter=name)
    return value
