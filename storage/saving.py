"""Saving calls: the one write that happens for every call, so it goes to the driver, past SQLAlchemy's objects.

In one transaction: which of the calls are here already, numbers for those that are not, and their rows. Only one transaction saves at a
time (`Database.one_saves_at_a_time`), so what was looked up still holds when the rows are written, and numbers become visible in order.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from domain.spans import Content, Span
from storage.content import ContentPacker
from storage.database import Database
from storage.span_rows import COLUMNS, row_of, tags_of

_NEXT_NUMBERS = "SELECT nextval(pg_get_serial_sequence('calls', 'seq')) FROM generate_series(1, %s)"


class Ready(NamedTuple):
    """One call, encoded before the transaction begins, so that the database is held for as short as can be."""

    id: str
    started_at: int
    row: tuple[Any, ...]
    tags: tuple[tuple[str, str], ...]
    content: bytes | None


def ready(recorded: Iterable[tuple[Span, Content | None]], packer: ContentPacker) -> list[Ready]:
    """Return each call once, encoded."""
    calls = {span.id: _ready(span, content, packer) for span, content in recorded}
    return list(calls.values())


def _ready(span: Span, content: Content | None, packer: ContentPacker) -> Ready:
    row = row_of(span)
    packed = None if content is None else packer.packed(content)
    return Ready(span.id, row[1], row, tuple(tags_of(span)) if span.labels.tags else (), packed)


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


def save(database: Database, calls: Sequence[Ready]) -> int:
    """Save the calls that are not here yet, in their order, and return how many those were.

    Raises:
        StoreUnavailable: nothing is certain then but that the same can be saved again.
    """
    statements = _SQLITE if database.is_sqlite else _POSTGRES
    with database.writing() as connection:
        database.one_saves_at_a_time(connection)
        known = _known(connection, [call.id for call in calls])
        new = [call for call in calls if call.id not in known]
        numbered = list(zip(_numbers(connection, len(new)), new, strict=True))
        _insert(connection, statements.call, [(seq, *call.row) for seq, call in numbered])
        _insert(connection, statements.tag, [(*tag, call.started_at, seq) for seq, call in numbered for tag in call.tags])
        contents = [(seq, call.started_at, call.content) for seq, call in numbered if call.content is not None]
        _insert(connection, statements.content, contents)
    return len(new)


def _known(connection: Connection, ids: list[str]) -> set[str]:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT id FROM calls WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
        )
    else:
        found = connection.exec_driver_sql("SELECT id FROM calls WHERE id = ANY(%s)", (ids,))
    return set(found.scalars())


def _numbers(connection: Connection, count: int) -> Iterable[int]:
    """Return as many numbers as are wanted, each larger than any that was ever given to a call."""
    if connection.dialect.name != "sqlite":
        return list(connection.exec_driver_sql(_NEXT_NUMBERS, (count,)).scalars())
    last: int = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'calls'").scalar() or 0
    return range(last + 1, last + 1 + count)


def _insert(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
