"""Budgets, and what was spent of them."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field

from storage.tables.base import BIG, StoredRow


class BudgetRow(StoredRow, table=True):
    """A budget that was set through the API: `document` is the `Budget` as JSON."""

    __tablename__ = "budgets"

    id: str = Field(primary_key=True)
    created_at: float
    document: bytes = Field(sa_type=LargeBinary)


class LimitRaiseRow(StoredRow, table=True):
    """So much more for some windows of a budget, the settings' budgets too. `since` and `until` are Unix seconds, about the starts of windows."""

    __tablename__ = "budget_raises"
    __table_args__ = (Index("ix_budget_raises_budget", "budget"), {"sqlite_autoincrement": True})

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    budget: str
    amount: int = Field(sa_type=BigInteger)
    since: int = Field(sa_type=BigInteger)
    until: int | None = Field(sa_type=BigInteger)
    reason: str
    created_at: float


class BudgetWarningRow(StoredRow, table=True):
    """A budget came to a share of its limit, told once for each window: `period` tells the windows of one rolling counter apart."""

    __tablename__ = "budget_warnings"
    __table_args__ = (
        UniqueConstraint("counter", "period", "threshold"),
        Index("ix_budget_warnings_budget", "budget", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    budget: str
    name: str
    member: str | None
    counter: str
    period: int = Field(sa_type=BigInteger)
    threshold: int = Field(sa_type=BigInteger)
    spent: int = Field(sa_type=BigInteger)
    allowed: int = Field(sa_type=BigInteger)
    unit: str
    at: float


class SpendingRow(StoredRow, table=True):
    """What saved calls have spent in one part of one counter (see `domain.ledger`), those included that the ledger has not settled yet."""

    __tablename__ = "spending"
    __table_args__ = (Index("ix_spending_forget_at", "forget_at"),)

    counter: str = Field(primary_key=True)
    part: int = Field(sa_type=BigInteger, primary_key=True)
    amount: int = Field(sa_type=BigInteger)
    rolling: int = Field(sa_type=BigInteger)
    forget_at: int | None = Field(sa_type=BigInteger)


class UnsettledRow(StoredRow, table=True):
    """One claim of the hold of a saved call that the ledger has not settled yet, with its true amount. `at_hold`: nobody knows it, it is what is held.

    `call_id` is the call's, where a later price of it may change the amount.
    """

    __tablename__ = "unsettled"

    hold: str = Field(primary_key=True)
    place: int = Field(primary_key=True)
    counter: str
    part: int = Field(sa_type=BigInteger)
    amount: int = Field(sa_type=BigInteger)
    at_hold: bool
    call_id: str | None


class CallSpendingRow(StoredRow, table=True):
    """What one call has spent of one counter, where that follows its price (see `call_spending`). `beside` of it does not: tries that were never answered."""

    __tablename__ = "call_spending"
    __table_args__ = ({"sqlite_with_rowid": False},)

    call_id: str = Field(primary_key=True)
    place: int = Field(primary_key=True)
    counter: str
    part: int = Field(sa_type=BigInteger)
    amount: int = Field(sa_type=BigInteger)
    beside: int = Field(sa_type=BigInteger)
