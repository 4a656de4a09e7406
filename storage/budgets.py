"""Budgets that were set through the API, what was added to limits for a time, and the warnings that were given.

A budget's id follows from its scope, unit and window. So setting it again changes its limit, and removing it and setting it again goes on with
what was spent, in the same counters of the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, text, update

from domain.budgets import Budget, LimitRaise, Scope, Unit, WindowRule
from storage.database import Database
from storage.span_rows import word
from storage.tables import BudgetRow, BudgetWarningRow, LimitRaiseRow, table_of

BUDGETS = table_of(BudgetRow)
RAISES = table_of(LimitRaiseRow)
WARNINGS = table_of(BudgetWarningRow)
_AT_ONCE = 500
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Budget).decode


@dataclass(frozen=True, slots=True)
class Raised:
    """Something that was added to a limit, why and when (Unix seconds)."""

    budget: str
    amount: int
    since: int
    until: int | None
    reason: str
    created_at: float


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    """A window of a budget came to `threshold` (in millionths of its limit). Amounts are in the budget's unit, `at` is Unix seconds.

    `member` is whose sum it is, where each member has one. `seq` counts warnings in the order they were given.
    """

    budget: str
    name: str
    member: str | None
    counter: str
    period: int
    threshold: int
    spent: int
    allowed: int
    unit: str
    at: float
    seq: int = 0


_WARNED = tuple(name for name in BudgetWarning.__slots__ if name != "seq")
_WARN = text(
    f"INSERT INTO budget_warnings ({', '.join(_WARNED)}) VALUES ({', '.join(f':{name}' for name in _WARNED)}) "  # noqa: S608 - constants
    "ON CONFLICT (counter, period, threshold) DO NOTHING RETURNING seq"
)


def budget_id(scope: Scope, window: WindowRule, unit: Unit) -> str:
    """Return the id of a budget in the store; it has no `|` and no `@`, which divide the names of counters."""
    return f"b-{blake2b(_encode([scope, window, unit]), digest_size=8).hexdigest()}"


class BudgetStore:
    """Budgets in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, budget: Budget, at: float) -> Budget:
        """Set a budget, in the place of the one with the same scope, unit and window, if there is one; return it with its id."""
        kept = replace(budget, id=budget_id(budget.scope, budget.window, budget.unit), origin="database", raises=())
        with self._database.writing() as connection:
            self._database.one_saves_at_a_time(connection)
            changed = connection.execute(update(BUDGETS).where(BUDGETS.c.id == kept.id).values(document=_encode(kept)))
            if not changed.rowcount:
                connection.execute(insert(BUDGETS).values(id=kept.id, created_at=at, document=_encode(kept)))
        return kept

    def remove(self, id_: str) -> bool:
        """Remove a budget and what was added to its limit; return whether there was one."""
        with self._database.writing() as connection:
            connection.execute(delete(RAISES).where(RAISES.c.budget == id_))
            return bool(connection.execute(delete(BUDGETS).where(BUDGETS.c.id == id_)).rowcount)

    def all(self) -> list[Budget]:
        """Return all budgets of the store, the oldest first, without raises."""
        statement = select(BUDGETS.c.document).order_by(BUDGETS.c.created_at, BUDGETS.c.id)
        with self._database.reading() as connection:
            return [_decode(document) for document in connection.execute(statement).scalars()]

    def raise_limit(self, raised: Raised) -> None:
        """Add to the limit of a budget, whoever defines it, for a time."""
        values = {name: getattr(raised, name) for name in Raised.__slots__}
        with self._database.writing() as connection:
            connection.execute(insert(RAISES).values(**values))

    def take_back(self, id_: str) -> int:
        """Forget all that was added to a budget's limit; return how many times that was."""
        with self._database.writing() as connection:
            return connection.execute(delete(RAISES).where(RAISES.c.budget == id_)).rowcount

    def raises(self) -> Mapping[str, Sequence[Raised]]:
        """Return what was added to limits, by budget, the oldest first."""
        found: dict[str, list[Raised]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(select(RAISES).order_by(RAISES.c.seq)):
                raised = Raised(*(getattr(row, name) for name in Raised.__slots__))
                found.setdefault(raised.budget, []).append(raised)
        return found

    def unwarned(self, warnings: Sequence[BudgetWarning]) -> list[BudgetWarning]:
        """Return the warnings that were not given before, by this office or another."""
        counters = sorted({warning.counter for warning in warnings})
        given: set[tuple[str, int, int]] = set()
        with self._database.reading() as connection:
            for some in range(0, len(counters), _AT_ONCE):
                among = WARNINGS.c.counter.in_(counters[some : some + _AT_ONCE])
                found = select(WARNINGS.c.counter, WARNINGS.c.period, WARNINGS.c.threshold).where(among)
                given.update((row.counter, row.period, row.threshold) for row in connection.execute(found))
        return [warning for warning in warnings if (warning.counter, warning.period, warning.threshold) not in given]

    def warn(self, warnings: Sequence[BudgetWarning]) -> list[BudgetWarning]:
        """Keep the warnings that were not given before, by this office or another, and return those."""
        given = []
        with self._database.writing() as connection:
            # Whoever goes by `seq` must not pass by one that is committed late.
            self._database.one_saves_at_a_time(connection)
            for warning in warnings:
                values = {name: getattr(warning, name) for name in _WARNED}
                seq = connection.execute(_WARN, values | {"name": word(warning.name)}).scalar()
                if seq is not None:
                    given.append(replace(warning, seq=seq))
        return given

    def warnings(self, budget: str | None = None, *, most: int = 100) -> list[BudgetWarning]:
        """Return the last warnings, of one budget or all, the newest first."""
        statement = select(WARNINGS).order_by(WARNINGS.c.seq.desc()).limit(most)
        if budget is not None:
            statement = statement.where(WARNINGS.c.budget == budget)
        with self._database.reading() as connection:
            return [_warning(row) for row in connection.execute(statement)]

    def warnings_after(self, place: int, *, most: int = 100) -> list[BudgetWarning]:
        """Return the next warnings after `place`, in the order they were given."""
        statement = select(WARNINGS).where(WARNINGS.c.seq > place).order_by(WARNINGS.c.seq).limit(most)
        with self._database.reading() as connection:
            return [_warning(row) for row in connection.execute(statement)]

    def last_warning(self) -> int:
        """Return the place of the warning that was given last; 0 if there is none."""
        with self._database.reading() as connection:
            return connection.execute(select(WARNINGS.c.seq).order_by(WARNINGS.c.seq.desc()).limit(1)).scalar() or 0


def with_raises(budget: Budget, raised: Sequence[Raised], now: float) -> Budget:
    """Return a budget with what was added to its limit, but for what is over."""
    kept = tuple(LimitRaise(one.amount, one.since, one.until) for one in raised if one.until is None or one.until > now)
    return replace(budget, raises=kept)


def _warning(row: Any) -> BudgetWarning:
    return BudgetWarning(**{name: getattr(row, name) for name in BudgetWarning.__slots__})
