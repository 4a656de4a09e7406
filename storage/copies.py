"""Copies of an SQLite store: made while it is in use, and put back in one step. PostgreSQL brings its own tools for both."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic

from domain.errors import StoreUnavailable
from storage.engines import PRIVATE


def copy_to(path: Path, source: sqlite3.Connection) -> None:
    """Copy a store to a new file at `path`, readable by its owner only; the copy is of one moment.

    Raises:
        FileExistsError: there is something at `path`.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
    with closing(sqlite3.connect(path)) as target:
        source.backup(target)


def copy_from(path: Path, target: sqlite3.Connection, patience: float) -> None:
    """Replace everything in a store by the copy at `path`, or nothing.

    Raises:
        ValueError: the file is no whole copy of a store.
        StoreUnavailable: the store is in use for longer than `patience` seconds.
    """
    deadline = monotonic() + patience
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
        if not _is_store(source):
            raise ValueError(f"{path} is not a whole copy of a store")
        source.backup(target, progress=lambda *_: _check_time(deadline))


def _is_store(copy: sqlite3.Connection) -> bool:
    try:
        copy.execute("SELECT version_num FROM alembic_version")
        return bool(copy.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _check_time(deadline: float) -> None:
    # SQLite itself would try again for ever.
    if monotonic() > deadline:
        raise StoreUnavailable("The store is in use: stop the gateway first.")
