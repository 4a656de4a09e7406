"""How deliveries stand, by destination: totals that are written in the transactions that change deliveries, so that nothing ever counts millions of rows.

Accepted is delivered, pending and dead together, always. What counts as what:

- Each time something is owed is an acceptance: with the span, as an event, or by a replay of what was delivered before.
- A dead delivery stays dead in the totals when its row is deleted (for its age, with its call, by hand); `gone` counts those. One that
  is tried again is pending again, and no new acceptance.
- A pending delivery that is discarded, or whose call is erased, is dead.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from storage.deliveries.rows import DEAD
from storage.deliveries.sql import found, run_each

_ADD = """INSERT INTO delivery_totals (destination, accepted, delivered, dead, gone, refused) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (destination) DO UPDATE SET accepted = delivery_totals.accepted + excluded.accepted,
    delivered = delivery_totals.delivered + excluded.delivered, dead = delivery_totals.dead + excluded.dead,
    gone = delivery_totals.gone + excluded.gone, refused = delivery_totals.refused + excluded.refused"""


@dataclass(slots=True)
class Totals:
    """What became of all that was ever owed to a destination, or how much that is to change."""

    accepted: int = 0
    delivered: int = 0
    dead: int = 0
    gone: int = 0
    refused: int = 0

    @property
    def pending(self) -> int:
        """What is neither delivered nor dead."""
        return self.accepted - self.delivered - self.dead


class Changes:
    """Collects how totals change in one transaction."""

    def __init__(self) -> None:
        self._by_name: dict[str, Totals] = {}

    def of(self, destination: str) -> Totals:
        """Return what changes for a destination, to be added to."""
        return self._by_name.setdefault(destination, Totals())

    def write(self, connection: Connection) -> None:
        """Write the changes down. Last in a transaction, and in one order, so that nobody waits for long and no two for each other."""
        rows = [(name, one.accepted, one.delivered, one.dead, one.gone, one.refused) for name, one in self._by_name.items()]
        run_each(connection, _ADD, sorted(row for row in rows if any(row[1:])))


def accept(connection: Connection, destinations: Iterable[str]) -> None:
    """Count one acceptance for each of `destinations`."""
    changes = Changes()
    for name, count in Counter(destinations).items():
        changes.of(name).accepted = count
    changes.write(connection)


def totals(connection: Connection) -> dict[str, Totals]:
    """Return the totals of all destinations that anything was ever owed to."""
    rows = found(
        connection, "SELECT destination, accepted, delivered, dead, gone, refused FROM delivery_totals ORDER BY destination"
    )
    return {name: Totals(*numbers) for name, *numbers in rows}


def discrepancies(connection: Connection) -> list[str]:
    """Return a sentence for each total that is not what the rows say; none, if all is well. This counts what is pending and dead, so it takes a while.

    The connection must see one moment: on PostgreSQL, a transaction of isolation level REPEATABLE READ.
    """
    counted: Mapping[str, Counter[int]] = _counted(connection)
    noted = totals(connection)
    wrong: list[str] = []
    for name in sorted(noted.keys() | counted.keys()):
        one, rows = noted.get(name, Totals()), counted.get(name, Counter())
        pending, dead = rows.total() - rows[DEAD], rows[DEAD]
        if one.accepted != one.delivered + pending + one.dead:
            wrong.append(f"{name}: accepted {one.accepted}, but delivered {one.delivered} + pending {pending} + dead {one.dead}")
        if one.dead - one.gone != dead:
            wrong.append(f"{name}: dead {one.dead}, of them deleted {one.gone}, but there are {dead}")
    return wrong


def _counted(connection: Connection) -> dict[str, Counter[int]]:
    counted: dict[str, Counter[int]] = {}
    for index, condition in (("pending", "ended_at IS NULL"), ("dead", "state = 4")):
        statement = f"""SELECT destination, state, COUNT(*) FROM deliveries INDEXED BY ix_deliveries_{index}
            WHERE {condition} GROUP BY destination, state"""  # noqa: S608 - constants
        for name, state, count in found(connection, statement):
            counted.setdefault(name, Counter())[state] += count
    return counted
