"""What was used and spent: sums over rollups, by anything that they keep apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, or_, select

from storage.database import Database
from storage.rollups import COST_BASE, TOKENS
from storage.span_rows import word
from storage.tables import CallTagRow, RollupRow, RollupSlotRow, table_of

ROLLUPS = table_of(RollupRow)
SLOTS = table_of(RollupSlotRow)
TAGS = table_of(CallTagRow)
_NANOSECONDS = 10**9
# What sums can be asked for by, and the column that has it.
BY = {
    "project": ROLLUPS.c.project,
    "key": ROLLUPS.c.key_name,
    "model": ROLLUPS.c.model,
    "upstream": ROLLUPS.c.upstream,
    "section": ROLLUPS.c.section,
    "customer": ROLLUPS.c.customer,
    "outcome": ROLLUPS.c.outcome,
    "cost_status": ROLLUPS.c.cost_status,
}


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
        with self._database.reading() as connection:
            return [_period(connection, query, start, end) for start, end in periods]

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


def _period(connection: Connection, query: UsageQuery, start: int, end: int) -> PeriodUsage:
    summed = _summed().where(ROLLUPS.c.slot >= start, ROLLUPS.c.slot < end, *_conditions(query))
    if not query.by:
        total = _sums(connection.execute(summed).one())
        return PeriodUsage(start, end, [((), total)] if total.calls else [], None, total)
    groups = _groups(connection, summed, query)
    shown = groups[: query.most]
    known = Sums()
    for _, sums in shown:
        known = known.plus(sums)
    if len(groups) == len(shown):
        return PeriodUsage(start, end, shown, None, known)
    total = _sums(connection.execute(summed).one())
    return PeriodUsage(start, end, shown, total.plus(known, -1), total)


def _groups(connection: Connection, summed: Select[Any], query: UsageQuery) -> list[tuple[tuple[str | None, ...], Sums]]:
    columns = [func.nullif(BY[name], "") for name in query.by]
    order = [func.sum(ROLLUPS.c.cost_high).desc(), func.sum(ROLLUPS.c.calls).desc(), *columns]
    statement = summed.add_columns(*columns).group_by(*columns).having(func.sum(ROLLUPS.c.calls) > 0)
    rows = connection.execute(statement.order_by(*order).limit(query.most + 1)).all()
    wide = -len(columns)
    return [(tuple(row[wide:]), _sums(row[:wide])) for row in rows]


def _summed() -> Select[Any]:
    estimated = ROLLUPS.c.cost_status == "estimated"
    plain = [ROLLUPS.c[name] for name in ("calls", "unpriced", "cost_high", "cost_low")]
    parts = [case((estimated, ROLLUPS.c[name]), else_=0) for name in ("calls", "cost_high", "cost_low")]
    others = [ROLLUPS.c[name] for name in ("timed", "latency_us", *TOKENS)]
    return select(*(func.sum(column) for column in (*plain, *parts, *others)))


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


def _conditions(query: UsageQuery) -> Iterator[ColumnElement[bool]]:
    if not query.estimated:
        yield ROLLUPS.c.cost_status != "estimated"
    for name, value in query.filters.items():
        text = word(value)
        if not text:
            yield or_(BY[name].is_(None), BY[name] == "")
        elif name == "key":
            yield or_(ROLLUPS.c.key == text, ROLLUPS.c.key_name == text)
        elif name == "section":
            below = f"{text}/"
            yield or_(ROLLUPS.c.section == text, func.substr(ROLLUPS.c.section, 1, len(below)) == below)
        else:
            yield BY[name] == text
