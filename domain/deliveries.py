"""Deliveries: what is owed to destinations, what became of it, and the store of it as the courier sees it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from domain.events import Event
from domain.spans import Content, Span

DeliveryState = Literal["pending", "delivered", "dead"]
Lane = Literal["live", "replay"]
ContentMode = Literal["full", "redacted", "none"]


@dataclass(frozen=True, slots=True)
class Owed:
    """One span owed to one destination, as rules decided: saved in the span's own transaction.

    `content` and `redact` are None where the destination's own settings hold. `extra` are attributes that rules set. `otherwise` is the
    destination that gets it when this one stays down.
    """

    destination: str
    content: ContentMode | None = None
    redact: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    otherwise: str | None = None


@dataclass(slots=True)
class Attempt:
    """One try at a delivery. `at` is Unix nanoseconds; `error` is None where it was taken."""

    at: int
    status: int | None
    error: str | None


@dataclass(slots=True)
class Claimed:
    """A delivery that the courier took to try it. `number` is its place in the order in which things were owed.

    Exactly one of `span` and `event` is there, unless what was owed cannot be read any more (`unreadable` says why then).
    `owed_at`: Unix nanoseconds, when it was owed first. `attempts` counts the tries so far. `batch` is the batch's id where that is kept.
    """

    number: int
    lane: Lane
    owed: Owed
    owed_at: int
    attempts: int
    span: Span | None
    content: Content | None
    event: Event | None = None
    batch: str | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a claim: it was taken. `note` is a warning of the destination's, `shortened` as in `Parcel`.

    `refused`: how many of its batch the destination did not keep without saying which; on the first of a batch only.
    """

    claim: Claimed
    at: int
    status: int | None
    note: str = ""
    shortened: str | None = None
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Later:
    """What became of a claim: it is to be tried again at `due` (Unix nanoseconds). `counts`: the try was about this delivery, not about its batch."""

    claim: Claimed
    at: int
    due: int
    status: int | None
    error: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """What became of a claim: it will not be tried again. `kind` sorts the reasons (`rejected`, `expired`, `too_large`, `transform`, `unreadable`, `gave_up`, `removed`).

    `payload` is what was sent, of this span alone, at most 256 KiB of it.
    """

    claim: Claimed
    at: int
    kind: str
    status: int | None
    error: str
    payload: bytes = b""
    content_type: str = ""


Outcome = Delivered | Later | Dead


@dataclass(frozen=True, slots=True)
class Counts:
    """How one destination's deliveries stand: accepted = delivered + pending + dead, always. `oldest` is when the oldest pending one was owed (Unix nanoseconds).

    `gone` of the dead are deleted (for their age, with their call, by hand): the others can be tried again.
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    refused: int = 0
    oldest: int | None = None
    gone: int = 0


class DeliveryQueue(Protocol):
    """The store of deliveries as the courier uses it. Where nothing else is said, a method is one transaction, waits, and may raise `StoreUnavailable`."""

    def start_over(self) -> None:
        """Know of no claims any more: whoever had them has failed, and nobody will finish them. They are free after the next `beat`. It does not wait."""

    def claim(  # noqa: PLR0913 - what bounds a claim
        self, destination: str, lane: Lane, *, now: int, most: int, most_bytes: int, keep_batches: bool = False, batch: str = ""
    ) -> list[Claimed]:
        """Take what is due, oldest first, and return it; nobody else gets it until it is finished, or its office is dead.

        `most_bytes` bounds the recorded bodies that come with it, roughly; at least one is returned where one is due. With `keep_batches`, a batch that was
        formed before and is not finished comes back whole; what is claimed newly becomes a batch named `batch`.
        """

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of claims. For one that is finished already, nothing happens."""

    def put_back(self, claims: Sequence[Claimed]) -> None:
        """Give claims back untouched: they were not tried."""

    def next_due(self, destination: str, lane: Lane, *, now: int) -> int | None:
        """Return when something will be due next (Unix nanoseconds, not before `now` where it is due already); None if nothing waits."""

    def beat(self, *, now: int) -> None:
        """Say that this office lives, and free what dead offices had claimed."""

    def counts(self) -> Mapping[str, Counts]:
        """Return how each destination's deliveries stand."""

    def owe_event(self, event: Event, destinations: Sequence[Owed]) -> bool:
        """Save an event that is owed to destinations; return False where it was saved before."""

    def divert(self, destination: str, *, to: Collection[str], now: int, most: int) -> int:
        """Owe pending deliveries of a destination that stays down to their `otherwise`, where that is one of `to`; return how many.

        They move: accepted and pending fall here and rise there. Their `otherwise` is empty afterwards; what the other one has already only goes.
        """

    def claim_one(self, destination: str, id: str, *, now: int) -> Claimed | None:  # noqa: A002 - it is the id of a call or an event
        """Take the pending delivery of one call or event, due or not; None where it is not pending, or somebody has it."""
