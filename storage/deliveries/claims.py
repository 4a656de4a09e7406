"""Taking what is due. Nothing here looks at more rows than it takes, however many are pending: each query is the beginning of an index.

A claim is an office's: it holds until the office has finished it, or is dead. On PostgreSQL any number of offices take side by side, each what no other has.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from storage.deliveries.rows import CLAIMED
from storage.deliveries.sql import by_index, changed, found, run_each

_COLUMNS = "number, size, batch, attempts, owed_at, options, otherwise"
_DUE = f"""SELECT {_COLUMNS} FROM deliveries INDEXED BY ix_deliveries_pending
    WHERE destination = ? AND state = 0 AND lane = ? AND ended_at IS NULL
    ORDER BY number LIMIT ? FOR UPDATE SKIP LOCKED"""  # noqa: S608 - constants
_WAITED = f"""SELECT {_COLUMNS} FROM deliveries INDEXED BY ix_deliveries_waiting
    WHERE destination = ? AND lane = ? AND state = 1 AND due <= ?
    ORDER BY due LIMIT ? FOR UPDATE SKIP LOCKED"""  # noqa: S608 - constants
_BATCH = f"""SELECT {_COLUMNS}, state FROM deliveries INDEXED BY ix_deliveries_batch
    WHERE destination = ? AND batch = ? AND batch IS NOT NULL AND ended_at IS NULL
    ORDER BY number FOR UPDATE"""  # noqa: S608 - constants
_CLAIM = """UPDATE deliveries SET state = 2, claimed_by = ?, batch = ? WHERE destination = ? AND number = ANY(?)"""
_TAKE_ONE = f"""UPDATE deliveries SET state = 2, claimed_by = ? WHERE destination = ? AND number = ? AND state < 2
    RETURNING lane, {_COLUMNS}"""  # noqa: S608 - constants
_FREE = "UPDATE deliveries SET state = 0, claimed_by = NULL, batch = ? WHERE destination = ? AND number = ? AND state = 2 AND claimed_by = ?"
_OWN = "SELECT batch, destination, number FROM deliveries INDEXED BY ix_deliveries_claimed WHERE state = 2 AND claimed_by = ?"
_LATEST = """SELECT due FROM deliveries INDEXED BY ix_deliveries_waiting
    WHERE destination = ? AND lane = ? AND state = 1 ORDER BY due DESC LIMIT 1"""
_EARLIEST = """SELECT due FROM deliveries INDEXED BY ix_deliveries_waiting
    WHERE destination = ? AND lane = ? AND state = 1 ORDER BY due LIMIT 1"""
# In an order, so that PostgreSQL does not begin to read the table in the hope of meeting one soon.
_ANY = """SELECT 1 FROM deliveries INDEXED BY ix_deliveries_pending
    WHERE destination = ? AND state = 0 AND lane = ? AND ended_at IS NULL ORDER BY number LIMIT 1"""
_CLAMP = """UPDATE deliveries SET due = ? WHERE destination = ? AND number = ANY(?)"""
_TOO_LATE = """SELECT number FROM deliveries INDEXED BY ix_deliveries_waiting
    WHERE destination = ? AND lane = ? AND state = 1 AND due > ?
    ORDER BY due DESC LIMIT 1000 FOR UPDATE SKIP LOCKED"""


class Candidate(NamedTuple):
    """A row that could be claimed."""

    number: int
    size: int
    batch: str | None
    attempts: int
    owed_at: int
    options: bytes | None
    otherwise: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be claimed. `most_bytes` is None where no bodies are loaded. `batch` is the name of a new batch, None where batches are not kept."""

    destination: str
    lane: int
    most: int
    most_bytes: int | None
    batch: str | None


