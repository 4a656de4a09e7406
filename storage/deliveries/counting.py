"""How deliveries stand, for people and metrics."""

from sqlalchemy import Connection

from domain.deliveries import Counts
from storage.deliveries.rows import CLAIMED
from storage.deliveries.sql import by_index, found
from storage.deliveries.totals import Totals, totals

# The first pending one of each kind: events are before the calls, and each state has its own part of the index.
_FIRST = """SELECT owed_at FROM deliveries INDEXED BY ix_deliveries_pending
    WHERE destination = ? AND state = ? AND lane = ? AND ended_at IS NULL AND number >= ?
    ORDER BY number LIMIT 1"""
# In an order, so that PostgreSQL does not read the table from its beginning.
_UP_TO = """SELECT COUNT(*) FROM (SELECT 1 FROM deliveries INDEXED BY ix_deliveries_pending
    WHERE destination = ? AND state = ? AND lane = ? AND ended_at IS NULL
    ORDER BY number LIMIT ?) AS counted"""
# Who probes a destination takes what is at the head.
_TRIED = """SELECT tried_at FROM deliveries INDEXED BY ix_deliveries_pending
    WHERE destination = ? AND state = ? AND lane = ? AND ended_at IS NULL
    ORDER BY number LIMIT 100"""
_STATES, _LANES, _FROM = (0, 1, 2), (0, 1), (-(2**63), 0)


def counts(connection: Connection) -> dict[str, Counts]:
    """Return how each destination's deliveries stand. Nothing is counted for it: the totals are kept, and the oldest is at the head of an index."""
    by_index(connection)
    return {name: _counts(connection, name, one) for name, one in totals(connection).items()}


def _counts(connection: Connection, name: str, one: Totals) -> Counts:
    oldest = _oldest(connection, name) if one.pending else None
    return Counts(one.accepted, one.delivered, one.pending, one.dead, one.refused, oldest, one.gone)


def _oldest(connection: Connection, name: str) -> int | None:
    """Return when the oldest pending delivery was owed: what is owed later has a higher number, but for replays."""
    heads = [
        row[0]
        for state in _STATES
        for lane in _LANES
        for first in _FROM
        for row in found(connection, _FIRST, name, state, lane, first)
    ]
    return min(heads, default=None)


def tried_since(connection: Connection, name: str, since: int) -> bool:
    """Return whether some office tries what waits for a destination: one of the first of it was tried after `since`, or is being tried."""
    by_index(connection)
    tried = [(state, row[0]) for state in _STATES for lane in _LANES for row in found(connection, _TRIED, name, state, lane)]
    return any(state == CLAIMED or (at is not None and at > since) for state, at in tried)


def waiting(connection: Connection, name: str, lane: int, most: int) -> int:
    """Return how many deliveries of a lane are pending; no more than `most` are counted."""
    by_index(connection)
    count = 0
    for state in _STATES:
        count += found(connection, _UP_TO, name, state, lane, most - count)[0][0]
    return count
