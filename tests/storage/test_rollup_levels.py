"""Sums by the hour and by the day: what is read from them is what the quarters of an hour say, at every moment."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from domain.exchange import Labels
from storage.adjustments import AdjustmentStore
from storage.database import Database, open_database
from storage.queries import CALLS
from storage.rollup_levels import DAY, HOUR, PATIENCE, QUARTERS, STALE, TABLES, Level, condense, stretches_of
from storage.rollup_rebuild import rebuild_slot
from storage.rollup_upkeep import REST_SECONDS, SumsUpkeep
from storage.rollups import SLOT
from storage.span_rows import COLUMNS, row_of
from storage.spans import SpanStore
from storage.tables import RollupLevelRow, table_of
from storage.usage import UsageQuery, UsageStore
from tests.storage.samples import SECOND, a_span

# Midnight in UTC.
FIRST = 20_000 * DAY
LEVELS = table_of(RollupLevelRow)
MIGRATIONS = Path(__file__).parents[2] / "storage" / "migrations"
PERIODS = [
    (FIRST, FIRST + 4 * DAY),
    (FIRST - 2 * HOUR, FIRST + DAY - 2 * HOUR),
    (FIRST + 5 * HOUR, FIRST + DAY + 5 * HOUR),
    (FIRST + DAY + 23 * HOUR, FIRST + 2 * DAY + SLOT),
    (FIRST + SLOT, FIRST + 3 * SLOT),
    (0, 2**35),
]
BY = UsageQuery(by=("model", "customer"))

quarters = st.integers(0, 4 * 96)


@st.composite
def levels(draw: st.DrawFn) -> list[Level]:
    hours = draw(st.integers(0, 4 * 24))
    days = draw(st.integers(0, hours // 24))
    stale = draw(st.frozensets(st.integers(0, 95).map(lambda hour: hour * HOUR), max_size=6))
    stale_days = {slot - slot % DAY for slot in stale} | draw(st.frozensets(st.integers(0, 3).map(lambda day: day * DAY)))
    return draw(st.sampled_from([[Level(DAY, days * DAY, frozenset(stale_days)), Level(HOUR, hours * HOUR, stale)], []]))


@given(levels=levels(), start=quarters, end=quarters)
def test_stretches_add_up_to_the_period_and_use_nothing_stale(levels: list[Level], start: int, end: int) -> None:
    counted: dict[int, int] = {}
    for one in stretches_of(levels, start * SLOT, end * SLOT):
        for level in (level for level in levels if level.seconds == one.seconds):
            assert (one.start % one.seconds, one.end % one.seconds) == (0, 0)
            assert all(level.has(block) for block in range(one.start, one.end, one.seconds))
        for slot in range(one.start, one.end, SLOT):
            counted[slot] = counted.get(slot, 0) + one.sign
    found = {slot for slot, times in counted.items() if times}
    assert found == set(range(start * SLOT, end * SLOT, SLOT))
    assert {counted[slot] for slot in found} <= {1}


def test_a_month_of_days_in_new_york_is_days_and_the_hours_at_their_ends() -> None:
    whole = [Level(DAY, 40 * DAY), Level(HOUR, 40 * DAY)]
    found = stretches_of(whole, 5 * HOUR, DAY + 5 * HOUR)
    assert [(one.seconds, one.sign, one.start // HOUR, one.end // HOUR) for one in found] == [
        (HOUR, -1, 0, 5),
        (DAY, 1, 0, 24),
        (HOUR, 1, 24, 29),
    ]
    assert len(stretches_of(whole, 5 * HOUR, 30 * DAY + 5 * HOUR)) == 3


def calls() -> Iterator[tuple[int, str, str | None]]:
    """Yield when calls began, in seconds, their model and customer: not in every hour, and not on every day."""
    for number in range(12):
        day, second = (0, 1, 3)[number % 3], number * 7_919 % DAY
        yield FIRST + day * DAY + second, f"m{number % 2}", ("acme" if number % 5 else None)


def save(database: Database) -> list:
    made = [
        a_span(started_at=at * SECOND, model=model, served_model=model, cost=10**12 + at, labels=Labels(customer=customer))
        for at, model, customer in calls()
    ]
    SpanStore(database).save([(span, None) for span in made])
    return made


def condensed(database: Database, now: float = FIRST + 9 * DAY) -> int:
    """Sum up all that there is to; return in how many steps."""
    steps = 0
    while condense(database, now):
        steps += 1
    return steps


def seen(database: Database) -> list:
    return UsageStore(database).usage(BY, PERIODS)


def mended(database: Database) -> list:
    """Return the sums of the quarters alone."""
    with database.writing() as connection:
        before = connection.execute(select(LEVELS)).all()
        connection.execute(LEVELS.delete())
    found = seen(database)
    with database.writing() as connection:
        connection.execute(LEVELS.insert(), [row._asdict() for row in before])
    return found


def test_sums_are_the_same_before_and_after_whatever_changes(database: Database) -> None:
    made, store = save(database), SpanStore(database)
    plain = seen(database)
    hours = len({span.started_at // SECOND // HOUR for span in made})
    assert condensed(database) == hours + 3
    assert seen(database) == plain
    changes = [
        lambda: store.save([(a_span(started_at=(FIRST + 30) * SECOND, cost=5), None)]),
        lambda: store.save([(a_span(started_at=(FIRST + 2 * DAY + 30) * SECOND, cost=5), None)]),
        lambda: AdjustmentStore(database).adjust([replace(made[7], cost=3 * 10**15)], run="r", made_at=1),
        lambda: store.erase(lambda span: span.id in {made[3].id, made[4].id}, most=1000),
        lambda: rebuild_slot(database, made[9].started_at // SECOND // SLOT * SLOT),
    ]
    for change in changes:
        before = seen(database)
        change()
        changed = seen(database)
        assert changed == mended(database)
        assert (changed == before) == (change is changes[-1])
        assert condensed(database) >= 2
        assert seen(database) == changed


def test_they_are_read_where_they_are_there(database: Database) -> None:
    """Else they would be of no use, and no test would see it."""
    save(database)
    condensed(database)
    before = UsageStore(database).usage(UsageQuery(), PERIODS[:1])[0].total
    for seconds, table in TABLES.items():
        with database.writing() as connection:
            connection.execute(update(table).values(calls=table.c.calls + 1000))
        start = FIRST if seconds == DAY else FIRST + 13 * HOUR
        [found] = UsageStore(database).usage(UsageQuery(), [(start, start + seconds)])
        assert found.total.calls >= 1000
    assert UsageStore(database).usage(UsageQuery(), PERIODS[:1])[0].total.calls >= before.calls + 2000


def test_what_is_not_over_for_a_while_is_left_to_its_quarters(database: Database) -> None:
    store = SpanStore(database)
    at = FIRST + 5 * HOUR
    store.save([(a_span(started_at=at * SECOND), None)])
    assert not condense(database, at + HOUR + PATIENCE - 1)
    assert condense(database, at + HOUR + PATIENCE)
    store.save([(a_span(started_at=(at + HOUR) * SECOND), None)])
    with database.reading() as connection:
        assert connection.execute(select(STALE)).all() == []
        assert set(connection.execute(select(LEVELS))) == {(HOUR, at + HOUR), (DAY, FIRST)}
    assert UsageStore(database).usage(UsageQuery(), [(at, at + 2 * HOUR)])[0].total.calls == 2


def test_time_without_calls_is_passed_over_at_once(database: Database) -> None:
    assert not condense(database, FIRST)
    SpanStore(database).save([(a_span(started_at=(FIRST + 400 * DAY) * SECOND), None)])
    assert condensed(database, FIRST + 800 * DAY) == 2
    with database.reading() as connection:
        assert {row.seconds: row.through for row in connection.execute(select(LEVELS))} == {
            HOUR: FIRST + 800 * DAY - HOUR,
            DAY: FIRST + 799 * DAY,
        }


@pytest.mark.parametrize("late", [0, 1])
def test_what_comes_late_marks_its_hour_and_its_day(database: Database, late: int) -> None:
    save(database)
    condensed(database)
    SpanStore(database).save([(a_span(started_at=(FIRST + late * DAY) * SECOND), None)])
    with database.reading() as connection:
        assert set(connection.execute(select(STALE))) == {(HOUR, FIRST + late * DAY), (DAY, FIRST + late * DAY)}


def before_sums(database: Database) -> None:
    """Bring the tables to the version before this one."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    database._prepare()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")


