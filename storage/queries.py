"""Lists of calls: what can be asked for, and the statement that each list is.

A list never counts and never sorts the table. Its place is a cursor: the time and number of the last call that was seen. On SQLite, which
knows nothing of how values are distributed, the index is named: that of the filter that leaves the fewest calls.
"""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from sqlalchemy import ColumnElement, Select, Table, and_, literal_column, or_, select, tuple_, union_all
from sqlalchemy.sql.expression import CompoundSelect

from storage.span_rows import LARGEST, word
from storage.tables import CallRow, CallTagRow, table_of

LONGEST_PAGE = 1000
CALLS: Table = table_of(CallRow)
TAGS: Table = table_of(CallTagRow)
_PLACE = struct.Struct(">?qq")
_MARK = 6

Statement = Select[int, int, bytes] | CompoundSelect[int, int, bytes]
Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls to list, and from where on.

    `since` (included) and `until` (left out) are Unix nanoseconds. `key` is an id or a name; `model` is what was asked for or what served.
    All conditions must hold.
    """

    limit: int = 50
    cursor: str | None = None
    since: int | None = None
    until: int | None = None
    project: str | None = None
    key: str | None = None
    model: str | None = None
    upstream: str | None = None
    outcome: str | None = None
    operation: str | None = None
    session: str | None = None
    customer: str | None = None
    section: str | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    newest_first: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list stands: the last call seen, by the time it started and its number."""

    started_at: int
    seq: int


def cursor_of(place: Place, *, newest_first: bool) -> str:
    """Return `place` as text that can stand in a URL."""
    data = _PLACE.pack(newest_first, place.started_at, place.seq)
    return urlsafe_b64encode(data + _mark(data)).decode().rstrip("=")


def place_of(cursor: str, *, newest_first: bool) -> Place:
    """Return the place that a cursor stands for.

    Raises:
        ValueError: it is not a cursor of ours, or belongs to a list in the other order.
    """
    try:
        whole = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        data = whole[:-_MARK]
        direction, started_at, seq = _PLACE.unpack(data)
    except (binascii.Error, struct.error, ValueError):
        raise ValueError("the cursor is not one that a list has given") from None
    if whole[-_MARK:] != _mark(data) or cursor_of(Place(started_at, seq), newest_first=direction) != cursor:
        raise ValueError("the cursor is not one that a list has given")
    if direction != newest_first:
        raise ValueError("the cursor belongs to a list in the other order")
    return Place(started_at, seq)


def _mark(data: bytes) -> bytes:
    """Return a checksum: it finds mistakes, and need not keep a secret, for a cursor allows nothing that its list does not."""
    return blake2b(data, digest_size=_MARK, person=b"faregate cursor").digest()


def page(query: CallQuery) -> Statement:
    """Return the statement for one page and one call more: time, number and detail of each call.

    Raises:
        ValueError: the limit or the cursor is wrong.
    """
    if not 1 <= query.limit <= LONGEST_PAGE:
        raise ValueError(f"the limit must be between 1 and {LONGEST_PAGE}")
    branches = [_branch(query, index, condition) for index, condition in _ways(query)]
    if len(branches) == 1:
        return branches[0]
    parts = [branch.subquery() for branch in branches]
    both = union_all(*(select(part.c.started_at, part.c.seq, part.c.detail) for part in parts))
    return both.order_by(*_order(query, both.selected_columns.started_at, both.selected_columns.seq)).limit(query.limit + 1)


def _ways(query: CallQuery) -> Iterator[tuple[str | None, Condition | None]]:
    """Return the index to go by and its condition: the one that leaves the fewest calls; two, without overlap, where either of two columns may match.

    No index stands for the table of tags.
    """
    for index, column, value in (
        ("session", CALLS.c.session, query.session),
        ("end_user", CALLS.c.end_user, query.user),
        ("customer", CALLS.c.customer, query.customer),
        ("section", CALLS.c.section, query.section),
    ):
        if value is not None:
            yield index, column == word(value)
            return
    if query.tags:
        yield None, None
    elif query.key is not None:
        key = word(query.key)
        yield "key", CALLS.c.key == key
        yield "key_name", and_(CALLS.c.key_name == key, CALLS.c.key_name != CALLS.c.key)
    elif query.model is not None:
        model = word(query.model)
        yield "model", CALLS.c.model == model
        yield "served_model", and_(CALLS.c.served_model == model, CALLS.c.served_model != CALLS.c.model)
    else:
        yield _wide_way(query)


