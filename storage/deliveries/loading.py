"""What claims are about: spans and their bodies, or events, as they are now, a whole batch in one query."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from domain.deliveries import Claimed, Owed
from domain.events import Event
from domain.spans import Content, Span
from storage.adjustments import as_adjusted
from storage.content import ContentPacker
from storage.deliveries.claims import Candidate
from storage.deliveries.rows import FIRST_EVENT, LANE_NAMES, OwedReader, event_of, is_event
from storage.deliveries.sql import found
from storage.span_rows import span_of

_WITH_CONTENTS = """SELECT calls.seq, calls.detail, contents.data FROM calls LEFT JOIN contents ON contents.seq = calls.seq
    WHERE calls.seq = ANY(?)"""
_WITHOUT = "SELECT seq, detail, NULL FROM calls WHERE seq = ANY(?)"
_ADJUSTED = "SELECT DISTINCT call_id FROM cost_adjustments WHERE call_id = ANY(?)"
_EVENTS = "SELECT seq, document FROM events WHERE seq = ANY(?)"
_GONE = "it is deleted"

Thing = Span | Event
Found = tuple[Thing | None, Content | None, str | None]


class Loader:
    """Loads what claims are about. Its packer reuses its buffers, so each thread needs its own."""

    def __init__(self) -> None:
        self._packer = ContentPacker()
        self._owed = OwedReader()

    def load(
        self, connection: Connection, destination: str, lane: int, rows: Sequence[Candidate], *, contents: bool
    ) -> list[Claimed]:
        """Return claims in the order of `rows`. What cannot be read is claimed too, and says why: it must not hold up the others."""
        numbers = [row.number for row in rows]
        things = self._events(connection, [number for number in numbers if is_event(number)])
        things |= self._spans(connection, [number for number in numbers if not is_event(number)], contents=contents)
        return [self._claimed(destination, lane, row, things.get(row.number, (None, None, _GONE))) for row in rows]

    def _spans(self, connection: Connection, numbers: list[int], *, contents: bool) -> dict[int, Found]:
        if not numbers:
            return {}
        rows = found(connection, _WITH_CONTENTS if contents else _WITHOUT, numbers)
        things: dict[int, Found] = {seq: self._span(detail, data) for seq, detail, data in rows}
        for seq, adjusted in _adjusted(connection, things).items():
            things[seq] = adjusted, *things[seq][1:]
        return things

    def _span(self, detail: bytes, data: bytes | None) -> Found:
        try:
            return span_of(detail), None if data is None else self._packer.unpacked(data), None
        except Exception as error:  # noqa: BLE001 - whatever it is, the others must be delivered
            return None, None, f"it cannot be read: {type(error).__name__}"

    def _events(self, connection: Connection, numbers: list[int]) -> dict[int, Found]:
        if not numbers:
            return {}
        rows = found(connection, _EVENTS, [number - FIRST_EVENT for number in numbers])
        return {FIRST_EVENT + seq: _event(document) for seq, document in rows}

    def _claimed(self, destination: str, lane: int, row: Candidate, thing: Found) -> Claimed:
        what, content, why = thing
        try:
            owed = self._owed.owed(destination, row.options, row.otherwise)
        except Exception as error:  # noqa: BLE001 - as above
            owed, what, content, why = Owed(destination), None, None, f"its terms cannot be read: {type(error).__name__}"
        return Claimed(
            number=row.number,
            lane=LANE_NAMES[lane],
            owed=owed,
            owed_at=row.owed_at,
            attempts=row.attempts,
            span=what if isinstance(what, Span) else None,
            content=content,
            event=what if isinstance(what, Event) else None,
            batch=row.batch,
            unreadable=why,
        )


def _adjusted(connection: Connection, things: Mapping[int, Found]) -> dict[int, Span]:
    """Return those of the spans that cost something else by now. They are few, and to look for them is cheap."""
    spans = {thing.id: seq for seq, (thing, _, _) in things.items() if isinstance(thing, Span)}
    ids = {row[0] for row in found(connection, _ADJUSTED, list(spans))}
    if not ids:
        return {}
    wanted = [thing for thing, _, _ in things.values() if isinstance(thing, Span) and thing.id in ids]
    return {spans[span.id]: span for span in as_adjusted(connection, wanted)}


def _event(document: Any) -> Found:
    try:
        return event_of(document), None, None
    except Exception as error:  # noqa: BLE001 - as above
        return None, None, f"it cannot be read: {type(error).__name__}"