def take(connection: Connection, wanted: Wanted, *, office: str, now: int, longest: int) -> list[Candidate]:
    """Claim what is due, in the order of numbers. `longest` is the longest time that anything can have been put off, in nanoseconds."""
    by_index(connection)
    if wanted.batch is not None and connection.dialect.name != "sqlite":
        # Two that skip what the other has locked would take half of a batch each.
        found(connection, "SELECT pg_advisory_xact_lock(hashtextextended(?, 6))", wanted.destination)
    clamp(connection, wanted.destination, wanted.lane, now + longest)
    rows = _due(connection, wanted, now)
    taken = _bounded(rows, wanted) if wanted.batch is None else _one_batch(connection, rows, wanted)
    if not taken:
        return []
    batch = None if wanted.batch is None else taken[0].batch or wanted.batch
    changed(connection, _CLAIM, office, batch, wanted.destination, [row.number for row in taken])
    return [row._replace(batch=batch) for row in taken]


def take_one(connection: Connection, destination: str, number: int, *, office: str) -> tuple[int, Candidate] | None:
    """Claim what is owed under a number, due or not, and return it with its lane; None where it is not pending, or claimed."""
    rows = found(connection, _TAKE_ONE, office, destination, number)
    return (rows[0][0], Candidate(*rows[0][1:])) if rows else None


def clamp(connection: Connection, destination: str, lane: int, latest: int) -> None:
    """Bring back what is put off beyond `latest`: the clock was ahead when that was written."""
    last = found(connection, _LATEST, destination, lane)
    if last and last[0][0] > latest:
        numbers = [row[0] for row in found(connection, _TOO_LATE, destination, lane, latest)]
        changed(connection, _CLAMP, latest, destination, numbers)


def _due(connection: Connection, wanted: Wanted, now: int) -> list[Candidate]:
    fresh = found(connection, _DUE, wanted.destination, wanted.lane, wanted.most)
    waited = found(connection, _WAITED, wanted.destination, wanted.lane, now, wanted.most)
    if not waited:
        return [Candidate(*row) for row in fresh]
    return sorted(Candidate(*row) for row in (*fresh, *waited))[: wanted.most]


def _one_batch(connection: Connection, rows: Sequence[Candidate], wanted: Wanted) -> list[Candidate]:
    """Return the batch that the first row belongs to, whole, or a new one. One that is being tried at this moment is passed by."""
    looked_at: set[str] = set()
    for row in rows:
        if row.batch is None:
            return _bounded([one for one in rows if one.batch is None], wanted)
        if row.batch not in looked_at:
            looked_at.add(row.batch)
            whole = found(connection, _BATCH, wanted.destination, row.batch)
            if all(state != CLAIMED for *_, state in whole):
                return [Candidate(*one[:-1]) for one in whole]
    return []


def _bounded(rows: Sequence[Candidate], wanted: Wanted) -> list[Candidate]:
    """Return as many of the first rows as may be taken at once; one at least, if there is one."""
    taken: list[Candidate] = []
    size = 0
    for row in rows:
        size += row.size
        if taken and wanted.most_bytes is not None and size > wanted.most_bytes:
            break
        taken.append(row)
    return taken


def put_back(connection: Connection, claims: Sequence[tuple[str | None, str, int]], *, office: str) -> None:
    """Give claims of this office back: batch, destination and number of each."""
    run_each(
        connection, _FREE, [(batch, destination, number, office) for batch, destination, number in sorted(claims, key=_place)]
    )


def _place(claim: tuple[str | None, str, int]) -> tuple[str, int]:
    return claim[1:]


def free_lost(connection: Connection, held: Collection[tuple[str, int]], *, office: str) -> None:
    """Free what this office has claimed and does not hold: the commit, or what came after it, failed."""
    rows = found(connection, _OWN, office)
    lost = [(batch, destination, number, office) for batch, destination, number in rows if (destination, number) not in held]
    run_each(connection, _FREE, lost)


def next_due(connection: Connection, destination: str, lane: int, *, now: int, longest: int) -> int | None:
    """Return when something will be due next."""
    by_index(connection)
    if found(connection, _ANY, destination, lane):
        return now
    rows = found(connection, _EARLIEST, destination, lane)
    value: Any = rows[0][0] if rows else None
    return None if value is None else max(now, min(value, now + longest))
