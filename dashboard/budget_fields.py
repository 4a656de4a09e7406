"""The fields of a budget that somebody wants set, checked one by one, so that what is wrong is said in a sentence."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from dashboard.problems import Problem
from dashboard.queries import flag
from domain.budget_text import MOST_COUNT, scope_of, usd_nano, window_rule_of
from domain.budgets import Budget, LedgerDown, Mode, Unit
from domain.windows import zone_of

LIMITS: Mapping[str, Unit] = {"limit_usd": "usd", "limit_tokens": "tokens", "limit_requests": "requests"}
FIELDS = (
    "scope",
    *LIMITS,
    "window",
    "timezone",
    "anchor",
    "mode",
    "warn_at",
    "unpriced",
    "when_ledger_is_down",
    "clamp",
    "per_call_usd",
    "status",
)
MOST_SHARES = 20
_STATUSES = (429, 402)
_LAST_ANCHOR = {"week": 7, "month": 31, "quarter": 31}


def asked_budget(body: Mapping[str, Any]) -> Budget:
    """Return the budget that a body describes.

    Raises:
        Problem: a field is missing, or not what it must be.

    """
    named = [name for name in LIMITS if name in body]
    if len(named) != 1:
        raise Problem(400, f"One of {', '.join(LIMITS)} is needed.", parameter="limit_usd")
    name = named[0]
    unit = LIMITS[name]
    anchor = whole_number(body, "anchor", 1, 31) if "anchor" in body else 1
    rule = _read(
        "window", lambda: window_rule_of(_text(body, "window", "month"), timezone=_text(body, "timezone", "UTC"), anchor=anchor)
    )
    _read("timezone", lambda: zone_of(rule.timezone))
    if anchor > _LAST_ANCHOR.get(rule.kind, 1):
        message = "`anchor` is the day that a week (1 to 7), a month or a quarter (1 to 31) begins on; other windows have none."
        raise Problem(400, message, parameter="anchor")
    return Budget(
        id="",
        scope=_read("scope", lambda: scope_of(_text(body, "scope"))),
        limit=money(body, name) if unit == "usd" else whole_number(body, name, 0, MOST_COUNT),
        window=rule,
        unit=unit,
        mode=_one_of(body, "mode", get_args(Mode), "balanced"),
        warn_at=_warn_at(body.get("warn_at", [0.5, 0.8, 0.95])),
        unpriced=_unpriced(body),
        when_ledger_is_down=_one_of(body, "when_ledger_is_down", get_args(LedgerDown), "slice"),
        clamp=flag(body, "clamp"),
        per_call=money(body, "per_call_usd") if body.get("per_call_usd") is not None else None,
        status=_one_of(body, "status", _STATUSES, 429),
    )


def _read(name: str, read: Callable[[], Any]) -> Any:
    """Return what `read` makes of a field; what it says is wrong is the problem."""
    try:
        return read()
    except ValueError as error:
        said = str(error)
        raise Problem(400, f"{said[:1].upper()}{said[1:]}.", parameter=name) from None


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise Problem(400, f"`{name}` is needed, as text.", parameter=name)
    return value


def money(body: Mapping[str, Any], name: str) -> int:
    """Return a field of US dollars in nano-USD.

    Raises:
        Problem: it is something else.

    """
    value = body[name]
    if not isinstance(value, str | int | float):
        raise Problem(400, f'`{name}` is an amount of US dollars, such as "20.00".', parameter=name)
    amount: int = _read(name, lambda: usd_nano(value))
    return amount


def whole_number(body: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a field that is a whole number.

    Raises:
        Problem: it is something else.

    """
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Problem(400, f"`{name}` is a whole number from {least} to {most}.", parameter=name)
    return value


def _one_of(body: Mapping[str, Any], name: str, known: Sequence[Any], default: Any) -> Any:
    value = body.get(name, default)
    if isinstance(value, bool) or value not in known:
        raise Problem(400, f"`{name}` is one of {', '.join(map(str, known))}.", parameter=name)
    return value


def _warn_at(value: Any) -> tuple[float, ...]:
    fine = (
        isinstance(value, list)
        and len(value) <= MOST_SHARES
        and all(isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1 for share in value)
    )
    if not fine:
        raise Problem(400, "`warn_at` is a list of shares of the limit, such as [0.5, 0.8, 0.95].", parameter="warn_at")
    return tuple(sorted({float(share) for share in value}))


def _unpriced(body: Mapping[str, Any]) -> Any:
    value = body.get("unpriced", "deny")
    return value if value in ("deny", "allow") else money(body, "unpriced")
