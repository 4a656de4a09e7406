"""Holds that are decided together: all that were wanted in one turn of the event loop, within somebody's transaction."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.ledger import Claim, Held, LedgerUnavailable, Refused, Standing
from storage.ledger.sqlite_rows import ADD_HELD, FIND, GONE, HOLD, REMOVE, change, claims_of, live

log = logging.getLogger(__name__)


class Waiter(Protocol):
    """What a hold waits for: an asyncio future, or what is cheaper."""

    def done(self) -> bool:
        """Return whether it is over."""

    def set_result(self, result: None, /) -> None:
        """Let whoever waits go on."""

    def __await__(self) -> Any: ...


@dataclass(slots=True)
class Wanted:
    """A hold that waits for the end of the loop's turn: its row, its claims, and what was decided."""

    row: tuple[Any, ...]
    claims: Sequence[Claim]
    decided: Waiter
    answer: Held | Refused | LedgerUnavailable | None = None


class _OneByOne(Exception):
    """These holds cannot be decided together."""


@dataclass(slots=True)
class _Sum:
    """What a counter holds while several holds are decided: as it was read, with what they add. `claim` is the first on it."""

    claim: Claim
    spent: int
    held: int
    more: int = 0

    def add(self, amount: int) -> None:
        self.held += amount
        self.more += amount


def decide(connection: sqlite3.Connection, wanted: Sequence[Wanted]) -> None:
    """Hold what fits, in the order in which it was wanted."""
    if len(wanted) > 1:
        connection.execute("SAVEPOINT together")
        try:
            _decide_together(connection, wanted)
        except _OneByOne:
            connection.execute("ROLLBACK TO together")
        else:
            return
    for one in wanted:
        one.answer = _decided(connection, one)


def _decide_together(connection: sqlite3.Connection, wanted: Sequence[Wanted]) -> None:
    """Decide on several holds with one look at each counter, and one change of it.

    Raises:
        _OneByOne: one of them is there already, or they count in different parts of a rolling window.
    """
    sums: dict[str, _Sum] = {}
    for one in wanted:
        one.answer = _added(connection, sums, one.claims)
    rows = [one.row for one in wanted if isinstance(one.answer, Held)]
    if rows and connection.executemany(HOLD, rows).rowcount != len(rows):
        raise _OneByOne
    if len(rows) < len(wanted) and any(_is_there(connection, one) for one in wanted if isinstance(one.answer, Refused)):
        raise _OneByOne
    for found in sums.values():
        if found.more:
            claim = found.claim
            connection.execute(ADD_HELD, (claim.counter, claim.part, found.more, claim.rolling, claim.forget_at))


def _is_there(connection: sqlite3.Connection, wanted: Wanted) -> bool:
    return connection.execute(FIND, wanted.row[:1]).fetchone() is not None


def _added(connection: sqlite3.Connection, sums: dict[str, _Sum], claims: Sequence[Claim]) -> Held | Refused:
    """Add the claims of one hold to the sums of their counters, all or none."""
    standings: list[Standing] = []
    for place, claim in enumerate(claims):
        found = sums.get(claim.counter)
        if found is None:
            standing = live(connection, claim)
            found = sums[claim.counter] = _Sum(claim, standing.spent, standing.held)
        elif found.claim.part != claim.part:
            raise _OneByOne
        found.add(claim.amount)
        if claim.limit is not None and found.spent + found.held > claim.limit:
            for undone in claims[: place + 1]:
                sums[undone.counter].add(-undone.amount)
            return Refused(claim, Standing(found.spent, found.held))
        standings.append(Standing(found.spent, found.held))
    return Held(tuple(standings))


def _decided(connection: sqlite3.Connection, wanted: Wanted) -> Held | Refused | LedgerUnavailable:
    """Hold one, or leave everything as it was: the holds beside it are in the same transaction."""
    row, claims = wanted.row, wanted.claims
    if connection.execute(HOLD, row).rowcount != 1:
        state, text = connection.execute(FIND, row[:1]).fetchone()
        if state == GONE:
            return LedgerUnavailable("this hold was released before it was made")
        return Held(tuple(live(connection, claim) for claim in claims_of(text)))
    standings: list[Standing] = []
    for place, claim in enumerate(claims):
        standing = change(connection, claim, held=claim.amount)
        standings.append(standing)
        if claim.limit is not None and standing.spent + standing.held > claim.limit:
            for undone in claims[: place + 1]:
                before = change(connection, undone, held=-undone.amount)
            connection.execute(REMOVE, row[:1])
            return Refused(claim, before)
    return Held(tuple(standings))


def meaning_of(error: Exception) -> LedgerUnavailable:
    """Return what an error means to those that wait: each budget says what follows."""
    if isinstance(error, LedgerUnavailable):
        return error
    log.error("holds could not be decided on", exc_info=error)
    return LedgerUnavailable(f"it failed ({type(error).__name__})")


def tell(wanted: Sequence[Wanted], error: LedgerUnavailable | None = None) -> None:
    """Let those that wait go on. Nobody may be held up by what another one does then."""
    for one in wanted:
        if error is not None:
            one.answer = error
        if not one.decided.done():
            one.decided.set_result(None)
