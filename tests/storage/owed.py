"""Calls that are owed to destinations, as the recorder saves them, and what a courier does with claims."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from domain.deliveries import Claimed, Dead, Delivered, Later, Owed
from domain.events import Event
from domain.spans import Span
from storage.database import Database
from storage.deliveries import DeliveryDesk, DeliveryStore
from storage.spans import SpanStore
from tests.storage.samples import BEGIN, SECOND, a_content, a_span

NOW = BEGIN + 86_400 * SECOND
PLENTY = 10**12


def a_store(database: Database, office: str = "office-1", **values: Any) -> DeliveryStore:
    """Return the store of an office whose clock stands at NOW."""
    return DeliveryStore(database, office=office, now=lambda: NOW, **values)


def a_desk(database: Database) -> DeliveryDesk:
    """Return the desk at NOW."""
    return DeliveryDesk(database, now=lambda: NOW)


def save(
    database: Database,
    count: int,
    *names: str,
    bodies: bool = False,
    first: int = 0,
    owed: Sequence[Owed] | None = None,
    ids: Iterable[str] | None = None,
) -> list[Span]:
    """Save calls that are owed to the destinations called `names`, or as `owed` says. Their `ids` are random where nobody gives any."""
    spans = [
        a_span(first + number, id=name) for number, name in zip(range(count), repeat(None) if ids is None else ids, strict=False)
    ]
    terms = [Owed(name) for name in names] if owed is None else owed
    store = SpanStore(database, now=lambda: NOW)
    store.save([(span, a_content() if bodies else None) for span in spans], {}, {span.id: terms for span in spans})
    return spans


def claim(store: DeliveryStore, destination: str = "a", lane: Any = "live", **values: Any) -> list[Claimed]:
    """Claim all that is due, or as `values` say."""
    return store.claim(destination, lane, **{"now": NOW, "most": 1000, "most_bytes": PLENTY, **values})


def ids(claims: Iterable[Claimed]) -> list[str]:
    """Return the ids of claimed calls."""
    return [claimed.span.id if claimed.span else claimed.event.id if claimed.event else "" for claimed in claims]


def delivered(claims: Iterable[Claimed], **values: Any) -> list[Delivered]:
    """Return that all of it was taken."""
    return [Delivered(claimed, NOW, 202, **values) for claimed in claims]


def later(claims: Iterable[Claimed], after: int = 5 * SECOND, **values: Any) -> list[Later]:
    """Return that all of it is to be tried again `after` nanoseconds."""
    return [Later(claimed, NOW, NOW + after, 503, "busy", **values) for claimed in claims]


def dead(claims: Iterable[Claimed], kind: str = "rejected", **values: Any) -> list[Dead]:
    """Return that none of it will be tried again."""
    return [Dead(claimed, NOW, kind, 400, "no such field", **values) for claimed in claims]


def an_event(id_: str = "event-1", **values: Any) -> Event:
    """Return an event."""
    return Event(id_, "budget.warning", NOW, "warning", "team", "A budget came to 80 %.", **values)
