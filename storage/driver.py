"""Statements of the hot path, past SQLAlchemy: on SQLite its objects for one statement cost several times what the statement does.

They run in the transaction of the connection that they are given, beside statements that go through SQLAlchemy. What a driver raises is
understood by `database.as_unavailable`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection

Row = Sequence[Any]


def sqlite_driver(connection: Connection) -> sqlite3.Connection | None:
    """Return SQLite's own connection behind `connection`, or None where the database is another."""
    if connection.dialect.name != "sqlite":
        return None
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def in_words_of(connection: Connection, statement: str) -> str:
    """Return a statement with `?` for its values in the words of the database's driver."""
    return statement if connection.dialect.name == "sqlite" else statement.replace("?", "%s")


def rows_of(connection: Connection, statement: str, values: Row = ()) -> Sequence[Row]:
    """Return what a query finds. The statement is in the words of the driver."""
    driver = sqlite_driver(connection)
    if driver is not None:
        return driver.execute(statement, values).fetchall()
    return connection.exec_driver_sql(statement, tuple(values)).all()


def run_many(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Run a statement once for each of `rows`; do nothing if there are none."""
    if not rows:
        return
    driver = sqlite_driver(connection)
    if driver is not None:
        driver.executemany(statement, rows)
    else:
        connection.exec_driver_sql(statement, rows)
