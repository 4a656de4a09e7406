"""Rollups by the hour and by the day: sums over quarters of an hour that are over, so that a year is not a scan of all its quarters.

They are made later, in small steps, and taken as made up to a time (`through`). What changes a quarter before that time marks its hour and its day as
stale, in the same transaction; until those are made again, the quarters are summed up instead. So sums are those of the quarters at every moment.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, Table, delete, func, insert, literal, select

from storage.database import Database
from storage.driver import in_words_of, run_many
from storage.rollup_columns import DIMENSIONS, SUMS
from storage.tables import RollupDayRow, RollupHourRow, RollupLevelRow, RollupRow, RollupSlotRow, RollupStaleRow, table_of

HOUR, DAY = 3_600, 86_400
# How long after its end an hour is summed up: most calls are recorded by then.
PATIENCE = 1_800
# So many stale stretches in one period are not worth going round.
MOST_STRETCHES = 200
QUARTERS: Table = table_of(RollupRow)
TABLES: dict[int, Table] = {DAY: table_of(RollupDayRow), HOUR: table_of(RollupHourRow)}
_FINER = {DAY: TABLES[HOUR], HOUR: QUARTERS}
_LEVELS = table_of(RollupLevelRow)
STALE = table_of(RollupStaleRow)
_SLOTS = table_of(RollupSlotRow)
_KEYS = ("series", "cost_status")
_MARK = """INSERT INTO rollup_stale (seconds, slot) SELECT seconds, ? / seconds * seconds FROM rollup_levels WHERE through > ?
    ON CONFLICT DO NOTHING"""
_MOVE = """INSERT INTO rollup_levels (seconds, through) VALUES (?, ?)
    ON CONFLICT (seconds) DO UPDATE SET through = excluded.through"""


@dataclass(frozen=True, slots=True)
class Level:
    """Blocks of `seconds` that are made up to `through` (Unix seconds), but for the stale ones."""

    seconds: int
    through: int
    stale: frozenset[int] = frozenset()

    def has(self, block: int) -> bool:
        """Return whether the sums of the block that begins then can be used."""
        return block + self.seconds <= self.through and block not in self.stale


@dataclass(frozen=True, slots=True)
class Stretch:
    """The sums from `start` on and before `end` of one table (quarters where `seconds` is 0), to be added or, where `sign` is -1, taken away."""

    seconds: int
    sign: int
    start: int
    end: int

    @property
    def table(self) -> Table:
        """The table that has them."""
        return TABLES.get(self.seconds, QUARTERS)


def mark_stale(connection: Connection, slots: Iterable[int]) -> None:
    """Note that quarters change. Belongs to the transaction that changes them, which must be one that saves."""
    run_many(connection, in_words_of(connection, _MARK), [(slot, slot) for slot in slots])


def stretches_of(levels: Sequence[Level], start: int, end: int) -> list[Stretch]:
    """Return what a period is the sum of, where there are these levels, the coarsest first. Both ends are those of slots.

    A block of which the period has more than half is taken whole, and the rest taken away: a day in New York is one in UTC, and five hours at
    either end of it.
    """
    found: list[Stretch] = []
    for one in _parts(levels, start, end, 1):
        before = found[-1] if found else None
        if before is not None and (before.seconds, before.sign, before.end) == (one.seconds, one.sign, one.start):
            found[-1] = Stretch(one.seconds, one.sign, before.start, one.end)
        else:
            found.append(one)
    return found if len(found) <= MOST_STRETCHES else [Stretch(0, 1, start, end)]


def _parts(levels: Sequence[Level], start: int, end: int, sign: int) -> Iterator[Stretch]:
    if start >= end:
        return
    if not levels:
        yield Stretch(0, sign, start, end)
        return
    level, finer = levels[0], levels[1:]
    if start >= level.through:
        yield from _parts(finer, start, end, sign)
        return
    block = start - start % level.seconds
    while start < end and block < level.through:
        after = block + level.seconds
        until = min(end, after)
        if level.has(block) and 2 * (until - start) > level.seconds:
            yield from _parts(finer, block, start, -sign)
            yield Stretch(level.seconds, sign, block, after)
            yield from _parts(finer, until, after, -sign)
        else:
            yield from _parts(finer, start, until, sign)
        start, block = until, after
    yield from _parts(finer, start, end, sign)


def levels_between(connection: Connection, start: int, end: int) -> list[Level]:
    """Return the levels, the coarsest first, as far as they matter to what lies between two times."""
    through = {row.seconds: row.through for row in connection.execute(select(_LEVELS))}
    near = (STALE.c.slot >= start - DAY) & (STALE.c.slot < end)
    stale = connection.execute(select(STALE.c.seconds, STALE.c.slot).where(near)).all()
    return [
        Level(seconds, through[seconds], frozenset(slot for its, slot in stale if its == seconds))
        for seconds in TABLES
        if seconds in through
    ]


def condense(database: Database, now: float) -> bool:
    """Sum up one hour or one day that is stale, or over and not summed up yet; return whether there was one."""
    with database.writing() as connection:
        database.one_saves_at_a_time(connection)
        # Days are made of hours: first those.
        return _made(connection, HOUR, (int(now) - PATIENCE) // HOUR * HOUR) or _made(
            connection, DAY, _through(connection, HOUR) // DAY * DAY
        )


def _through(connection: Connection, seconds: int) -> int:
    return connection.execute(select(_LEVELS.c.through).where(_LEVELS.c.seconds == seconds)).scalar() or 0


def _made(connection: Connection, seconds: int, ripe: int) -> bool:
    stale = connection.execute(select(func.min(STALE.c.slot)).where(STALE.c.seconds == seconds)).scalar()
    if stale is not None:
        _sum_up(connection, seconds, stale)
        connection.execute(delete(STALE).where(STALE.c.seconds == seconds, STALE.c.slot == stale))
        return True
    through = _through(connection, seconds)
    if through >= ripe:
        return False
    with_calls = select(func.min(_SLOTS.c.slot)).where(_SLOTS.c.slot >= through, _SLOTS.c.slot < ripe)
    slot = connection.execute(with_calls).scalar()
    if slot is not None:
        _sum_up(connection, seconds, slot - slot % seconds)
        ripe = slot - slot % seconds + seconds
    run_many(connection, in_words_of(connection, _MOVE), [(seconds, ripe)])
    return slot is not None


def _sum_up(connection: Connection, seconds: int, block: int) -> None:
    into, finer = TABLES[seconds], _FINER[seconds]
    connection.execute(delete(into).where(into.c.slot == block))
    columns = [finer.c[name] if name in _KEYS else func.min(finer.c[name]) for name in (*_KEYS, *DIMENSIONS)]
    sums = [func.sum(finer.c[name]) for name in SUMS]
    within = (finer.c.slot >= block) & (finer.c.slot < block + seconds)
    rows = select(literal(block, BigInteger), *columns, *sums).where(within).group_by(*(finer.c[name] for name in _KEYS))
    connection.execute(insert(into).from_select(["slot", *_KEYS, *DIMENSIONS, *SUMS], rows))
