"""What was used and spent: sums over rollups, by anything that they keep apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, bindparam, case, func, or_, select, union_all

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
            questions = _Questions(query)
            return [_answer(connection, questions, levels, start, end) for start, end in periods]

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


@dataclass(frozen=True, slots=True)
class _Question:
    """The statements for periods that are sums of stretches of the same kinds; the times of those are their parameters."""

    total: Select[Any]
    groups: Select[Any]


class _Questions:
    """Makes statements, each once: to put one together takes as long as a small period takes to be summed up."""

    def __init__(self, query: UsageQuery) -> None:
        self.query = query
        self._made: dict[tuple[tuple[int, int], ...], _Question] = {}

    def about(self, stretches: Sequence[Stretch]) -> _Question:
        """Return the question about such stretches."""
        kinds = tuple((one.seconds, one.sign) for one in stretches)
        if kinds not in self._made:
            self._made[kinds] = self._question(stretches)
        return self._made[kinds]

    def _question(self, stretches: Sequence[Stretch]) -> _Question:
        parts = [_part(self.query, place, one) for place, one in enumerate(stretches)]
        source = union_all(*parts).subquery() if len(parts) > 1 else parts[0].subquery()
        groups = [source.c[f"by_{place}"] for place in range(len(self.query.by))]
        sums = [func.sum(column).label(column.name) for column in source.c if column not in groups]
        order = [func.sum(source.c.cost_high).desc(), func.sum(source.c.calls).desc(), *groups]
        grouped = select(*sums, *groups).group_by(*groups).having(func.sum(source.c.calls) > 0)
        return _Question(select(*sums), grouped.order_by(*order).limit(self.query.most + 1))


def _answer(connection: Connection, questions: _Questions, levels: Sequence[Level], start: int, end: int) -> PeriodUsage:
    query, stretches = questions.query, stretches_of(levels, start, end)
    question = questions.about(stretches)
    times = {
        f"{name}_{place}": at for place, one in enumerate(stretches) for name, at in (("start", one.start), ("end", one.end))
    }
    if not query.by:
        total = _sums(connection.execute(question.total, times).one())
        return PeriodUsage(start, end, [((), total)] if total.calls else [], None, total)
    wide = -len(query.by)
    found = [(tuple(row[wide:]), _sums(row[:wide])) for row in connection.execute(question.groups, times).all()]
    shown = found[: query.most]
    known = Sums()
    for _, one in shown:
        known = known.plus(one)
    if len(found) == len(shown):
        return PeriodUsage(start, end, shown, None, known)
    total = _sums(connection.execute(question.total, times).one())
    return PeriodUsage(start, end, shown, total.plus(known, -1), total)


def _part(query: UsageQuery, place: int, stretch: Stretch) -> Select[Any]:
    """Return what is summed up of one stretch: the sums by name, and what groups go by."""
    table, sign = stretch.table, stretch.sign
    estimated = table.c.cost_status == "estimated"
    columns = [
        *((sign * table.c[name]).label(name) for name in _PLAIN),
        *(case((estimated, sign * table.c[name]), else_=0).label(f"estimated_{name}") for name in _ESTIMATED),
        *((sign * table.c[name]).label(name) for name in _OTHERS),
        *(func.nullif(table.c[BY[name]], "").label(f"by_{group}") for group, name in enumerate(query.by)),
    ]
    start, end = (bindparam(f"{name}_{place}", type_=BigInteger) for name in ("start", "end"))
    return select(*columns).where(table.c.slot >= start, table.c.slot < end, *_conditions(query, table))


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
