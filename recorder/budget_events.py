"""Warnings of budgets as events: `budget.warning` for a share of a limit, `budget.exceeded` for the whole of it."""

from hashlib import blake2b
from typing import cast

from domain.budget_text import amount_text, usd_text
from domain.budgets import Unit
from domain.events import Event
from storage.budgets import BudgetWarning

MILLION = 1_000_000
NANOSECONDS = 10**9


def event_of(warning: BudgetWarning) -> Event:
    """Return a warning as an event. Its id follows from the budget's window and the share, so that it is the same whoever notices it."""
    exceeded = warning.threshold >= MILLION
    unit = cast("Unit", warning.unit)
    name = warning.name or warning.budget
    who = name if warning.member is None else f"{name}, {warning.member}"
    spent, allowed = (amount_text(amount, unit) for amount in (warning.spent, warning.allowed))
    come = "is used up" if exceeded else f"has come to {warning.threshold * 100 / MILLION:.4g} % of its limit"
    return Event(
        id=blake2b(f"{warning.counter}\n{warning.period}\n{warning.threshold}".encode(), digest_size=16).hexdigest(),
        type="budget.exceeded" if exceeded else "budget.warning",
        at=int(warning.at * NANOSECONDS),
        severity="error" if exceeded else "warning",
        subject=name,
        message=f"The budget {who} {come}: {spent} of {allowed} spent.",
        data={
            "budget": warning.budget,
            "name": name,
            "member": warning.member,
            "threshold": warning.threshold / MILLION,
            "spent": _amount(warning.spent, unit),
            "limit": _amount(warning.allowed, unit),
            "unit": unit,
        },
    )


def _amount(amount: int, unit: Unit) -> str | int:
    return usd_text(amount) if unit == "usd" else amount
