"""From the ids that people know calls and events by to the numbers that deliveries are kept under, and back."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from storage.deliveries.rows import FIRST_EVENT, is_event
from storage.deliveries.sql import found


def numbers_of(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """Return the numbers of those calls and events that are there, by id."""
    wanted = [one for one in ids if "\0" not in one and one.isascii()]
    calls = found(connection, "SELECT id, seq FROM calls WHERE id = ANY(?)", wanted)
    numbers: dict[str, int] = {row[0]: row[1] for row in calls}
    rest = [one for one in wanted if one not in numbers]
    if rest:
        events = found(connection, "SELECT id, seq FROM events WHERE id = ANY(?)", rest)
        numbers |= {one: FIRST_EVENT + seq for one, seq in events}
    return numbers


def ids_of(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Return the ids of the calls and events with these numbers."""
    calls = [number for number in numbers if not is_event(number)]
    events = [number - FIRST_EVENT for number in numbers if is_event(number)]
    ids: dict[int, str] = {}
    if calls:
        ids |= {row[0]: row[1] for row in found(connection, "SELECT seq, id FROM calls WHERE seq = ANY(?)", calls)}
    if events:
        rows = found(connection, "SELECT seq, id FROM events WHERE seq = ANY(?)", events)
        ids |= {FIRST_EVENT + seq: one for seq, one in rows}
    return ids
