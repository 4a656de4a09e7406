"""The ledger: in memory, in an SQLite file for one machine, in Redis for many.

Here is what composition roots need. Redis' client is an extra and not small, so it is imported only where a Redis is configured.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from domain.ledger import LedgerUnavailable
from storage.ledger.owner import FILE, KnownStore, foreign_message, note_store, noted_store
from storage.ledger.sqlite import SqliteHolding, SqliteSettling
from storage.ledger.sqlite_holds import Waiter

if TYPE_CHECKING:
    from storage.ledger.redis import RedisHolding, RedisSettling

__all__ = [
    "SqliteHolding",
    "SqliteSettling",
    "begin_ledger",
    "foreign_ledger",
    "note_store_of",
    "open_ledger",
    "open_settling_ledger",
]
_PATIENCE = 2.0
_MISSING = "a ledger in Redis needs one more package: pip install 'faregate[redis]'"


def open_ledger(
    path: Path, redis_url: str | None = None, *, waiter: Callable[[], Waiter] | None = None
) -> "SqliteHolding | RedisHolding":
    """Return the ledger as a gate uses it: in Redis, or in the SQLite file at `path`. Nothing is connected yet; `await ledger.close()` at the end.

    `waiter` makes what a hold in the file waits for, where an asyncio future would be too dear.

    Raises:
        ValueError: the URL is not one of Redis, or its client is not installed.
    """
    if redis_url is None:
        return SqliteHolding(path) if waiter is None else SqliteHolding(path, waiter=waiter)
    try:
        from storage.ledger.redis import RedisHolding  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise ValueError(_MISSING) from None
    return RedisHolding(redis_url, store=KnownStore(path.with_name(FILE)))


def open_settling_ledger(path: Path, redis_url: str | None = None) -> "SqliteSettling | RedisSettling":
    """Return the ledger as the office uses it. Nothing is connected yet; `ledger.close()` at the end.

    Raises:
        ValueError: the URL is not one of Redis, or its client is not installed.
    """
    if redis_url is None:
        return SqliteSettling(path)
    try:
        from storage.ledger.redis import RedisSettling  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise ValueError(_MISSING) from None
    return RedisSettling(redis_url, store=KnownStore(path.with_name(FILE)))


def note_store_of(path: Path, store: str) -> None:
    """Note beside `path`, the ledger's file, which store the ledger in Redis must belong to. Belongs to the office.

    Raises:
        OSError: it cannot be written.
    """
    note_store(path.with_name(FILE), store)


def foreign_ledger(path: Path, redis_url: str | None) -> str | None:
    """Return what is wrong if the ledger in Redis is known to be another store's than the one noted beside `path`; None where it is not, or nobody knows.

    Raises:
        ValueError: the URL is not one of Redis, or its client is not installed.
    """
    store = noted_store(path.with_name(FILE))
    if redis_url is None or store is None:
        return None
    try:
        from storage.ledger.redis_client import WaitingRedis  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise ValueError(_MISSING) from None
    client = WaitingRedis(redis_url, deadline=_PATIENCE)
    try:
        whose = client.owner()
    except LedgerUnavailable:
        return None
    finally:
        client.close()
    return None if whose in {None, store} else foreign_message(str(whose))


def begin_ledger(path: Path) -> None:
    """Make an empty SQLite ledger where there is none: for a folder in which nothing was ever recorded, so that the first call need not wait for an office.

    Raises:
        LedgerUnavailable: it cannot be made.
    """
    ledger = SqliteSettling(path)
    try:
        ledger.rebuild([], {}, now=time.time(), lease=0)
    finally:
        ledger.close()
