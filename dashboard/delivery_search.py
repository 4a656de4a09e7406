"""Which deliveries are asked for: query parameters and bodies, checked by hand; and the search through them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from starlette.datastructures import QueryParams

from dashboard.destination_desk import DestinationDesk
from dashboard.problems import Problem, refuse_unknown
from dashboard.queries import instant, number, once_each, where_of
from domain.deliveries import DeliveryState
from routing.where import Where
from storage.deliveries import DeliveryPage, DeliveryRecord, Listing

STATES = ("pending", "delivered", "dead")
# What deliveries die of: `domain.deliveries.Dead`.
KINDS = ("rejected", "expired", "too_large", "transform", "unreadable", "gave_up", "removed", "dropped")
DEFAULT_LIMIT, LARGEST_LIMIT, STEP = 50, 500, 200
MOST_SCANNED, MOST_IDS, LONGEST_NAME = 20_000, 1000, 128
_KNOWN = ("destination", "state", "kind", "from", "to", "where", "id", "cursor", "limit")


@dataclass(frozen=True, slots=True)
class Search:
    """What the store looks up, and the condition that the call of each must meet; events meet none. `id` is of a call or an event."""

    listing: Listing
    where: Where | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Deliveries of one destination and state that something is to be done with."""

    destination: str
    state: DeliveryState
    ids: Sequence[str] | None
    cursor: str | None
    listing: Listing
    where: Where | None

    def search(self, cursor: str | None) -> Search:
        """Return the search for the next of them."""
        return Search(replace(self.listing, cursor=cursor), self.where)


def listing_of(params: QueryParams, now: float) -> Search:
    """Return the search that query parameters ask for.

    Raises:
        Problem: a parameter is unknown, there twice, or not what it must be.

    """
    given = once_each(params)
    refuse_unknown(given, _KNOWN, "parameter")
    listing = Listing(
        destination=given.get("destination"),
        state=_state(given.get("state"), STATES),
        kind=_kind(given.get("kind")),
        since=instant(given, "from", now),
        until=instant(given, "to", now),
        cursor=given.get("cursor"),
        limit=number(given, "limit", DEFAULT_LIMIT, 1, LARGEST_LIMIT),
    )
    return Search(listing, where_of(given), _id(given.get("id")))


def chosen_of(body: Mapping[str, Any], now: float, *, states: Sequence[str]) -> Chosen:
    """Return what the fields of a body choose; the first of `states` where it says none.

    Raises:
        Problem: a field is missing or not what it must be.

    """
    for name in ("destination", "kind", "where", "from", "to", "state", "cursor"):
        if not isinstance(body.get(name, ""), str):
            raise Problem(400, f"`{name}` is text.", parameter=name)
    if not body.get("destination"):
        raise Problem(400, "Say whose deliveries: `destination`.", parameter="destination")
    ids = _ids(body.get("ids"))
    if ids is not None and any(name in body for name in ("kind", "where", "from", "to", "cursor")):
        raise Problem(400, "Give either `ids`, or conditions.", parameter="ids")
    state = cast("DeliveryState", _state(body.get("state"), states) or states[0])
    listing = Listing(
        destination=body["destination"],
        state=state,
        kind=_kind(body.get("kind")),
        since=instant(body, "from", now),
        until=instant(body, "to", now),
        limit=LARGEST_LIMIT,
    )
    return Chosen(body["destination"], state, ids, body.get("cursor"), listing, where_of(body))


def matching(desk: DestinationDesk, asked: Search, deadline: float) -> DeliveryPage:
    """Return the deliveries that were asked for, the newest first, within bounds of rows and time (`time.monotonic`).

    Raises:
        ValueError: the cursor is not one of ours.

    """
    if asked.id is not None:
        return DeliveryPage([one for one in desk.store.of_call(asked.id) if _is_in(one, asked.listing)], None)
    if asked.where is None:
        return desk.store.listed(asked.listing)
    found: list[DeliveryRecord] = []
    listing, scanned = replace(asked.listing, limit=STEP), 0
    while True:
        page = desk.store.listed(listing)
        wanted = asked.listing.limit - len(found)
        matches = _matches(desk, asked.where)
        places = [place for place, one in enumerate(page.records) if matches(one)]
        if len(places) >= wanted:
            last = places[wanted - 1] + 1
            cursor = (
                page.next_cursor if last == len(page.records) else desk.store.listed(replace(listing, limit=last)).next_cursor
            )
            return DeliveryPage([*found, *(page.records[place] for place in places[:wanted])], cursor)
        found += [page.records[place] for place in places]
        scanned += len(page.records)
        if page.next_cursor is None or scanned >= MOST_SCANNED or time.monotonic() > deadline:
            return DeliveryPage(found, page.next_cursor)
        listing = replace(listing, cursor=page.next_cursor)


def _matches(desk: DestinationDesk, where: Where) -> Callable[[DeliveryRecord], bool]:
    def matches(record: DeliveryRecord) -> bool:
        span = None if record.call_id is None else desk.spans.span(record.call_id)
        return span is not None and where.matches(span)

    return matches


def _is_in(record: DeliveryRecord, listing: Listing) -> bool:
    return (
        listing.destination in {None, record.destination}
        and listing.state in {None, record.state}
        and listing.kind in {None, record.kind}
        and (listing.since is None or record.owed_at >= listing.since)
        and (listing.until is None or record.owed_at < listing.until)
    )


def _state(text: str | None, states: Sequence[str]) -> DeliveryState | None:
    if text is not None and text not in states:
        raise Problem(400, f"`state` is one of {', '.join(states)}.", parameter="state")
    return cast("DeliveryState | None", text)


def _kind(text: str | None) -> str | None:
    if text is not None:
        refuse_unknown([text], KINDS, "kind of death")
    return text


def _id(text: str | None) -> str | None:
    """Return an id as we write it: those of calls may have been given with dashes."""
    if text is None:
        return None
    plain = text.replace("-", "").lower()
    return plain if len(plain) == 32 and plain.isalnum() else text[:LONGEST_NAME]  # noqa: PLR2004 - the digits of an id


def _ids(value: Any) -> Sequence[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 0 < len(value) <= MOST_IDS or not all(isinstance(one, str) for one in value):
        raise Problem(400, f"`ids` is a list of at most {MOST_IDS} ids.", parameter="ids")
    return [_id(one) or "" for one in value]
