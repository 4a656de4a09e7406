"""What was used and spent: sums over rollups, by anything that they keep apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, case, func, or_, select, union_all

from storage.database import Database
from storage.rollup_columns import COST_BASE, TOKENS
from storage.rollup_levels import Level, Stretch, levels_between, stretches_of
from storage.span_rows import word
from storage.tables import CallTagRow, RollupRow, RollupSlotRow, table_of

ROLLUPS = table_of(RollupRow)
SLOTS = table_of(RollupSlotRow)
TAGS = table_of(CallTagRow)
_NANOSECONDS = 10**9
# What sums can be asked for by, and the column that has it.
BY = {
    "project": "project",
    "key": "key_name",
    "model": "model",
    "upstream": "upstream",
    "section": "section",
    "customer": "customer",
    "outcome": "outcome",
    "cost_status": "cost_status",
}
_PLAIN = ("calls", "unpriced", "cost_high", "cost_low")
_ESTIMATED = ("calls", "cost_high", "cost_low")
_OTHERS = ("timed", "latency_us", *TOKENS)


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What to sum. `by` are names of `BY`; `filters` too: an empty value means calls that have none; a section means all below it as well.

    `most` is how many groups each period may have: those that cost most come first, the others are one sum. Where `estimated` is false, calls
    with an estimated cost are left out, whole.
    """

    by: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    estimated: bool = True
    most: int = 1000


@dataclass(slots=True)
class Sums:
    """Sums over calls. Money is pico-USD: `cost` is that of the calls whose cost is known, `unpriced` counts the others."""

    calls: int = 0
    unpriced: int = 0
    cost: int = 0
    estimated_calls: int = 0
    estimated_cost: int = 0
    timed: int = 0
    latency_us: int = 0
    tokens: tuple[int, ...] = (0,) * len(TOKENS)

    def plus(self, other: "Sums", factor: int = 1) -> "Sums":
        """Return this and `factor` times the other."""
        summed = Sums(tokens=tuple(one + factor * more for one, more in zip(self.tokens, other.tokens, strict=True)))
        for name in _NUMBERS:
            setattr(summed, name, getattr(self, name) + factor * getattr(other, name))
        return summed


_NUMBERS = tuple(field.name for field in fields(Sums) if field.name != "tokens")


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """The sums of one period (Unix seconds). `rest` sums up the groups beyond the most that were asked for, None if there are none."""

    start: int
    end: int
    groups: list[tuple[tuple[str | None, ...], Sums]]
    rest: Sums | None
    total: Sums


class UsageStore:
    """Reads rollups. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def usage(self, query: UsageQuery, periods: Sequence[tuple[int, int]]) -> list[PeriodUsage]:
        """Return the sums of each period, all of one moment. Periods begin and end at whole slots."""
        if not periods:
            return []
        with self._database.reading() as connection:
            levels = levels_between(connection, min(start for start, _ in periods), max(end for _, end in periods))
            return [_period(connection, query, levels, start, end) for start, end in periods]

    def folded(self, start: int, end: int) -> int:
        """Return how many calls of a period were put into `(other)`, because there were too many different ones."""
        calls = select(func.coalesce(func.sum(SLOTS.c.folded), 0)).where(SLOTS.c.slot >= start, SLOTS.c.slot < end)
        with self._database.reading() as connection:
            return int(connection.execute(calls).scalar_one())

    def tag_values(self, name: str, since: int, *, most: int) -> list[str]:
        """Return values that calls since a time (Unix seconds) had for a tag. Tags are not in rollups: this looks at the calls' own."""
        values = select(TAGS.c.value).where(TAGS.c.name == word(name), TAGS.c.started_at >= since * _NANOSECONDS).distinct()
        with self._database.reading() as connection:
            return list(connection.execute(values.limit(most)).scalars())


def _period(connection: Connection, query: UsageQuery, levels: Sequence[Level], start: int, end: int) -> PeriodUsage:
    parts = [_part(query, one) for one in stretches_of(levels, start, end)]
    source = union_all(*parts).subquery() if len(parts) > 1 else parts[0].subquery()
    groups = [source.c[f"by_{place}"] for place in range(len(query.by))]
    sums = [func.sum(column).label(column.name) for column in source.c if column not in groups]
    if not groups:
        total = _sums(connection.execute(select(*sums)).one())
        return PeriodUsage(start, end, [((), total)] if total.calls else [], None, total)
    found = _groups(connection, select(*sums, *groups), source, groups, query.most)
    shown = found[: query.most]
    known = Sums()
    for _, one in shown:
        known = known.plus(one)
    if len(found) == len(shown):
        return PeriodUsage(start, end, shown, None, known)
    total = _sums(connection.execute(select(*sums)).one())
    return PeriodUsage(start, end, shown, total.plus(known, -1), total)


def _groups(
    connection: Connection, summed: Select[Any], source: FromClause, groups: Sequence[ColumnElement[Any]], most: int
) -> list[tuple[tuple[str | None, ...], Sums]]:
    order = [func.sum(source.c.cost_high).desc(), func.sum(source.c.calls).desc(), *groups]
    statement = summed.group_by(*groups).having(func.sum(source.c.calls) > 0).order_by(*order).limit(most + 1)
    wide = -len(groups)
    return [(tuple(row[wide:]), _sums(row[:wide])) for row in connection.execute(statement).all()]


def _part(query: UsageQuery, stretch: Stretch) -> Select[Any]:
    """Return what is summed up of one stretch: the sums by name, and what groups go by."""
    table, sign = stretch.table, stretch.sign
    estimated = table.c.cost_status == "estimated"
    columns = [
        *((sign * table.c[name]).label(name) for name in _PLAIN),
        *(case((estimated, sign * table.c[name]), else_=0).label(f"estimated_{name}") for name in _ESTIMATED),
        *((sign * table.c[name]).label(name) for name in _OTHERS),
        *(func.nullif(table.c[BY[name]], "").label(f"by_{place}") for place, name in enumerate(query.by)),
    ]
    within = (table.c.slot >= stretch.start, table.c.slot < stretch.end)
    return select(*columns).where(*within, *_conditions(query, table))


def _sums(row: Sequence[Any]) -> Sums:
    calls, unpriced, high, low, estimated, estimated_high, estimated_low, timed, latency, *tokens = (
        int(value or 0) for value in row
    )
    return Sums(
        calls,
        unpriced,
        high * COST_BASE + low,
        estimated,
        estimated_high * COST_BASE + estimated_low,
        timed,
        latency,
        tuple(tokens),
    )


def _conditions(query: UsageQuery, table: Table) -> Iterator[ColumnElement[bool]]:
    if not query.estimated:
        yield table.c.cost_status != "estimated"
    for name, value in query.filters.items():
        text, column = word(value), table.c[BY[name]]
        if not text:
            yield or_(column.is_(None), column == "")
        elif name == "key":
            yield or_(table.c.key == text, column == text)
        elif name == "section":
            below = f"{text}/"
            yield or_(column == text, func.substr(column, 1, len(below)) == below)
        else:
            yield column == text