def _wide_way(query: CallQuery) -> tuple[str, Condition | None]:
    """Return the index for a list that many calls belong to."""
    if query.outcome not in {None, "ok"}:
        # Written out, so that the database sees that the index, which leaves out what went well, has all that is asked for.
        return "outcome", and_(CALLS.c.outcome == query.outcome, CALLS.c.outcome != literal_column("'ok'"))
    if query.project is not None:
        return "project", CALLS.c.project == word(query.project)
    return "time", None


def _branch(query: CallQuery, index: str | None, condition: Condition | None) -> Select[int, int, bytes]:
    tags = [(word(name), word(value)) for name, value in query.tags.items()]
    if index is None:
        name, value = tags.pop()
        statement = select(TAGS.c.started_at, TAGS.c.seq, CALLS.c.detail).join_from(TAGS, CALLS, TAGS.c.seq == CALLS.c.seq)
        # By its number is then the only way to a call, so that the tags lead.
        statement = statement.where(TAGS.c.name == name, TAGS.c.value == value).with_hint(CALLS, "NOT INDEXED", "sqlite")
        times = TAGS
    else:
        statement = select(CALLS.c.started_at, CALLS.c.seq, CALLS.c.detail).with_hint(
            CALLS, f"INDEXED BY ix_calls_{index}", "sqlite"
        )
        times = CALLS
    if condition is not None:
        statement = statement.where(condition)
    statement = statement.where(*_conditions(query), *(_has_tag(name, value) for name, value in tags))
    return _by_time(statement.where(*_period(query, times)), query, times)


def _conditions(query: CallQuery) -> Iterator[Condition]:
    """Return all conditions but time and tags; that the index already sees to one of them does no harm."""
    for column, value in (
        (CALLS.c.session, query.session),
        (CALLS.c.end_user, query.user),
        (CALLS.c.customer, query.customer),
        (CALLS.c.section, query.section),
        (CALLS.c.upstream, query.upstream),
        (CALLS.c.project, query.project),
        (CALLS.c.operation, query.operation),
        (CALLS.c.outcome, query.outcome),
    ):
        if value is not None:
            yield column == word(value)
    if query.key is not None:
        yield or_(CALLS.c.key == word(query.key), CALLS.c.key_name == word(query.key))
    if query.model is not None:
        yield or_(CALLS.c.model == word(query.model), CALLS.c.served_model == word(query.model))
    if query.status is not None:
        yield CALLS.c.status == query.status


def _has_tag(name: str, value: str) -> Condition:
    tag = TAGS.alias()
    same = (tag.c.started_at == CALLS.c.started_at, tag.c.seq == CALLS.c.seq)
    return select(tag.c.seq).where(tag.c.name == name, tag.c.value == value, *same).exists()


def _period(query: CallQuery, times: Table) -> Iterator[Condition]:
    if query.since is not None:
        yield times.c.started_at >= min(query.since, LARGEST)
    if query.until is not None:
        yield times.c.started_at < min(query.until, LARGEST)
    if query.cursor is not None:
        place = place_of(query.cursor, newest_first=query.newest_first)
        here = tuple_(times.c.started_at, times.c.seq)
        there = tuple_(place.started_at, place.seq)
        yield here < there if query.newest_first else here > there


def _by_time(statement: Select[int, int, bytes], query: CallQuery, times: Table) -> Select[int, int, bytes]:
    return statement.order_by(*_order(query, times.c.started_at, times.c.seq)).limit(query.limit + 1)


def _order(query: CallQuery, *columns: ColumnElement[int]) -> Iterator[ColumnElement[int]]:
    return (column.desc() if query.newest_first else column.asc() for column in columns)
