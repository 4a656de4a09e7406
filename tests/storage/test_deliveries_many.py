"""However many deliveries are pending, delivered and dead: the courier's steps look at what they take, and at little more."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from sqlalchemy import event, text

from domain.deliveries import Owed
from storage.database import Database
from storage.deliveries import DeliveryStore, Listing
from storage.deliveries.sql import by_index
from tests.storage.owed import NOW, a_store, an_event, claim, dead, delivered, later

MANY, FEW = 20_000, 2_000
NUMBERS = {
    True: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) SELECT {} FROM n",
    False: "SELECT {} FROM generate_series(1, :count) AS n(i)",
}
# Of ten: five are due, one waits, one is claimed by another office, two are delivered, one is dead.
STATES = "CASE i % 10 WHEN 0 THEN 1 WHEN 1 THEN 2 WHEN 2 THEN 3 WHEN 3 THEN 3 WHEN 4 THEN 4 ELSE 0 END"


def fill(database: Database, count: int) -> None:
    """Owe so many calls to each of two destinations, in all states."""
    columns = f"""'a' AS destination, i, 0, {STATES}, CASE i % 10 WHEN 0 THEN {NOW + 10**9} ELSE 0 END, 0, 1, {NOW},
        CASE i % 10 WHEN 1 THEN 'office-1' END, CASE i % 100 WHEN 5 THEN 'b' END, CASE i % 10 WHEN 4 THEN 'rejected' END,
        CASE i % 10 WHEN 2 THEN 5 WHEN 3 THEN 5 WHEN 4 THEN 5 END"""
    for name in ("a", "c"):
        rows = NUMBERS[database.is_sqlite].format(columns.replace("'a'", f"'{name}'", 1))
        with database.writing() as connection:
            connection.execute(
                text(
                    f"""INSERT INTO deliveries (destination, number, lane, state, due, attempts, size, owed_at, claimed_by, otherwise, kind, ended_at)
                    {rows}"""
                ),
                {"count": count},
            )
            connection.execute(
                text(
                    "INSERT INTO delivery_totals (destination, accepted, delivered, dead, gone, refused) VALUES (:n, :a, :d, :x, 0, 0)"
                ),
                {"n": name, "a": count, "d": count * 2 // 10, "x": count // 10},
            )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("ANALYZE")


def every_step(store: DeliveryStore) -> None:
    """Do what a courier and a desk do."""
    claims = claim(store, "a", most=100)
    assert len(claims) == 100
    store.finish([*delivered(claims[:50]), *later(claims[50:70]), *dead(claims[70:90])])
    store.put_back(claims[90:])
    assert store.next_due("a", "live", now=NOW) == NOW
    claim(store, "a", "replay", most=1)
    claim(store, "a", most=10, keep_batches=True, batch="b1")
    assert store.counts()["a"].oldest == NOW
    assert store.divert("a", to=["b"], now=NOW, most=10) == 10
    assert store.retry_dead("a", limit=10) == 10
    assert store.discard("a", limit=10) == 10
    assert store.waiting("a", "live", most=100) == 100
    assert len(store.listed(Listing(destination="a", state="dead", limit=10)).records) == 10
    assert len(store.listed(Listing(state="pending", limit=10)).records) == 10
    assert len(store.listed(Listing(limit=10)).records) == 10
    store.owe_event(an_event(), [Owed("a")])


@contextmanager
def instructions(database: Database) -> Iterator[Callable[[], int]]:
    """Count the steps of SQLite's machine that writing takes, in thousands."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    with database.engine.connect() as connection:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    driver.set_progress_handler(count, 1000)
    yield lambda: counted[0]
    driver.set_progress_handler(None, 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_step_costs_the_same_however_much_there_is(database: Database) -> None:
    store = a_store(database)
    fill(database, FEW)
    with instructions(database) as counted:
        every_step(store)
        few = counted()
    with database.writing() as connection:
        for table in ("deliveries", "delivery_totals", "events"):
            connection.execute(text(f"DELETE FROM {table}"))
    fill(database, MANY)
    with instructions(database) as counted:
        every_step(store)
        many = counted()
    assert few > 0
    assert many <= few * 1.3 + 5


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_no_step_reads_the_table_from_its_beginning(database: Database) -> None:
    """What has a limit follows an index in the order that it is wanted in, so it ends where the limit is reached."""
    fill(database, MANY)
    store = a_store(database)
    seen: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if "deliveries" in statement and not statement.startswith("INSERT"):
            seen.append((statement, parameters[0] if many else parameters))

    with database.reading() as connection:
        event.listen(connection.engine, "before_cursor_execute", keep)
    event.listen(database.engine, "before_cursor_execute", keep)
    every_step(store)
    steps = list(seen)
    assert len(steps) > 25
    for statement, parameters in steps:
        with database.writing() as connection:
            if "LIMIT" in statement:
                by_index(connection)
            plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
        assert "Seq Scan on deliveries" not in plan, statement + plan
        if "LIMIT" in statement:
            assert "Sort" not in plan, statement + plan
