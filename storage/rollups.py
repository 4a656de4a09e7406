"""Rollups: sums over calls that are alike, by quarter of an hour, so that no chart and no report scans the calls.

They are written in the transaction that saves the calls, and only for calls that are new in it, so that they never count one twice. A
quarter of an hour, because there are time zones whose days begin at :30 and :45 of an hour in UTC.

What callers choose (customers, sections, model names) could make a series of its own for every call. So a slot has a bounded number of them: beyond
it, calls of a series that is not there yet are put into one that says `(other)` in the place of customer and section; where those too become
too many, of the model as well, and at last of the key. Sums stay exact, and how many calls were folded is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import add as plus
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from domain.calls import Usage
from domain.spans import CostStatus, Span
from storage.driver import rows_of, run_many, sqlite_driver
from storage.rollup_columns import COST_BASE, DIMENSIONS, SUMS, TOKENS
from storage.rollup_levels import mark_stale
from storage.span_rows import COLUMNS, row_of

SLOT = 900  # seconds
MOST_SERIES = 4_000
OTHER = "(other)"
# No call has more tokens, a whole batch included; what an upstream claims beyond it is left out, so that no sum leaves 64 bits.
LARGEST_COUNT = 10**11
_NANOSECONDS = 10**9
_SLOT_NS = SLOT * _NANOSECONDS
_FOLDS = (("customer", "section"), ("model",), ("project", "key", "key_name"))

_STARTED, _LATENCY, _COST, _STATUS = (COLUMNS.index(name) for name in ("started_at", "latency_ms", "cost", "cost_status"))
_dimensions = itemgetter(*(COLUMNS.index(name) for name in DIMENSIONS))
_tokens = attrgetter(*TOKENS)
_SUMS_AT = len(DIMENSIONS)
_HIGH, _LOW = (_SUMS_AT + SUMS.index(name) for name in ("cost_high", "cost_low"))
_NOTHING = (0,) * len(SUMS)
_NO_TOKENS = (None,) * len(TOKENS)
_encode = msgspec.msgpack.Encoder().encode


class Counted(NamedTuple):
    """What rollups take of one call: where it belongs, and what it adds there."""

    slot: int
    status: CostStatus
    dimensions: tuple[str | None, ...]
    amounts: tuple[Any, ...]


@dataclass(slots=True)
class _Group:
    """What is added to one series of one slot, by the status of the cost."""

    slot: int
    dimensions: tuple[str | None, ...]
    sums: dict[str, list[int]]
    creates: bool


def counted(row: Sequence[Any], usage: Usage | None) -> Counted:
    """Return what rollups take of a call; `row` holds the values of `span_rows.COLUMNS`."""
    tokens = _NO_TOKENS if usage is None else _tokens(usage)
    return Counted(row[_STARTED] // _SLOT_NS * SLOT, row[_STATUS], _dimensions(row), (row[_LATENCY], row[_COST], *tokens))


def add(connection: Connection, calls: Iterable[Counted], *, most: int = MOST_SERIES) -> None:
    """Add calls that were not counted before. The transaction must be one that saves (`Database.one_saves_at_a_time`)."""
    grouped: dict[Any, list[tuple[Any, ...]]] = {}
    for slot, status, dimensions, amounts in calls:
        grouped.setdefault((slot, dimensions, status), []).append(amounts)
    groups: dict[Any, _Group] = {}
    for (slot, dimensions, status), alike in grouped.items():
        group = groups.setdefault((slot, dimensions), _Group(slot, dimensions, {}, creates=True))
        group.sums[status] = _sums(alike, costs_nothing=status == "none")
    _write(connection, list(groups.values()), most)


def remove(connection: Connection, spans: Iterable[Span]) -> None:
    """Take calls back that were counted, as they are shown now: they are erased as if they had not been."""
    groups: dict[Any, _Group] = {}
    for span in spans:
        _gather(groups, span, -1)
    _write(connection, list(groups.values()), MOST_SERIES)


def adjust(connection: Connection, changes: Iterable[tuple[Span, Span]]) -> None:
    """Count calls at other costs: each as it was shown until now, and as it is shown from now on.

    The transaction must be one that saves (`Database.one_saves_at_a_time`). Calls that no rollup counts are passed by.
    """
    groups: dict[Any, _Group] = {}
    for before, after in changes:
        _gather(groups, before, -1)
        _gather(groups, after, 1)
    _write(connection, list(groups.values()), MOST_SERIES)


def _gather(groups: dict[Any, _Group], span: Span, factor: int) -> None:
    """Add a call to its group, `factor` times."""
    slot, status, dimensions, amounts = counted(row_of(span), span.usage)
    group = groups.setdefault((slot, dimensions), _Group(slot, dimensions, {}, creates=False))
    sums = (factor * value for value in _sums([amounts], costs_nothing=status == "none"))
    group.sums[status] = list(map(plus, group.sums.get(status, _NOTHING), sums))


def _sums(amounts: Sequence[tuple[Any, ...]], *, costs_nothing: bool) -> list[int]:
    """Return the values of `SUMS`, the cost still whole in `cost_low`."""
    if len(amounts) == 1:
        latency, cost, *counts = amounts[0]
        tokens = [count or 0 for count in counts]
        known = [1, int(cost is None and not costs_nothing), int(latency is not None), round((latency or 0) * 1000), 0, cost or 0]
    else:
        latencies, costs, *columns = zip(*amounts, strict=True)
        tokens = [sum(filter(None, column)) for column in columns]
        calls = len(amounts)
        unpriced = 0 if costs_nothing else costs.count(None)
        timed = calls - latencies.count(None)
        known = [calls, unpriced, timed, round(sum(filter(None, latencies)) * 1000), 0, sum(filter(None, costs))]
    if max(tokens) > LARGEST_COUNT or min(tokens) < -LARGEST_COUNT:
        tokens = [sum(filter(_is_plausible, column)) for column in zip(*(one[2:] for one in amounts), strict=True)]
    return known + tokens


def _is_plausible(count: int | None) -> bool:
    return count is not None and -LARGEST_COUNT <= count <= LARGEST_COUNT


def _write(connection: Connection, groups: Sequence[_Group], most: int) -> None:
    """Add the sums of groups to the series that they belong to."""
    rows: dict[tuple[int, int, str], list[Any]] = {}
    for group, place in zip(groups, _Places(connection, most).of(groups), strict=True):
        if place is None:
            continue
        for status, sums in group.sums.items():
            at = group.slot, place.series, status
            before = rows.get(at)
            rows[at] = [*place.dimensions, *(sums if before is None else map(plus, before[_SUMS_AT:], sums))]
    run_many(connection, _UPSERT[_sign(connection)], [(*at, *_carried(row)) for at, row in rows.items()])
    mark_stale(connection, sorted({slot for slot, *_ in rows}))


def _carried(row: list[Any]) -> list[Any]:
    row[_HIGH], row[_LOW] = divmod(row[_LOW], COST_BASE)
    return row


class _Place(NamedTuple):
    """A series, and what its calls have in common."""

    series: int
    dimensions: tuple[str | None, ...]


def _place_of(dimensions: tuple[str | None, ...]) -> _Place:
    """Return the series of dimensions; its name is a digest, as a signed integer of 64 bits."""
    return _Place(int.from_bytes(blake2b(_encode(dimensions), digest_size=8).digest(), "big", signed=True), dimensions)


class _Places:
    """Finds the series that calls belong to, and keeps a slot from getting too many. For one transaction."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._most = most
        self._there: dict[tuple[int, int], bool] = {}
        self._room: dict[int, list[int]] = {}

    def of(self, groups: Sequence[_Group]) -> list[_Place | None]:
        """Return the place of each group; None for one that is not to be created, where there is nothing to change."""
        exact = [_place_of(group.dimensions) for group in groups]
        wanted: dict[int, set[int]] = {}
        for group, place in zip(groups, exact, strict=True):
            wanted.setdefault(group.slot, set()).add(place.series)
        for slot, series in wanted.items():
            self._look(slot, series)
        found = [self._place(group, place) for group, place in zip(groups, exact, strict=True)]
        self._note()
        return found

    def _place(self, group: _Group, exact: _Place) -> _Place | None:
        if self._is_there(group.slot, exact.series) or (group.creates and self._created(group.slot, exact.series, stages=1)):
            return exact
        place = self._folded(group)
        if group.creates:
            self._slot(group.slot)[1] += sum(sums[0] for sums in group.sums.values())
        return place

    def _folded(self, group: _Group) -> _Place | None:
        """Return the series that stands for many: the least coarse that is there or has room; the coarsest is always to be had."""
        dimensions = group.dimensions
        for stages, names in enumerate(_FOLDS, start=2):
            dimensions = tuple(OTHER if name in names else value for name, value in zip(DIMENSIONS, dimensions, strict=True))
            place = _place_of(dimensions)
            last = names is _FOLDS[-1]
            if self._is_there(group.slot, place.series):
                return place
            if group.creates and self._created(group.slot, place.series, stages=None if last else stages):
                return place
        return None

    def _created(self, slot: int, series: int, *, stages: int | None) -> bool:
        """Make a new series, unless the slot has as many as it may at this stage of folding (None: no matter how many)."""
        room = self._slot(slot)
        if stages is not None and room[0] >= self._most * stages:
            return False
        room[0] += 1
        self._there[slot, series] = True
        return True

    def _is_there(self, slot: int, series: int) -> bool:
        if (slot, series) not in self._there:
            self._look(slot, {series})
        return self._there[slot, series]

    def _look(self, slot: int, series: set[int]) -> None:
        """Find out which of `series` the slot has."""
        if sqlite_driver(self._connection) is not None:
            statement = "SELECT DISTINCT series FROM rollups WHERE slot = ? AND series IN (SELECT value FROM json_each(?))"
            found = rows_of(self._connection, statement, (slot, f"[{','.join(map(str, series))}]"))
        else:
            statement = "SELECT DISTINCT series FROM rollups WHERE slot = %s AND series = ANY(%s)"
            found = rows_of(self._connection, statement, (slot, list(series)))
        there = {row[0] for row in found}
        self._there.update({(slot, one): one in there for one in series})

    def _slot(self, slot: int) -> list[int]:
        """Return how many series the slot has, and how many calls were folded."""
        if slot not in self._room:
            statement = f"SELECT series, folded FROM rollup_slots WHERE slot = {_sign(self._connection)}"  # noqa: S608 - a constant
            rows = rows_of(self._connection, statement, (slot,))
            self._room[slot] = list(rows[0]) if rows else [0, 0]
        return self._room[slot]

    def _note(self) -> None:
        """Write down what became of the slots that got something new."""
        rows = [(slot, series, folded) for slot, (series, folded) in self._room.items()]
        run_many(self._connection, _SLOT_UPSERT[_sign(self._connection)], rows)


def _sign(connection: Connection) -> str:
    return "%s" if sqlite_driver(connection) is None else "?"


def _rollup_statement(sign: str) -> str:
    columns = ("slot", "series", "cost_status", *DIMENSIONS, *SUMS)
    values = ", ".join(sign for _ in columns)
    changes = ", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in SUMS)
    inserted = f"INSERT INTO rollups ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - constants
    return f"{inserted} ON CONFLICT (slot, series, cost_status) DO UPDATE SET {changes}"


def _slot_statement(sign: str) -> str:
    inserted = f"INSERT INTO rollup_slots (slot, series, folded) VALUES ({sign}, {sign}, {sign})"  # noqa: S608 - constants
    return f"{inserted} ON CONFLICT (slot) DO UPDATE SET series = excluded.series, folded = excluded.folded"


_UPSERT = {sign: _rollup_statement(sign) for sign in ("?", "%s")}
_SLOT_UPSERT = {sign: _slot_statement(sign) for sign in ("?", "%s")}
