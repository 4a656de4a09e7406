"""The database behind the store: SQLite by default, PostgreSQL for many machines.

Everything above uses `writing` and `reading`. What a database refuses because it is away, locked, full or too slow is one error to them:
`StoreUnavailable`, after which the same can be tried again, without a restart.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from domain.errors import StoreUnavailable
from storage.copies import copy_from, copy_to
from storage.engines import Engines, PostgresEngines, SqliteEngines

HEAD = "0009"
PATIENCE = 5.0
# What follows is the path as it is: nothing in it is escaped, so that any folder can be named.
_SQLITE = "sqlite:///"
_MIGRATIONS = Path(__file__).parent / "migrations"
# "fare" in ASCII; PostgreSQL's advisory locks are plain numbers.
_UPGRADE_LOCK = 0x66617265_00000001
_SAVE_LOCK = 0x66617265_00000002
# PostgreSQL's codes for a table and a column that is not there.
_UNDEFINED = frozenset({"42P01", "42703"})
_VERSION_TABLE = "alembic_version"


def open_database(url: str, *, patience: float = PATIENCE) -> "Database":
    """Return the database at `url`, without connecting to it: `sqlite:////path/to/file.db` or `postgresql://user:password@host/name`.

    `patience` is how long, in seconds, a lock or a connection is waited for; a read may take twice as long.

    Raises:
        ValueError: no database can be at `url`, or its driver is not installed. The message is without the password.
    """
    if url.startswith("sqlite:"):
        path = url.removeprefix(_SQLITE)
        if path in {url, "", ":memory:"}:
            raise ValueError("the database URL names no file; write sqlite:////path/file.db")
        return Database(SqliteEngines(Path(path), patience), patience)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(
            "the database URL cannot be read; write sqlite:////path/file.db or postgresql://user@host/name"
        ) from None
    if parsed.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise ValueError(f"{parsed.drivername} is not a store we know; use sqlite or postgresql")
    try:
        return Database(PostgresEngines(parsed, patience), patience)
    except ModuleNotFoundError:
        raise ValueError("PostgreSQL needs one more package: pip install 'faregate[postgres]'") from None


class Database:
    """One database. Its methods can be called from any thread; they wait, so never on the event loop."""

    def __init__(self, engines: Engines, patience: float) -> None:
        self._engines = engines
        self._patience = patience
        self.engine: Engine = engines.writer
        self.is_sqlite: bool = self.engine.dialect.name == "sqlite"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that is committed at the end, or rolled back if anything is raised.

        Raises:
            StoreUnavailable: the database is away, locked for too long, or full. What was written may or may not be there.
        """
        with as_unavailable(), self._engines.writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that can only read, and sees one moment.

        Raises:
            StoreUnavailable: the database is away, or took too long.
        """
        with as_unavailable(), self._engines.reader.connect() as connection:
            yield connection

    def one_saves_at_a_time(self, connection: Connection) -> None:
        """Let no other transaction save calls until this one ends, so that `seq` is the order in which calls can be seen.

        SQLite has one writer anyway. PostgreSQL hands out numbers before it commits: without this a reader that goes by `seq`
        would pass by a call that was given a low number and committed late.
        """
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SAVE_LOCK})

    def upgrade(self) -> None:
        """Bring the tables to this version. Any number of processes may do so at once; one does the work.

        Raises:
            StoreUnavailable: the database is away or locked.
            ValueError: a newer version of Faregate has been here.
        """
        if self._is_current():
            return
        self._prepare()
        try:
            with as_unavailable(), self._engines.upgrader.begin() as connection:
                self._upgrade(connection)
        finally:
            self._engines.upgrader.dispose()

    def _is_current(self) -> bool:
        """Return whether there is nothing to upgrade, without a lock: an office must not wait for others to start."""
        try:
            self.check()
        except StoreUnavailable:
            return False
        return True

    def _upgrade(self, connection: Connection) -> None:
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        if _version(connection) != HEAD:
            _migrate(connection)

    def _prepare(self) -> None:
        try:
            with as_unavailable():
                self._engines.prepare()
        except OSError as error:
            raise StoreUnavailable(f"The store cannot be made: {error}") from error

    def check(self) -> None:
        """Return if the database can be used.

        Raises:
            StoreUnavailable: it is away, or its tables are of another version.
        """
        with self.reading() as connection:
            version = _version(connection)
        if version != HEAD:
            raise StoreUnavailable(
                f"The store's tables are of version {version or 'none'}, not {HEAD}: run `faregate db upgrade`."
            )

    def backup(self, path: Path) -> None:
        """Copy the database to a new file at `path` while it is in use; the copy is of one moment.

        Raises:
            ValueError: this is PostgreSQL, which brings its own tools.
            FileExistsError: there is something at `path`.
            StoreUnavailable: the database cannot be read, or the copy not be written.
        """
        if not self.is_sqlite:
            raise ValueError("the store is PostgreSQL: back it up with pg_dump")
        with as_unavailable(), closing(self._engines.reader.raw_connection()) as pooled:
            copy_to(path, cast("sqlite3.Connection", pooled.driver_connection))

    def restore(self, path: Path) -> None:
        """Replace everything in the database by the copy at `path`, in one step, and bring it to this version.

        Raises:
            ValueError: this is PostgreSQL, or the file is no whole copy of a store, or of a newer version.
            StoreUnavailable: the database is away, or in use.
        """
        if not self.is_sqlite:
            raise ValueError("the store is PostgreSQL: restore it with pg_restore")
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        self._prepare()
        with as_unavailable(), closing(self._engines.writer.raw_connection()) as pooled:
            copy_from(path, cast("sqlite3.Connection", pooled.driver_connection), self._patience)
        self.upgrade()

    def give_back(self, pages: int) -> None:
        """Return at most `pages` unused pages to the disk. PostgreSQL sees to that by itself.

        Raises:
            StoreUnavailable: the database is away or locked.
        """
        if not self.is_sqlite:
            return
        with as_unavailable(), closing(self._engines.writer.raw_connection()) as pooled:
            # Through `execute` this frees a single page: it frees one at each step, and the driver takes one step.
            cast("sqlite3.Connection", pooled.driver_connection).executescript(f"PRAGMA incremental_vacuum({pages})")

    def close(self) -> None:
        """Close all connections."""
        self._engines.reader.dispose()
        self._engines.writer.dispose()


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn what a database raises when it cannot do its work into `StoreUnavailable`; leave mistakes of ours as they are."""
    try:
        yield
    except NoConnectionFree as error:
        raise StoreUnavailable("The store is busy: no connection became free in time.") from error
    except (DBAPIError, sqlite3.Error) as error:
        if _lacks_tables(error):
            raise StoreUnavailable("The store's tables are not those of this version: run `faregate db upgrade`.") from error
        if not _is_trouble(error):
            raise
        raise StoreUnavailable(f"The store cannot be used now: {_reason(error)}") from error


def _is_trouble(error: DBAPIError | sqlite3.Error) -> bool:
    """Return whether the database is in trouble, and not what it was asked wrong. A damaged file is a plain `DatabaseError`."""
    if isinstance(error, OperationalError | InterfaceError | InternalError | sqlite3.OperationalError):
        return True
    return type(error) in {DatabaseError, sqlite3.DatabaseError} or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _lacks_tables(error: DBAPIError | sqlite3.Error) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) in _UNDEFINED or str(cause).startswith(
        ("no such table", "no such column", "no such index")
    )


def _reason(error: DBAPIError | sqlite3.Error) -> str:
    """Return the first line of what the driver said: further ones can quote values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _version(connection: Connection) -> str | None:
    """Return the version of the tables, or None if there are none."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


def _migrate(connection: Connection) -> None:
    # Alembic is large, and needed once in a version's life.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ValueError("the store was made by a newer version of Faregate; install that version, or a newer one") from error
