"""The file of the SQLite ledger: its tables, its mark of being whole, and one connection to it.

Several gate workers and the office have it open at once. Nobody waits in here: what is locked is `Busy` at once, and who can wait, waits
outside and tries again. A file that was taken away or replaced is noticed before each transaction. Commits are not synced (a power cut may
take the last ones, which the office makes good from the store); whoever checkpoints syncs, and that is never the event loop.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from domain.ledger import LedgerLost, LedgerUnavailable

PRIVATE = 0o600
_TABLES = (
    "CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS cells (
        counter TEXT, part INTEGER, settled INTEGER NOT NULL, charged INTEGER NOT NULL, held INTEGER NOT NULL, rolling INTEGER NOT NULL,
        forget_at INTEGER, PRIMARY KEY (counter, part)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS holds (
        id TEXT PRIMARY KEY, state INTEGER NOT NULL, lease REAL NOT NULL, forget_at INTEGER NOT NULL, claims TEXT NOT NULL) WITHOUT ROWID""",
)
_MAKE_WHOLE = "INSERT OR IGNORE INTO marks VALUES ('whole', 1)"
_TOUCH = "INSERT INTO marks VALUES ('logs', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Busy(LedgerUnavailable):
    """Somebody else writes just now."""


class LedgerFile:
    """One connection to the file at `path`, made when it is needed. Belongs to one thread at a time."""

    def __init__(self, path: Path, *, patience: float = 0.0) -> None:
        """Know where it is. `patience` is how long, in seconds, SQLite itself waits for a lock: nothing on an event loop."""
        self._path = path
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self.damaged = False

    def set_aside(self) -> None:
        """Put a damaged file aside, beside where it was; whoever has it open notices.

        Raises:
            LedgerUnavailable: it cannot be moved.
        """
        self.close()
        try:
            self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
            for suffix in ("-wal", "-shm"):
                self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise LedgerUnavailable(f"the ledger's damaged file cannot be put aside: {error.strerror}") from error
        self.damaged = False

    def make(self) -> None:
        """Make the file and its tables, not yet marked as whole. Any number of processes may do so at once.

        Raises:
            LedgerUnavailable: it cannot be made.
        """
        try:
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
            connection = self._connect()
            try:
                # A hold changes two pages, whole ones of which are written to the log: small pages cost less.
                connection.execute("PRAGMA page_size = 1024")
                # There is nothing in it that a power cut could take.
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                for statement in _TABLES:
                    connection.execute(statement)
            finally:
                connection.close()
        except OSError as error:
            raise LedgerUnavailable(f"the ledger's file cannot be made: {error.strerror}") from error
        except sqlite3.Error as error:
            raise self.trouble(error) from error

    @contextmanager
    def writing(self, *, whole: bool = True) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction that is committed at the end, or rolled back if anything is raised.

        Raises:
            LedgerLost: the file is not there, or not yet rebuilt; not if `whole` is False.
            Busy: somebody else writes.
            LedgerUnavailable: it cannot be used.
        """
        connection = self.begin(whole=whole)
        try:
            yield connection
        except BaseException as error:
            self.roll_back(connection)
            if isinstance(error, sqlite3.Error):
                raise self.trouble(error) from error
            raise
        self.commit(connection)

    # The three steps of `writing`, for a hold, which a context manager would make dearer.

    def begin(self, *, whole: bool = True) -> sqlite3.Connection:
        """Begin a transaction. It raises as `writing` does."""
        connection = self._open(whole=whole)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._done_with(connection)
            raise self.trouble(error) from error
        return connection

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit what was done since `begin`. It raises as `writing` does."""
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.roll_back(connection)
            raise self.trouble(error) from error
        self._done_with(connection)

    def roll_back(self, connection: sqlite3.Connection) -> None:
        """Undo what was done since `begin`."""
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._done_with(connection)

    def _done_with(self, connection: sqlite3.Connection) -> None:
        if connection is not self._connection:
            connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read one moment with. It raises as `writing` does."""
        connection = self._open(whole=True)
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.trouble(error) from error

    @property
    def log_bytes(self) -> int:
        """How large the write-ahead log is."""
        try:
            return self._path.with_name(f"{self._path.name}-wal").stat().st_size
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the file, and begin it anew. This syncs, so never on an event loop.

        SQLite syncs the head of a log at the first commit to it; that is made here, so that no gate has to wait for it.
        """
        connection = self._open(whole=True)
        try:
            busy, written, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            raise self.trouble(error) from error
        if not busy and written == moved:
            with self.writing() as writing:
                writing.execute(_TOUCH)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        connection, self._connection, self._identity = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _open(self, *, whole: bool) -> sqlite3.Connection:
        """Return the connection to the file that is there now."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a third of what Path.stat costs, and this is done for each hold
        except OSError as error:
            self.close()
            raise LedgerLost(f"the ledger's file cannot be found: {error.strerror}") from error
        if self._connection is not None and self._identity == (found.st_dev, found.st_ino):
            return self._connection
        self.close()
        try:
            connection = self._connect()
            if whole and not _is_whole(connection):
                connection.close()
                raise LedgerLost("the ledger is not yet made anew")
        except sqlite3.Error as error:
            raise self.trouble(error) from error
        if whole:
            self._connection, self._identity = connection, (found.st_dev, found.st_ino)
        return connection

    def _connect(self) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path.absolute()))}?mode=rw"
        connection = sqlite3.connect(
            address, uri=True, timeout=self._patience, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def trouble(self, error: sqlite3.Error) -> LedgerUnavailable:
        """Return what an error of SQLite means; after all but a lock, the file is opened anew."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            return Busy("the ledger's file is locked by somebody else")
        self.close()
        if code in _DAMAGED:
            self.damaged = True
            return LedgerLost(f"the ledger's file is damaged: {error}")
        return LedgerUnavailable(f"the ledger's file cannot be used: {error}")


def mark_whole(connection: sqlite3.Connection) -> bool:
    """Mark the ledger as whole; return whether it was not before."""
    return connection.execute(_MAKE_WHOLE).rowcount == 1


def _is_whole(connection: sqlite3.Connection) -> bool:
    tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'marks'").fetchone()
    return tables is not None and connection.execute("SELECT 1 FROM marks WHERE name = 'whole'").fetchone() is not None
