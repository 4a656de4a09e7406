"""The ledger in an SQLite file, for one machine: any number of gate workers and the office, each with a connection of its own.

All holds of one turn of the event loop are one transaction of a few rows each, taken on the loop without waiting: it costs tens of microseconds.
Where somebody else writes at that moment, the loop does other things and it is tried again, a set number of times.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from time import time
from typing import TypeVar

from domain.ledger import Claim, Held, LedgerUnavailable, Refused, Standing, Tally
from storage.ledger.common import STAYS_OUT, closed, forget_at, summed
from storage.ledger.sqlite_file import Busy, LedgerFile, mark_whole
from storage.ledger.sqlite_holds import Waiter, Wanted, decide, meaning_of, tell
from storage.ledger.sqlite_rows import (
    CHARGED,
    FIND,
    GONE,
    HOLD,
    OPEN,
    REMADE,
    REMOVE,
    DoesNotFit,
    change,
    claims_of,
    claims_text,
    hold_all,
)

T = TypeVar("T")
# What a hold waits for somebody else's transaction, in seconds: about 50 ms in all.
PAUSES = (0.0002, 0.0004, 0.0008, 0.0015, 0.003, 0.006, 0.008, 0.01, 0.01, 0.01)
SETTLED_AT_ONCE = 32  # so that a gate never waits long
SETTLING_PATIENCE = 2.0
LOG_BYTES = 8 * 2**20
# The office checkpoints; a gate does so only when nobody else seems to.
NEGLECTED_LOG_BYTES = 64 * 2**20
LOOK_EVERY = 4096

_TOP_UP = "UPDATE holds SET claims = ?, lease = ? WHERE id = ?"
_RENEW = f"UPDATE holds SET lease = ? WHERE id = ? AND state <= {REMADE} RETURNING state"  # noqa: S608 - a constant of ours
_COMPLETE = f"UPDATE holds SET state = {OPEN}, claims = ? WHERE id = ?"  # noqa: S608 - a constant of ours
_LATE = f"SELECT id FROM holds WHERE state <= {REMADE} AND lease < ? LIMIT ?"  # noqa: S608 - a constant of ours
_CHARGED = f"UPDATE holds SET state = {CHARGED} WHERE id = ? AND state <= {REMADE} AND lease < ? RETURNING claims"  # noqa: S608 - a constant of ours
_CELLS = "SELECT counter, part, rolling, settled, charged, held FROM cells WHERE counter = ?"
_FORGET_HOLDS = f"DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE state > {REMADE} AND forget_at < ? LIMIT ?)"  # noqa: S608 - a constant of ours
_FORGET_CELLS = (
    "DELETE FROM cells WHERE (counter, part) IN (SELECT counter, part FROM cells WHERE forget_at < ? AND held = 0 LIMIT ?)"
)


def _future() -> Waiter:
    return asyncio.get_running_loop().create_future()


class SqliteHolding:
    """The gate's side (`HoldingLedger`). Belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        pauses: Sequence[float] = PAUSES,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        neglected_bytes: int = NEGLECTED_LOG_BYTES,
        waiter: Callable[[], Waiter] = _future,
    ) -> None:
        """Know where the file is; nothing is opened yet. `pauses` are what is slept between tries at a locked file; `waiter` makes what a hold waits for."""
        self._file = LedgerFile(path)
        self._path = path
        self._pauses = pauses
        self._sleep = sleep
        self._neglected_bytes = neglected_bytes
        self._patient = True
        self._transactions = 0
        self._tidying: asyncio.Task[None] | None = None
        self._waiter = waiter
        self._wanted: list[Wanted] = []
        self._late: set[asyncio.Task[None]] = set()

    async def hold(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> Held | Refused:
        """See `HoldingLedger`."""
        row = (hold, OPEN, now + lease, forget_at(claims, now), claims_text(claims))
        wanted = Wanted(row, claims, self._waiter())
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._decide_all)
        self._wanted.append(wanted)
        await wanted.decided
        if isinstance(wanted.answer, Held | Refused):
            return wanted.answer
        raise wanted.answer or LedgerUnavailable("nothing was decided")

    def _decide_all(self) -> None:
        """Decide on all holds of this turn of the loop, in one transaction: mostly at once, since mostly nobody else writes."""
        wanted, self._wanted = self._wanted, []
        try:
            self._tried(lambda connection: decide(connection, wanted))
        except Busy:
            task = asyncio.get_running_loop().create_task(self._decide_later(wanted))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        except Exception as error:  # noqa: BLE001 - nobody may wait for ever
            tell(wanted, meaning_of(error))
        else:
            tell(wanted)

    async def _decide_later(self, wanted: list[Wanted]) -> None:
        try:
            await self._done(lambda connection: decide(connection, wanted))
        except Exception as error:  # noqa: BLE001 - as above
            tell(wanted, meaning_of(error))
        else:
            tell(wanted)

    async def top_up(self, hold: str, amounts: Sequence[int], *, now: float, lease: float) -> Held | Refused:
        """See `HoldingLedger`."""

        def step(connection: sqlite3.Connection) -> Held | Refused:
            found = connection.execute(FIND, (hold,)).fetchone()
            claims = claims_of(found[1]) if found else []
            if found is None or found[0] > REMADE:
                return closed(claims)
            standings = hold_all(connection, claims, amounts)
            more = [replace(claim, amount=claim.amount + amount) for claim, amount in zip(claims, amounts, strict=True)]
            connection.execute(_TOP_UP, (claims_text(more), now + lease, hold))
            return Held(standings)

        return await self._fitting(step)

    async def renew(self, holds: Sequence[str], *, now: float, lease: float) -> Sequence[str]:
        """See `HoldingLedger`."""

        def step(connection: sqlite3.Connection) -> list[str]:
            return [hold for hold in holds if connection.execute(_RENEW, (now + lease, hold)).fetchall() != [(OPEN,)]]

        return await self._done(step)

    async def resume(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> None:
        """See `HoldingLedger`."""
        nothing = [replace(claim, amount=0) for claim in claims]
        row = (hold, REMADE, now + lease, forget_at(claims, now), claims_text(nothing))

        def step(connection: sqlite3.Connection) -> None:
            connection.execute(HOLD, row)
            state, text = connection.execute(FIND, (hold,)).fetchone()
            if state == REMADE:
                _complete(connection, hold, claims_of(text), claims)

        await self._done(step)

    async def release(self, hold: str, *, now: float) -> None:
        """See `HoldingLedger`."""

        def step(connection: sqlite3.Connection) -> None:
            found = connection.execute(FIND, (hold,)).fetchone()
            if found is None:
                connection.execute(HOLD, (hold, GONE, now, int(now) + STAYS_OUT, "[]"))
            elif found[0] <= REMADE:
                _close(connection, hold, found[0], claims_of(found[1]), None)

        await self._done(step)

    async def close(self) -> None:
        """Close the file."""
        if self._tidying is not None:
            await self._tidying
        await asyncio.gather(*self._late)
        self._file.close()

    async def _fitting(self, step: Callable[[sqlite3.Connection], Held | Refused]) -> Held | Refused:
        """Do a step that may find that a claim does not fit: mostly at once, since mostly nobody else writes."""
        try:
            try:
                return self._tried(step)
            except Busy:
                return await self._done(step)
        except DoesNotFit as error:
            return error.refused

    async def _done(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Do a step in a transaction, as soon as nobody else writes.

        After a wait that was in vain there is a single try for each call, until one succeeds: calls must not pile up behind a lock.
        """
        for pause in self._pauses if self._patient else ():
            try:
                return self._tried(step)
            except Busy:
                await self._sleep(pause)
        try:
            return self._tried(step)
        except Busy:
            self._patient = False
            raise

    def _tried(self, step: Callable[[sqlite3.Connection], T]) -> T:
        file = self._file
        connection = file.begin()
        try:
            result = step(connection)
        except BaseException as error:
            file.roll_back(connection)
            if isinstance(error, sqlite3.Error):
                raise file.trouble(error) from error
            raise
        file.commit(connection)
        self._patient = True
        self._transactions += 1
        if self._transactions % LOOK_EVERY == 0 and self._file.log_bytes > self._neglected_bytes and self._tidying is None:
            self._tidying = asyncio.get_running_loop().create_task(self._tidy())
        return result

    async def _tidy(self) -> None:
        """Checkpoint from a thread, over a connection of its own."""
        try:
            await asyncio.to_thread(_checkpoint, self._path)
        finally:
            self._tidying = None


class SqliteSettling:
    """The office's side (`SettlingLedger`), for any of its threads. It waits for a lock, at most `patience` seconds."""

    def __init__(self, path: Path, *, patience: float = SETTLING_PATIENCE, log_bytes: int = LOG_BYTES) -> None:
        """Know where the file is; nothing is opened yet. From `log_bytes` of write-ahead log on, `forget` makes it short."""
        self._file = LedgerFile(path, patience=patience)
        self._log_bytes = log_bytes
        self._lock = Lock()

    def settle(self, settlements: Mapping[str, Sequence[int]], *, now: float) -> Sequence[str]:
        """See `SettlingLedger`."""
        del now
        items = list(settlements.items())
        unknown: list[str] = []
        for start in range(0, len(items), SETTLED_AT_ONCE):
            with self._lock, self._file.writing() as connection:
                unknown += [
                    name for name, amounts in items[start : start + SETTLED_AT_ONCE] if not _settled(connection, name, amounts)
                ]
        return unknown

    def expire(self, *, now: float, most: int = 1000) -> Sequence[str]:
        """See `SettlingLedger`."""
        with self._lock, self._file.reading() as connection:
            late = [name for (name,) in connection.execute(_LATE, (now, most)).fetchall()]
        expired: list[str] = []
        for start in range(0, len(late), SETTLED_AT_ONCE):
            with self._lock, self._file.writing() as connection:
                some = late[start : start + SETTLED_AT_ONCE]
                expired += [name for name in some if _charged(connection, name, now)]
        return expired

    def held(self, holds: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """See `SettlingLedger`."""
        with self._lock, self._file.reading() as connection:
            found = {name: connection.execute(FIND, (name,)).fetchone() for name in holds}
        return {name: tuple(claim.amount for claim in claims_of(row[1])) for name, row in found.items() if row and row[0] != GONE}

    def standings(self, counters: Sequence[str], *, now: float | None = None) -> Mapping[str, Standing]:
        """See `SettlingLedger`."""
        at = time() if now is None else now
        return summed([(row[0], row[1], row[2], Tally(*row[3:])) for row in self._cells(counters)], at)

    def tallies(self, counters: Sequence[str]) -> Mapping[tuple[str, int], Tally]:
        """See `SettlingLedger`."""
        return {(row[0], row[1]): Tally(*row[3:]) for row in self._cells(counters)}

    def charge(self, entry: str, claims: Sequence[Claim], *, now: float) -> None:
        """See `SettlingLedger`."""
        with self._lock, self._file.writing() as connection:
            if connection.execute(HOLD, (entry, GONE, now, forget_at(claims, now), "[]")).rowcount == 1:
                for claim in claims:
                    change(connection, claim, settled=claim.amount)

    def raise_to(self, least: Sequence[Claim], *, now: float) -> int:
        """See `SettlingLedger`."""
        del now
        raised = 0
        with self._lock, self._file.writing() as connection:
            for claim in least:
                missing = max(claim.amount - _settled_in(connection, claim), 0)
                if missing:
                    change(connection, claim, settled=missing)
                raised += missing
        return raised

    def lower(self, excess: Sequence[Claim], seen: Sequence[int], *, now: float) -> int:
        """See `SettlingLedger`."""
        del now
        lowered = 0
        with self._lock, self._file.writing() as connection:
            for claim, settled in zip(excess, seen, strict=True):
                if _settled_in(connection, claim) == settled:
                    change(connection, claim, settled=-claim.amount)
                    lowered += claim.amount
        return lowered

    def rebuild(self, settled: Sequence[Claim], holds: Mapping[str, Sequence[Claim]], *, now: float, lease: float) -> bool:
        """See `SettlingLedger`. The file is made if it is not there; a damaged one is put aside."""
        with self._lock:
            if self._file.damaged:
                self._file.set_aside()
            self._file.make()
            with self._file.writing(whole=False) as connection:
                if not mark_whole(connection):
                    return False
                connection.execute("DELETE FROM cells")
                connection.execute("DELETE FROM holds")
                for claim in settled:
                    change(connection, claim, settled=claim.amount)
                for name, claims in holds.items():
                    connection.execute(HOLD, (name, REMADE, now + lease, forget_at(claims, now), claims_text(claims)))
                    for claim in claims:
                        change(connection, claim, held=claim.amount)
            return True

    def forget(self, *, now: float, most: int = 1000) -> int:
        """See `SettlingLedger`. The write-ahead log is kept short here too."""
        with self._lock, self._file.writing() as connection:
            deleted = sum(connection.execute(statement, (now, most)).rowcount for statement in (_FORGET_HOLDS, _FORGET_CELLS))
        if self._file.log_bytes > self._log_bytes:
            with self._lock:
                self._file.checkpoint()
        return deleted

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _cells(self, counters: Sequence[str]) -> list[tuple[str, int, int, int, int, int]]:
        with self._lock, self._file.reading() as connection:
            return [row for counter in counters for row in connection.execute(_CELLS, (counter,)).fetchall()]


def _complete(connection: sqlite3.Connection, hold: str, known: Sequence[Claim], claims: Sequence[Claim]) -> None:
    """Hold what the ledger that was made anew does not know of."""
    whole = [replace(claim, amount=max(claim.amount, before.amount)) for claim, before in zip(claims, known, strict=True)]
    for claim, before in zip(whole, known, strict=True):
        change(connection, claim, held=claim.amount - before.amount)
    connection.execute(_COMPLETE, (claims_text(whole), hold))


def _settled(connection: sqlite3.Connection, name: str, amounts: Sequence[int]) -> bool:
    """Settle one hold; return whether it is here."""
    found = connection.execute(FIND, (name,)).fetchone()
    if found is None or found[0] == GONE:
        return False
    _close(connection, name, found[0], claims_of(found[1]), amounts)
    return True


def _charged(connection: sqlite3.Connection, name: str, now: float) -> bool:
    """Charge one hold, if it is still late; return whether it was."""
    rows = connection.execute(_CHARGED, (name, now)).fetchall()
    for claim in claims_of(rows[0][0]) if rows else ():
        change(connection, claim, held=-claim.amount, charged=claim.amount)
    return bool(rows)


def _close(connection: sqlite3.Connection, name: str, state: int, claims: Sequence[Claim], actual: Sequence[int] | None) -> None:
    """Take a hold out; `actual` is what takes its place."""
    for place, claim in enumerate(claims):
        held, charged = (claim.amount, 0) if state <= REMADE else (0, claim.amount)
        change(connection, claim, settled=0 if actual is None else actual[place], held=-held, charged=-charged)
    connection.execute(REMOVE, (name,))


def _settled_in(connection: sqlite3.Connection, claim: Claim) -> int:
    rows = connection.execute("SELECT settled FROM cells WHERE counter = ? AND part = ?", (claim.counter, claim.part)).fetchall()
    return int(rows[0][0]) if rows else 0


def _checkpoint(path: Path) -> None:
    file = LedgerFile(path, patience=SETTLING_PATIENCE)
    try:
        file.checkpoint()
    except LedgerUnavailable:
        return  # somebody else does it
    finally:
        file.close()
