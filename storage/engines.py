"""Connections to SQLite and PostgreSQL, set up for what they are for: one engine writes, one only reads.

A reader can never hold up recording: it cannot write, and what takes too long is broken off.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol, cast
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

# A read may take twice as long as a lock is waited for.
READS = 2
LONGEST_WRITE = 60.0
LONGEST_UPGRADE = 60.0
PRIVATE = 0o600
# Instructions of SQLite's machine between two looks at the clock: some tenths of a millisecond.
_INSTRUCTIONS = 50_000
# SQLite truncates its write-ahead log to this after a checkpoint, should a long read have made it grow.
_LARGEST_IDLE_LOG = 64 * 1024 * 1024


class Engines(Protocol):
    """The ways into one database."""

    writer: Engine
    reader: Engine
    upgrader: Engine

    def prepare(self) -> None:
        """Make what must exist before the tables."""


class SqliteEngines:
    """Engines for an SQLite file. It is made by `prepare`, readable by its owner only."""

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        # One connection writes, so that writers in this process queue fairly; other processes are waited for by SQLite.
        self.writer = _sqlite_engine(path, "BEGIN IMMEDIATE", patience, connections=1)
        self.reader = _sqlite_engine(path, "BEGIN", patience, connections=4)
        self.upgrader = _sqlite_engine(path, "BEGIN IMMEDIATE", LONGEST_UPGRADE, connections=1)
        _set_up_each(self.writer, "PRAGMA cache_size = -16000")
        _set_up_each(self.reader, "PRAGMA query_only = ON")
        _break_off_reads(self.reader, patience * READS)

    def prepare(self) -> None:
        """Make the file, with the settings that are part of it.

        Raises:
            OSError: it cannot be made.
        """
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
        connection = sqlite3.connect(self.path, timeout=LONGEST_UPGRADE, isolation_level=None)
        try:
            if connection.execute("PRAGMA page_count").fetchone() == (0,):
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        finally:
            connection.close()


def _sqlite_engine(path: Path, begin: str, patience: float, *, connections: int) -> Engine:
    address = f"file:{quote(str(path.absolute()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # SQLite begins no transaction by itself then: one that first reads and then writes could fail at once, without waiting.
        return sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=patience,
        hide_parameters=True,
    )
    # A commit that has returned is on the disk: the journal lets go of a call when it is saved here.
    _set_up_each(engine, "PRAGMA synchronous = FULL", f"PRAGMA journal_size_limit = {_LARGEST_IDLE_LOG}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Not as a statement of SQLAlchemy's: its objects cost five times what SQLite does here.
        cast("sqlite3.Connection", connection.connection.driver_connection).execute(begin)

    return engine


def _set_up_each(engine: Engine, *statements: str) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()


def _break_off_reads(engine: Engine, after: float) -> None:
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        deadline = monotonic() + after
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        driver.set_progress_handler(lambda: monotonic() > deadline, _INSTRUCTIONS)


class PostgresEngines:
    """Engines for a PostgreSQL server. A connection that broke is replaced at its next use."""

    def __init__(self, url: URL, patience: float) -> None:
        wait = f"{round(patience * 1000)}"
        self.writer = _postgres_engine(url, patience, connections=2)
        # Each transaction of a reader sees one moment, however many statements it is.
        self.reader = _postgres_engine(url, patience, connections=4, isolation_level="REPEATABLE READ")
        self.upgrader = _postgres_engine(url, patience, connections=1)
        stuck = ("idle_in_transaction_session_timeout", f"{LONGEST_WRITE:g}s")
        _set_each(self.writer, ("statement_timeout", f"{LONGEST_WRITE:g}s"), ("lock_timeout", wait), stuck)
        _set_each(
            self.reader,
            ("statement_timeout", f"{round(patience * READS * 1000)}"),
            ("default_transaction_read_only", "on"),
            stuck,
        )
        _set_each(self.upgrader, ("statement_timeout", "0"), ("lock_timeout", f"{LONGEST_UPGRADE:g}s"))

    def prepare(self) -> None:
        """Make nothing: the database is its administrator's to make."""


def _postgres_engine(
    url: URL,
    patience: float,
    *,
    connections: int,
    isolation_level: Literal["READ COMMITTED", "REPEATABLE READ"] = "READ COMMITTED",
) -> Engine:
    ours = {
        "application_name": "faregate",
        "connect_timeout": str(max(2, round(patience))),
        # A server that is gone without a word is noticed within a minute.
        "keepalives_idle": "20",
        "keepalives_interval": "10",
        "keepalives_count": "3",
    }
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in ours.items() if name not in url.query},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=patience,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level=isolation_level,
    )


def _set_each(engine: Engine, *settings: tuple[str, str]) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for name, value in settings:
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()
