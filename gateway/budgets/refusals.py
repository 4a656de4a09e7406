"""What a caller is told when a budget has no room for its call: which budget, what is spent and held, what this call may cost, and when that changes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

from domain.budget_text import amount_text, usd_text
from domain.budgets import Unit
from domain.errors import BudgetExceeded, BudgetInFlight, BudgetUnavailable, GatewayError
from domain.ledger import Standing
from gateway.budgets.in_force import Applied

LONGEST_WAIT_MS = 2000
HEADER, REMAINING, WARNING, CLAMPED = (
    "x-faregate-budget",
    "x-faregate-budget-remaining-usd",
    "x-faregate-budget-warning",
    "x-faregate-budget-clamped",
)
_SAFE = ":=*@/ ._-"


def refusal(  # noqa: PLR0913 - what the message says
    applied: Applied, standing: Standing, amount: int, *, own: int = 0, again: bool = True, wait_ms: int = 1000
) -> GatewayError:
    """Return the error for a call that may cost `amount` more and for which `applied` has no room.

    Where it would fit once the other running calls are settled, it may be tried again after `wait_ms`, unless its answer has begun (`again`).
    `own` is what it holds already.
    """
    budget, limit, spent, held = applied.budget, applied.limit, standing.spent, standing.held
    shown = [amount_text(value, budget.unit) for value in (limit, spent, held, amount)]
    facts = f"limit {shown[0]}, spent {shown[1]}, held {shown[2]}, this request up to {shown[3]}"
    header = (HEADER, header_text(applied, standing))
    # What is held may turn out to be spent whole; but most of it does not.
    if again and held > own and spent + own + amount <= limit:
        wait = min(max(wait_ms, 1), LONGEST_WAIT_MS)
        message = f"Budget {applied.name!r} has no room now: {facts}. Calls that are running hold the rest; try again shortly."
        return BudgetInFlight(message, headers=(header, ("retry-after-ms", str(wait))))
    message = f"Budget {applied.name!r} would be exceeded: {facts}. {_until(applied)} {_advice(budget.unit)}"
    return BudgetExceeded(message, status=budget.status, headers=(header,))


def too_dear(applied: Applied, amount: int) -> GatewayError:
    """Return the error for a call that may cost more than one call may."""
    most = applied.budget.per_call or 0
    message = (
        f"This request may cost up to {amount_text(amount, 'usd')}, and budget {applied.name!r} allows {amount_text(most, 'usd')} "
        "for one call. Lower max_tokens or raise `per_call_usd`."
    )
    return BudgetExceeded(message, status=applied.budget.status)


def not_bounded(applied: Applied, why: str, *, unpriced: bool, model: str | None) -> GatewayError:
    """Return the error for a call whose cost nothing bounds, under a budget that lets no such call pass."""
    what = f"model {model!r}" if model else "this call"
    advice = (
        "Set a price for it (`[[prices]]`, or `faregate prices set`), or `unpriced` of the budget to an amount that is held instead."
        if unpriced
        else "Bound it in the request, or set `unpriced` of the budget to an amount that is held instead."
    )
    message = f"Budget {applied.name!r} cannot hold what {what} may cost: {why}. {advice}"
    return BudgetExceeded(message, status=applied.budget.status)


def unavailable(applied: Applied) -> GatewayError:
    """Return the error for when nobody knows what is spent."""
    message = f"What was spent of budget {applied.name!r} is not known now: the ledger does not answer. Try again."
    return BudgetUnavailable(message, headers=(("retry-after-ms", str(LONGEST_WAIT_MS)),))


def header_text(applied: Applied, standing: Standing) -> str:
    """Return a budget's standing as our header shows it."""
    budget, end = applied.budget, applied.window.end
    resets = (
        "never"
        if budget.window.kind == "total"
        else "rolling"
        if budget.window.kind == "rolling"
        else _time(end, "%Y-%m-%dT%H:%M:%SZ")
    )
    values = [_plain(value, budget.unit) for value in (applied.limit, standing.spent, standing.held)]
    return f"{quote(applied.name, safe=_SAFE)};limit={values[0]};spent={values[1]};held={values[2]};resets={resets}"


def passes_one(applied: Applied, standing: Standing) -> bool:
    """Return whether a threshold may be passed, or the limit of a soft budget."""
    if applied.warns_from is not None and standing.spent >= applied.warns_from:
        return True
    return applied.budget.mode == "soft" and standing.spent + standing.held > applied.limit


def warning_text(standings: Iterable[tuple[Applied, Standing]]) -> str:
    """Return which thresholds are passed, as our header shows it; empty where none is."""
    passed = []
    for applied, standing in standings:
        limit = applied.limit
        reached = [share for share in applied.budget.warn_at if limit and standing.spent >= share * limit]
        if applied.budget.mode == "soft" and standing.spent + standing.held > limit:
            reached.append(1.0)
        if reached:
            passed.append(f"{header_text(applied, standing)};passed={max(reached):g}")
    return ", ".join(passed)


def _plain(amount: int, unit: Unit) -> str:
    return usd_text(amount) if unit == "usd" else str(amount)


def _until(applied: Applied) -> str:
    kind = applied.budget.window.kind
    if kind == "total" or applied.window.end is None:
        return "It never resets."
    if kind == "rolling":
        return "What is spent falls out of it bit by bit."
    return f"Resets {_time(applied.window.end, '%Y-%m-%dT%H:%MZ')}."


def _advice(unit: Unit) -> str:
    return "Raise the budget." if unit == "requests" else "Lower max_tokens or raise the budget."


def _time(at: int | None, form: str) -> str:
    return datetime.fromtimestamp(at or 0, UTC).strftime(form)
