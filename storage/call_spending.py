"""What each call has spent of the counters that it was held on, where that follows its price: a later price takes the place of what was counted first.

A call whose cost was unknown has spent its hold, one that was cut an estimate, one that was priced again its last price: what that was is kept here for
each counter. So pricing it again moves the counter from there to the new price, once, however often it is done. The rows go with the call.

A counter whose window is over is moved too for as long as its sum is kept (see `spending.KEEP`), so that what is shown of that window stays the sum of
its calls; a sum that was forgotten is nobody's any more, and is not made again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, select

from domain.holds import Owed
from storage.driver import in_words_of, run_many
from storage.queries import CALLS
from storage.tables import CallSpendingRow, table_of

OWN: Table = table_of(CallSpendingRow)
_STEP = 400
_INSERT = (
    "INSERT INTO call_spending (call_id, place, counter, part, amount, beside) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_MOVE_WAITING = "UPDATE unsettled SET amount = ?, at_hold = ? WHERE call_id = ? AND place = ?"
_MOVE_SUM = """UPDATE spending SET amount = CASE WHEN amount + ? < 0 THEN 0 ELSE amount + ? END WHERE counter = ? AND part = ?"""
_MOVE_OWN = "UPDATE call_spending SET amount = ? WHERE call_id = ? AND place = ?"


def note_own(connection: Connection, owed: Mapping[str, Sequence[Owed]]) -> None:
    """Keep what new calls have spent, by their ids. Belongs to the transaction that saves them."""
    rows = [
        (call, place, one.claim.counter, one.claim.part, one.amount, one.beside)
        for call, all_ in owed.items()
        for place, one in enumerate(all_)
        if one.priced
    ]
    run_many(connection, in_words_of(connection, _INSERT), rows)


def follow_prices(connection: Connection, prices: Mapping[str, int]) -> None:
    """Let counters follow the calls that cost something else from now on: nano-USD, by their ids.

    Belongs to the transaction that writes the new costs. What was settled follows in the ledger when it is next compared with the store.
    """
    moved = [(row, prices[row.call_id] + row.beside) for row in _own(connection, list(prices))]
    moved = [(row, amount) for row, amount in moved if amount != row.amount]
    # Waiting rows first, as whoever corrects them does: two who took them in another order could wait for each other.
    waiting = sorted((amount, False, row.call_id, row.place) for row, amount in moved)
    run_many(connection, in_words_of(connection, _MOVE_WAITING), sorted(waiting, key=lambda one: one[2:]))
    sums = [(amount - row.amount, amount - row.amount, row.counter, row.part) for row, amount in moved]
    run_many(connection, in_words_of(connection, _MOVE_SUM), sorted(sums, key=lambda one: one[2:]))
    run_many(connection, in_words_of(connection, _MOVE_OWN), [(amount, row.call_id, row.place) for row, amount in moved])


def correct_own(connection: Connection, call: str, place: int, amount: int) -> None:
    """Keep that a call has spent another amount than was noted first."""
    run_many(connection, in_words_of(connection, _MOVE_OWN), [(amount, call, place)])


def forget_own(connection: Connection, numbers: Sequence[int]) -> None:
    """Forget what the calls with these numbers have spent, which are about to be deleted: their counters keep it."""
    if numbers:
        calls = select(CALLS.c.id).where(CALLS.c.seq.in_(numbers))
        connection.execute(delete(OWN).where(OWN.c.call_id.in_(calls)))


def _own(connection: Connection, calls: Sequence[str]) -> Iterator[Row[Any]]:
    for start in range(0, len(calls), _STEP):
        yield from connection.execute(select(OWN).where(OWN.c.call_id.in_(calls[start : start + _STEP])))
