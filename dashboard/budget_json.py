"""Budgets as JSON: what is allowed, spent and held, in the window that it is now."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from dashboard.budget_book import BudgetBook
from dashboard.times import NANOSECONDS
from domain.budget_text import limit_text, scope_text, usd_text, window_text
from domain.budgets import Budget, Unit, Window
from domain.ledger import LedgerUnavailable, Standing
from domain.spans import rfc3339
from domain.windows import counter_name, window_of
from storage.budgets import BudgetWarning, Raised
from storage.rollups import OTHER, SLOT
from storage.usage import UsageQuery, UsageStore

Standings = Callable[[Sequence[str]], Mapping[str, Standing]]
MOST_MEMBERS, MOST_WARNINGS = 500, 500
_MILLION = 1_000_000
_NO_SUMS = {"spent": None, "held": None, "remaining": None}


@dataclass(frozen=True, slots=True)
class Budgets:
    """What these answers are made from. `standings` asks the ledger; `keys` and `projects` name those that there are."""

    book: BudgetBook
    usage: UsageStore
    standings: Standings
    keys: Callable[[], Sequence[str]]
    projects: Callable[[], Sequence[str]]
    now: Callable[[], float] = time.time


def budget_json(budgets: Budgets, budget: Budget) -> dict[str, Any]:
    """Return a budget as JSON, with what is spent and held in its window; null where the ledger does not say, or each member has a sum."""
    now = budgets.now()
    window = window_of(budget.window, now)
    limit = budget.limit_at(window.start)
    shown: dict[str, Any] = {
        "id": budget.id,
        "name": budget.name,
        "scope": scope_text(budget.scope),
        "share": budget.scope.share,
        "unit": budget.unit,
        "limit": _amount(budget.limit, budget.unit),
        "effective_limit": _amount(limit, budget.unit),
        "window": window_text(budget.window),
        "timezone": budget.window.timezone,
        "anchor": budget.window.anchor,
        **_window_json(budget, window, now),
        "text": limit_text(budget),
        "mode": budget.mode,
        "warn_at": list(budget.warn_at),
        "unpriced": budget.unpriced if isinstance(budget.unpriced, str) else usd_text(budget.unpriced),
        "when_ledger_is_down": budget.when_ledger_is_down,
        "clamp": budget.clamp,
        "per_call_usd": None if budget.per_call is None else usd_text(budget.per_call),
        "status": budget.status,
        "origin": budget.origin,
        "locked": budget.origin != "database",
        "place": budgets.book.lines.get(budget.id),
    }
    return shown | _sums(budgets, budget, window, limit)


def _window_json(budget: Budget, window: Window, now: float) -> dict[str, Any]:
    if budget.window.kind == "rolling":
        return {"window_start": _time(now - budget.window.seconds), "window_end": None}
    if window.end is None:
        return {"window_start": None, "window_end": None}
    return {"window_start": _time(window.start), "window_end": _time(window.end)}


def _sums(budgets: Budgets, budget: Budget, window: Window, limit: int) -> dict[str, Any]:
    members: Sequence[str | None] = _members(budgets, budget, window) if budget.scope.share == "each" else [None]
    names = {member: counter_name(budget, member, window) for member in members}
    try:
        found = budgets.standings(list(names.values()))
    except LedgerUnavailable:
        return {"ledger": "away", **_NO_SUMS, "members": None}
    sums = {member: _standing_json(found.get(name, Standing(0, 0)), limit, budget.unit) for member, name in names.items()}
    if budget.scope.share == "total":
        return {"ledger": "ok", **sums[None], "members": None}
    # Only those that spend something are worth a line.
    listed = [{"member": member} | sums[member] for member, name in names.items() if name in found]
    return {"ledger": "ok", **_NO_SUMS, "members": listed}


def _standing_json(standing: Standing, limit: int, unit: Unit) -> dict[str, Any]:
    remaining = max(limit - standing.spent - standing.held, 0)
    return {"spent": _amount(standing.spent, unit), "held": _amount(standing.held, unit), "remaining": _amount(remaining, unit)}


def _members(budgets: Budgets, budget: Budget, window: Window) -> Sequence[str]:
    """Return the members that a budget has seen in its window, at most `MOST_MEMBERS`: those that spent most, where that is known."""
    kind = budget.scope.kind
    now = budgets.now()
    since = int(now) - budget.window.seconds if budget.window.kind == "rolling" else window.start
    if kind == "key":
        return budgets.keys()[:MOST_MEMBERS]
    if kind == "project":
        return budgets.projects()[:MOST_MEMBERS]
    if kind == "tag":
        return budgets.usage.tag_values(budget.scope.tag or "", since, most=MOST_MEMBERS)
    period = (max(since, 0) // SLOT * SLOT, int(now) + SLOT)
    [found] = budgets.usage.usage(UsageQuery(by=(kind,), most=MOST_MEMBERS), [period])
    return [name for (name,), _ in found.groups if name is not None and name != OTHER]


def raise_json(raised: Raised, unit: Unit) -> dict[str, Any]:
    """Return what was added to a limit as JSON."""
    return {
        "amount": _amount(raised.amount, unit),
        "from": _time(raised.since) if raised.since else None,
        "until": None if raised.until is None else _time(raised.until),
        "reason": raised.reason,
        "created_at": _time(raised.created_at),
    }


def warning_json(warning: BudgetWarning) -> dict[str, Any]:
    """Return a warning as JSON, for the API and the stream."""
    unit = cast("Unit", warning.unit)
    return {
        "budget": warning.budget,
        "name": warning.name,
        "member": warning.member,
        "threshold": warning.threshold / _MILLION,
        "spent": _amount(warning.spent, unit),
        "limit": _amount(warning.allowed, unit),
        "unit": unit,
        "at": _time(warning.at),
    }


def _amount(amount: int, unit: Unit) -> str | int:
    return usd_text(amount) if unit == "usd" else amount


def _time(seconds: float) -> str:
    return rfc3339(int(seconds * NANOSECONDS))
