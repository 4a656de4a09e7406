"""What saved calls have spent in the windows of budgets: the truth that the ledger is settled with, compared with and made anew from.

It is added up in the transaction that saves a call, so the sum of a window is the sum of the calls in it, each once, whatever becomes of the
ledger; deleting a call for its age gives no money back. What the ledger has not settled yet waits in `unsettled`, written in the same transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from domain.holds import Owed, Settlement
from domain.ledger import Claim
from storage.call_spending import correct_own, note_own
from storage.database import Database
from storage.driver import in_words_of, rows_of, run_many
from storage.tables import SpendingRow, UnsettledRow, table_of

SPENDING = table_of(SpendingRow)
UNSETTLED = table_of(UnsettledRow)
_WAIT = """INSERT INTO unsettled (hold, place, counter, part, amount, at_hold, call_id) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""
# How long after its counter is forgotten in the ledger a sum is still kept.
KEEP = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The hold of a saved call that the ledger has not settled: the true amounts, in the order of its claims, and the counters they are on."""

    hold: str
    amounts: tuple[int, ...]
    at_hold: tuple[bool, ...]
    counters: tuple[str, ...]


def owe(connection: Connection, settlements: Mapping[str, Settlement], *, free: Iterable[str] = ()) -> None:
    """Add what new calls cost to their counters, and let the ledger be settled with it. Belongs to the transaction that saves them.

    `free` are those of the calls that turned out to have cost no money: what they read was charged to another call.
    """
    if not settlements:
        return
    unpaid = frozenset(free)
    owed = {
        call: [_without_money(one) if call in unpaid else one for one in settlement.owed]
        for call, settlement in settlements.items()
    }
    _add(connection, [one for all_ in owed.values() for one in all_])
    rows = [
        (settlements[call].hold, place, one.claim.counter, one.claim.part, one.amount, one.at_hold, call if one.priced else None)
        for call, all_ in owed.items()
        for place, one in enumerate(all_)
    ]
    run_many(connection, in_words_of(connection, _WAIT), rows)
    note_own(connection, owed)


def _without_money(owed: Owed) -> Owed:
    return Owed(owed.claim, 0) if owed.claim.unit == "usd" else owed


def _add(connection: Connection, owed: Iterable[Owed]) -> None:
    """Add to counters, each once, in one order, so that two who do so at once do not wait for each other."""
    sums: dict[tuple[str, int], list[Any]] = {}
    for one in owed:
        claim = one.claim
        row = sums.setdefault((claim.counter, claim.part), [claim.counter, claim.part, 0, claim.rolling, claim.forget_at])
        row[2] += one.amount
    statement = """INSERT INTO spending (counter, part, amount, rolling, forget_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (counter, part) DO UPDATE SET amount = spending.amount + excluded.amount"""
    run_many(connection, in_words_of(connection, statement), [tuple(sums[key]) for key in sorted(sums)])


class Spending:
    """The sums in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unsettled(self, most: int = 200) -> list[Unsettled]:
        """Return some holds that the ledger has not settled, the oldest first, as far as their ids tell."""
        ids = select(UNSETTLED.c.hold).distinct().order_by(UNSETTLED.c.hold).limit(most)
        rows_wanted = select(UNSETTLED).where(UNSETTLED.c.hold.in_(ids)).order_by(UNSETTLED.c.hold, UNSETTLED.c.place)
        with self._database.reading() as connection:
            rows = connection.execute(rows_wanted).all()
        holds: dict[str, list[Row[Any]]] = {}
        for row in rows:
            holds.setdefault(row.hold, []).append(row)
        return [
            Unsettled(
                hold,
                tuple(row.amount for row in own),
                tuple(bool(row.at_hold) for row in own),
                tuple(row.counter for row in own),
            )
            for hold, own in holds.items()
        ]

    def settled(self, holds: Sequence[str]) -> None:
        """Forget that these holds wait: the ledger has settled them."""
        if not holds:
            return
        with self._database.writing() as connection:
            if connection.dialect.name == "sqlite":
                statement = "DELETE FROM unsettled WHERE hold IN (SELECT value FROM json_each(?))"
                rows_of(connection, statement, (json.dumps(list(holds)),))
            else:
                connection.execute(delete(UNSETTLED).where(UNSETTLED.c.hold.in_(holds)))

    def correct(self, hold: str, amounts: Sequence[int]) -> None:
        """Put other amounts in the place of those that a hold waits with, where nobody knows them yet; nothing happens if it waits no more."""
        own = select(UNSETTLED).where(UNSETTLED.c.hold == hold, UNSETTLED.c.at_hold)
        with self._database.writing() as connection:
            # In the order of `_add`, so that two who do so at once do not wait for each other.
            for row in sorted(connection.execute(own.with_for_update()).all(), key=lambda row: (row.counter, row.part)):
                more = amounts[row.place] - row.amount
                at = (SPENDING.c.counter == row.counter) & (SPENDING.c.part == row.part)
                connection.execute(update(SPENDING).where(at).values(amount=SPENDING.c.amount + more))
                this = (UNSETTLED.c.hold == hold) & (UNSETTLED.c.place == row.place)
                connection.execute(update(UNSETTLED).where(this).values(amount=amounts[row.place]))
                if row.call_id is not None:
                    correct_own(connection, row.call_id, row.place, amounts[row.place])

    def sums(self, counters: Sequence[str] | None = None) -> list[Claim]:
        """Return what is spent on these counters, or on all, part by part; what the ledger has not settled included."""
        return [claim for claim, _ in self.sums_and_waiting(counters)]

    def settled_sums(self, counters: Sequence[str] | None = None) -> list[Claim]:
        """Return what of it the ledger must know by now: without what it has not settled yet."""
        return [replace(claim, amount=claim.amount - waiting) for claim, waiting in self.sums_and_waiting(counters)]

    def sums_and_waiting(self, counters: Sequence[str] | None = None) -> list[tuple[Claim, int]]:
        """Return what is spent, part by part, each with what of it waits to be settled. Both are of one moment."""
        waiting = (
            select(UNSETTLED.c.counter, UNSETTLED.c.part, func.sum(UNSETTLED.c.amount).label("amount"))
            .group_by(UNSETTLED.c.counter, UNSETTLED.c.part)
            .subquery()
        )
        joined = SPENDING.outerjoin(waiting, (SPENDING.c.counter == waiting.c.counter) & (SPENDING.c.part == waiting.c.part))
        statement = select(SPENDING, func.coalesce(waiting.c.amount, 0).label("waiting")).select_from(joined)
        if counters is not None:
            statement = statement.where(SPENDING.c.counter.in_(counters))
        with self._database.reading() as connection:
            rows = connection.execute(statement.order_by(SPENDING.c.counter, SPENDING.c.part)).all()
        return [(Claim(row.counter, row.amount, None, row.forget_at, row.rolling, row.part), int(row.waiting)) for row in rows]

    def forget(self, *, now: float, most: int = 1000) -> int:
        """Delete the sums of windows that are long over; return how many."""
        old = select(SPENDING.c.counter, SPENDING.c.part).where(SPENDING.c.forget_at < int(now) - KEEP).limit(most)
        with self._database.reading() as connection:
            keys = connection.execute(old).all()
        if not keys:
            return 0
        with self._database.writing() as connection:
            for counter, part in keys:
                connection.execute(delete(SPENDING).where(SPENDING.c.counter == counter, SPENDING.c.part == part))
        return len(keys)