def test_calls_of_a_version_without_sums_are_summed_up_after_the_upgrade(database_empty_url: str) -> None:
    made = [a_span(started_at=at * SECOND, model=model, cost=10**12 + at) for at, model, _ in calls()]
    clock = iter(range(10**6))
    with closing(open_database(database_empty_url)) as database:
        before_sums(database)
        with database.writing() as connection:
            connection.execute(insert(CALLS), [dict(zip(COLUMNS, row_of(span), strict=True)) for span in made])
        database.upgrade()
        assert UsageStore(database).usage(UsageQuery(), PERIODS[:1])[0].total.calls == 0
        upkeep = SumsUpkeep(database, now=lambda: FIRST + 9 * DAY, clock=lambda: float(next(clock)))
        # A second has passed whenever the clock is looked at: one step each time.
        upkeep.work()
        with database.reading() as connection:
            assert (
                connection.execute(select(func.count()).where(STALE.c.seconds == SLOT)).scalar_one() == len({*slots_of(made)}) - 1
            )
        while upkeep.step():
            pass
        total = UsageStore(database).usage(UsageQuery(), PERIODS[:1])[0].total
        assert (total.calls, total.cost) == (len(made), sum(span.cost for span in made))
        assert seen(database) == mended(database)
        with database.reading() as connection:
            assert connection.execute(select(STALE)).all() == []


def test_it_rests_where_there_is_nothing_to_do(database: Database) -> None:
    now = [0.0]
    upkeep = SumsUpkeep(database, now=lambda: FIRST + 9 * DAY, clock=lambda: now[0])
    upkeep.work()
    save(database)
    upkeep.work()
    with database.reading() as connection:
        hours = dict(connection.execute(select(LEVELS.c.seconds, LEVELS.c.through)).all())
        assert connection.execute(select(TABLES[HOUR])).all() == []
    now[0] += REST_SECONDS
    upkeep.work()
    with database.reading() as connection:
        assert len(connection.execute(select(STALE)).all()) == 0
        assert len(connection.execute(select(TABLES[DAY].c.slot).distinct()).all()) == 3
        assert dict(connection.execute(select(LEVELS.c.seconds, LEVELS.c.through)).all()) == hours


def test_a_reader_sees_one_moment(database: Database) -> None:
    """Levels are read first and sums after that: what is changed in between must not be half seen."""
    with database.reading() as connection:
        count = select(func.count()).select_from(QUARTERS)
        before = connection.execute(count).scalar_one()
        save(database)
        assert connection.execute(count).scalar_one() == before
    with database.reading() as connection:
        assert connection.execute(count).scalar_one() > before


def slots_of(made: list) -> Iterator[int]:
    return (span.started_at // SECOND // SLOT * SLOT for span in made)
