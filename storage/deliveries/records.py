"""Deliveries as the desk shows them: of one call, of a page of calls, or listed by destination and state."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain.deliveries import Attempt, DeliveryState, Lane, Owed
from storage.deliveries.ids import ids_of, numbers_of
from storage.deliveries.rows import CLAIMED, DEAD, DELIVERED, LANE_NAMES, WAITING, OwedReader, is_event
from storage.deliveries.sql import by_index, found
from storage.deliveries.totals import totals
from storage.packing import unpacked

LONGEST_PAGE = 1000
_COLUMNS = """destination, number, lane, state, due, attempts, owed_at, otherwise, batch, tried_at, status, error, kind, note, shortened, log, options"""
_OF_NUMBERS = f"SELECT {_COLUMNS} FROM deliveries WHERE destination = ANY(?) AND number = ANY(?) ORDER BY number, destination"  # noqa: S608 - constants
# A list walks one range of an index for each of these.
_PENDING = "INDEXED BY ix_deliveries_pending WHERE destination = ? AND state = {} AND lane = {} AND ended_at IS NULL"
_RANGES: dict[DeliveryState | None, tuple[str, ...]] = {
    None: ("NOT INDEXED WHERE destination = ?",),
    "pending": tuple(_PENDING.format(state, lane) for state in (0, 1, 2) for lane in (0, 1)),
    "delivered": (f"NOT INDEXED WHERE destination = ? AND state = {DELIVERED}",),
    "dead": (f"INDEXED BY ix_deliveries_dead WHERE destination = ? AND state = {DEAD}",),
}
_LARGEST = 2**63 - 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, str]).decode


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """How one delivery stands. Times are Unix nanoseconds. One of `call_id` and `event_id` is there.

    `due_at` is when it is tried again, where it waits for that; `claimed`: an office is at it. `tries` counts those that were about it alone;
    `attempts` has the last five. `error` and `status` are of the last attempt, `kind` is why it is dead, `note` what the destination said of it.
    `owed` are its terms, None where they cannot be read.
    """

    destination: str
    number: int
    call_id: str | None
    event_id: str | None
    lane: Lane
    state: DeliveryState
    owed_at: int
    due_at: int | None
    claimed: bool
    tries: int
    attempts: list[Attempt]
    status: int | None
    error: str | None
    kind: str | None
    note: str
    shortened: str | None
    batch: str | None
    otherwise: str | None
    owed: Owed | None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A part of a list, the newest first; `next_cursor` is None at its end."""

    records: list[DeliveryRecord]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list: all conditions must hold. `since` (included) and `until` (left out) are about when it was owed, in Unix nanoseconds."""

    destination: str | None = None
    state: DeliveryState | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None
    cursor: str | None = None
    limit: int = 50


def of_calls(connection: Connection, ids: Iterable[str]) -> dict[str, list[DeliveryRecord]]:
    """Return the deliveries of calls, or events, by id; those that are not there have none."""
    wanted = list(ids)
    numbers = numbers_of(connection, wanted)
    rows = found(connection, _OF_NUMBERS, list(totals(connection)), list(numbers.values())) if numbers else ()
    records: dict[str, list[DeliveryRecord]] = {one: [] for one in wanted}
    names = {number: one for one, number in numbers.items()}
    for row in rows:
        records[names[row[1]]].append(_record(row, names))
    return records


def listed(connection: Connection, listing: Listing) -> DeliveryPage:
    """Return one page of a list.

    Raises:
        ValueError: the limit or the cursor is wrong.
    """
    by_index(connection)
    if not 1 <= listing.limit <= LONGEST_PAGE:
        raise ValueError(f"the limit must be between 1 and {LONGEST_PAGE}")
    place = None if listing.cursor is None else _place_of(listing.cursor)
    names = list(totals(connection)) if listing.destination is None else [listing.destination]
    rows = sorted((row for name in names for row in _rows(connection, name, listing, place)), key=_order)
    shown = rows[: listing.limit]
    ids = ids_of(connection, [row[1] for row in shown])
    cursor = _cursor_of(shown[-1][1], shown[-1][0]) if len(rows) > listing.limit else None
    return DeliveryPage([_record(row, ids) for row in shown], cursor)


def _rows(connection: Connection, name: str, listing: Listing, place: tuple[int, str] | None) -> Iterator[Sequence[Any]]:
    """Return of one destination what could be on the page, and one more."""
    most = _LARGEST if place is None else place[0] if name > place[1] else place[0] - 1
    more, values = "", []
    filters = ("owed_at >= ?", listing.since), ("owed_at < ?", listing.until), ("kind = ?", listing.kind)
    for condition, value in filters:
        if value is not None:
            more += f" AND {condition}"
            values.append(value)
    for part in _RANGES[listing.state]:
        statement = f"""SELECT {_COLUMNS} FROM deliveries {part} AND number <= ?{more}
            ORDER BY number DESC LIMIT ?"""  # noqa: S608 - constants
        yield from found(connection, statement, name, most, *values, listing.limit + 1)


def _order(row: Sequence[Any]) -> tuple[int, str]:
    return -row[1], row[0]


def _record(row: Sequence[Any], ids: dict[int, str]) -> DeliveryRecord:
    (
        destination,
        number,
        lane,
        state,
        due,
        tries,
        owed_at,
        otherwise,
        batch,
        tried_at,
        status,
        error,
        kind,
        note,
        shortened,
        log,
        options,
    ) = row
    id_ = ids.get(number)
    earlier = [Attempt(*entry) for entry in unpacked(log)] if log else []
    last = [] if tried_at is None else [Attempt(tried_at, status, error)]
    return DeliveryRecord(
        destination=destination,
        number=number,
        call_id=None if is_event(number) else id_,
        event_id=id_ if is_event(number) else None,
        lane=LANE_NAMES[lane],
        state="delivered" if state == DELIVERED else "dead" if state == DEAD else "pending",
        owed_at=owed_at,
        due_at=due if state == WAITING else None,
        claimed=state == CLAIMED,
        tries=tries,
        attempts=earlier + last,
        status=status,
        error=error,
        kind=kind,
        note=note or "",
        shortened=shortened,
        batch=batch,
        otherwise=otherwise,
        owed=_owed(destination, options, otherwise),
    )


def _owed(destination: str, options: bytes | None, otherwise: str | None) -> Owed | None:
    try:
        return OwedReader().owed(destination, options, otherwise)
    except Exception:  # noqa: BLE001 - whatever is wrong with one, the others are shown
        return None


def _cursor_of(number: int, destination: str) -> str:
    return urlsafe_b64encode(_encode((number, destination))).decode().rstrip("=")


def _place_of(cursor: str) -> tuple[int, str]:
    try:
        number, destination = _decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise ValueError("the cursor is not one that a list has given") from None
    if _cursor_of(number, destination) != cursor or not -_LARGEST <= number <= _LARGEST or "\0" in destination:
        raise ValueError("the cursor is not one that a list has given")
    return number, destination
