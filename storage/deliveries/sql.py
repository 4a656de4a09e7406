"""Statements about deliveries, written once: in PostgreSQL's words with `?` for values, and turned into SQLite's where that is the database.

They go to the driver, past SQLAlchemy's objects: see `storage.driver`. A list of values is one value: `number = ANY(?)`.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from storage.driver import run_many, sqlite_driver

_LIST = "= ANY(?)"
_LIST_OF_SQLITE = "IN (SELECT value FROM json_each(?))"
# SQLite knows nothing of how values are distributed, so it is told which index to take.
_INDEX = re.compile(r" (?:INDEXED BY \w+|NOT INDEXED)")
_BY_INDEX = """SELECT set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true)"""
_LOCKS = (" FOR UPDATE SKIP LOCKED", " FOR UPDATE", " FOR SHARE")


def found(connection: Connection, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
    """Return the rows of a query, or of a change with RETURNING."""
    driver = sqlite_driver(connection)
    if driver is not None:
        return driver.execute(_of_sqlite(statement), _plain(values)).fetchall()
    return connection.exec_driver_sql(_of_postgres(statement), values).all()


def changed(connection: Connection, statement: str, *values: Any) -> int:
    """Run one change, and return how many rows it changed."""
    driver = sqlite_driver(connection)
    if driver is not None:
        return driver.execute(_of_sqlite(statement), _plain(values)).rowcount
    return connection.exec_driver_sql(_of_postgres(statement), values).rowcount


def run_each(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Run one change for each of `rows`."""
    run_many(connection, _of_postgres(statement) if sqlite_driver(connection) is None else _of_sqlite(statement), rows)


def by_index(connection: Connection) -> None:
    """Have PostgreSQL follow indexes in this transaction, where its figures about the table are old: after a replay of millions, say."""
    if sqlite_driver(connection) is None:
        connection.exec_driver_sql(_BY_INDEX)


def _plain(values: tuple[Any, ...]) -> list[Any]:
    return [json.dumps(value) if isinstance(value, list) else value for value in values]


@lru_cache(maxsize=200)
def _of_sqlite(statement: str) -> str:
    for lock in _LOCKS:
        statement = statement.replace(lock, "")
    return statement.replace(_LIST, _LIST_OF_SQLITE)


@lru_cache(maxsize=200)
def _of_postgres(statement: str) -> str:
    return _INDEX.sub("", statement).replace("?", "%s").replace("AS BLOB", "AS BYTEA")
