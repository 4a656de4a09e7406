"""Saving calls: the one write that happens for every call, so it goes to the driver, past SQLAlchemy's objects.

In one transaction: which of the calls are here already, numbers for those that are not, and their rows. Only one transaction saves at a
time (`Database.one_saves_at_a_time`), so what was looked up still holds when the rows are written, and numbers become visible in order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection

from domain.deliveries import Owed
from domain.holds import Settlement
from domain.spans import Content, Span
from storage.charged import charged_once
from storage.content import ContentPacker
from storage.database import Database
from storage.deliveries.owing import Terms, owe_spans, terms_of
from storage.driver import rows_of, run_many
from storage.rollups import add, counted
from storage.span_rows import COLUMNS, row_of, tags_of
from storage.spending import owe

_NEXT_NUMBERS = "SELECT nextval(pg_get_serial_sequence('calls', 'seq')) FROM generate_series(1, %s)"


class Ready(NamedTuple):
    """One call, encoded before the transaction begins, so that the database is held for as short as can be."""

    id: str
    started_at: int
    row: tuple[Any, ...]
    tags: tuple[tuple[str, str], ...]
    content: bytes | None
    span: Span
    terms: Sequence[Terms] = ()


def ready(
    recorded: Iterable[tuple[Span, Content | bytes | None]],
    packer: ContentPacker,
    deliveries: Mapping[str, Sequence[Owed]] = MappingProxyType({}),
) -> list[Ready]:
    """Return each call once, encoded. Its content may be packed already. `deliveries` are owed, by call id."""
    calls = {span.id: _ready(span, content, packer, deliveries.get(span.id, ())) for span, content in recorded}
    return list(calls.values())


def _ready(span: Span, content: Content | bytes | None, packer: ContentPacker, owed: Sequence[Owed]) -> Ready:
    row = row_of(span)
    packed = packer.packed(content) if isinstance(content, Content) else content
    tags = tuple(tags_of(span)) if span.labels.tags else ()
    return Ready(span.id, row[1], row, tags, packed, span, terms_of(owed) if owed else ())


@dataclass(frozen=True, slots=True)
class _Inserts:
    """The statements in the words of one driver."""

    call: str
    tag: str
    content: str


def _inserts(sign: str, binary: str) -> _Inserts:
    columns = ", ".join(("seq", *COLUMNS))
    values = ", ".join((sign, *(binary if column == "detail" else sign for column in COLUMNS)))
    return _Inserts(
        call=f"INSERT INTO calls ({columns}) VALUES ({values})",  # noqa: S608 - constants, as below
        # A call's tags are a mapping, but two long ones can be cut to the same text.
        tag=f"INSERT INTO call_tags (name, value, started_at, seq) VALUES ({sign}, {sign}, {sign}, {sign}) ON CONFLICT DO NOTHING",  # noqa: S608
        content=f"INSERT INTO contents (seq, started_at, data) VALUES ({sign}, {sign}, {binary})",  # noqa: S608
    )


_SQLITE = _inserts("?", "?")
_POSTGRES = _inserts("%s", "%b")


def save(database: Database, calls: Sequence[Ready], owed: Mapping[str, Settlement], *, at: int) -> int:
    """Save the calls that are not here yet, in their order, with what is owed of them, and return how many those were.

    `owed` is what they cost on the counters that they were held on, by call id. `at` is the time now, in Unix nanoseconds.

    A call that only read a response which was charged before is saved without its cost, and its span is changed to say so.

    Raises:
        StoreUnavailable: nothing is certain then but that the same can be saved again.
    """
    statements = _SQLITE if database.is_sqlite else _POSTGRES
    with database.writing() as connection:
        database.one_saves_at_a_time(connection)
        known = _known(connection, [call.id for call in calls])
        new = [call for call in calls if call.id not in known]
        again = charged_once(connection, [call.span for call in new])
        if again:
            new = [call._replace(row=row_of(again[call.id])) if call.id in again else call for call in new]
        numbered = list(zip(_numbers(connection, len(new)), new, strict=True))
        run_many(connection, statements.call, [(seq, *call.row) for seq, call in numbered])
        run_many(connection, statements.tag, [(*tag, call.started_at, seq) for seq, call in numbered for tag in call.tags])
        contents = [(seq, call.started_at, call.content) for seq, call in numbered if call.content is not None]
        run_many(connection, statements.content, contents)
        add(connection, [counted(call.row, call.span.usage) for call in new])
        owe(connection, {call.id: owed[call.id] for call in new if call.id in owed}, free=again)
        owe_spans(connection, [(seq, _size(call), call.terms) for seq, call in numbered if call.terms], at=at)
    for call in new:
        if call.id in again:
            _take_cost(call.span, again[call.id])
    return len(new)


def _size(call: Ready) -> int:
    """Return about how much room the bodies of a call take in memory."""
    return 0 if call.content is None else call.span.request_bytes + call.span.response_bytes


def _take_cost(span: Span, saved: Span) -> None:
    """Make `span` say of its cost what was saved. Who hears of the call next has the span from us, and nobody had it before."""
    span.cost, span.cost_status, span.price_ref = saved.cost, saved.cost_status, saved.price_ref
    span.cost_lines, span.notes = saved.cost_lines, saved.notes


def _known(connection: Connection, ids: list[str]) -> set[str]:
    if connection.dialect.name == "sqlite":
        found = rows_of(connection, "SELECT id FROM calls WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
    else:
        found = rows_of(connection, "SELECT id FROM calls WHERE id = ANY(%s)", (ids,))
    return {row[0] for row in found}


def _numbers(connection: Connection, count: int) -> Iterable[int]:
    """Return as many numbers as are wanted, each larger than any that was ever given to a call."""
    if connection.dialect.name != "sqlite":
        return [row[0] for row in rows_of(connection, _NEXT_NUMBERS, (count,))]
    last = rows_of(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'calls'")
    first = (last[0][0] if last else 0) + 1
    return range(first, first + count)
