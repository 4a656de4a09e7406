"""Budgets as people write them: `key:ci`, `each customer`, `20/month`, `rolling:24h`; and back again.

Every function that reads raises ValueError with a sentence that says what would be right.
"""

import re
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

from domain.budgets import NANO_PER_USD, Budget, Scope, ScopeKind, Unit, WindowKind, WindowRule

# Redis counts in numbers of 53 bits; one bound for every ledger, so that moving to Redis changes nothing.
MOST_NANO = 9_000_000 * NANO_PER_USD
MOST_COUNT = 2**53 - 1
LONGEST_VALUE = 256
SHORTEST_ROLLING, LONGEST_ROLLING = 60, 366 * 86_400
KINDS: tuple[ScopeKind, ...] = ("key", "project", "customer", "tag", "model", "all")
WINDOWS: tuple[WindowKind, ...] = ("hour", "day", "week", "month", "quarter", "total")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_ROLLING = re.compile(r"(?:rolling:)?(\d{1,9})([smhdw])")
_AMOUNT = re.compile(r"\$?\s*([\d_,]+(?:\.\d+)?)\s*([kKmM]?)\s*([A-Za-z]*)")
_MANY = {"": 1, "k": 1_000, "m": 1_000_000}
_UNIT_WORDS: dict[str, Unit] = {
    "": "usd",
    "usd": "usd",
    "dollars": "usd",
    "tokens": "tokens",
    "token": "tokens",
    "tok": "tokens",
    "requests": "requests",
    "request": "requests",
    "req": "requests",
    "calls": "requests",
}


def scope_of(text: str) -> Scope:
    """Return the scope that `text` names.

    `key:ci`, `project:search`, `customer:acme`, `tag:team=search`, `model:gpt-4o*` and `all` are one sum each; `each key` (or `key:*`), `each customer`,
    `each tag:team` (or `tag:team=*`), `each model`, `each model:gpt-4o*` are a sum for each member.
    """
    plain = text.strip()
    each = plain.startswith(("each ", "each:"))
    kind_text, colon, value = (plain[5:].strip() if each else plain).partition(":")
    kind = _kind(kind_text.strip(), text)
    value = value.strip()
    if kind == "all":
        if each or colon:
            raise ValueError(f"`all` stands alone: write `all`, not {text!r}")
        return Scope("all")
    if kind == "tag":
        return _tag_scope(value, text, each=each)
    if each:
        if value and kind != "model":
            raise ValueError(f"write `each {kind}` for every one of them, or `{kind}:{value}` for one")
        return Scope(kind, _checked(value, text) if value else None, share="each")
    if not value:
        raise ValueError(f"write `{kind}:NAME` for one, or `each {kind}` for every one of them, not {text!r}")
    return Scope(kind, share="each") if value == "*" else Scope(kind, _checked(value, text))


def scope_text(scope: Scope) -> str:
    """Return a scope as people write it, so that `scope_of` gives it back."""
    each = "each " if scope.share == "each" else ""
    if scope.kind == "tag":
        return f"each tag:{scope.tag}" if each else f"tag:{scope.tag}={scope.value}"
    if scope.value is None:
        return f"{each}{scope.kind}"
    return f"{each}{scope.kind}:{scope.value}"


def window_rule_of(text: str, *, timezone: str = "UTC", anchor: int = 1) -> WindowRule:
    """Return the window that `text` names: hour, day, week, month, quarter, total, or a rolling one such as `rolling:24h`."""
    plain = text.strip().lower()
    for kind in WINDOWS:
        if plain == kind:
            return WindowRule(kind, timezone, anchor)
    match = _ROLLING.fullmatch(plain)
    if match is None:
        near = get_close_matches(plain, WINDOWS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f'a window is hour, day, week, month, quarter, total, or rolling such as "rolling:24h", not {text!r}{hint}'
        )
    seconds = int(match[1]) * _UNITS[match[2]]
    if not SHORTEST_ROLLING <= seconds <= LONGEST_ROLLING:
        raise ValueError(f"a rolling window is of one minute to 366 days, not {text!r}")
    return WindowRule("rolling", timezone, anchor, seconds)


def window_text(rule: WindowRule) -> str:
    """Return a window as people write it."""
    if rule.kind != "rolling":
        return rule.kind
    unit = next(unit for unit in ("d", "h", "m", "s") if rule.seconds % _UNITS[unit] == 0)
    return f"rolling:{rule.seconds // _UNITS[unit]}{unit}"


def limit_of(text: str) -> tuple[int, Unit]:
    """Return an amount and its unit: `20`, `$20`, `20.50usd` are US dollars (in nano-USD), `500k tokens` tokens, `1000 requests` requests."""
    match = _AMOUNT.fullmatch(text.strip())
    unit = None if match is None else _UNIT_WORDS.get(match[3].lower())
    if match is None or unit is None:
        raise ValueError(f"write an amount such as 20 (US dollars), 500k tokens or 1000 requests, not {text!r}")
    digits = match[1].replace("_", "").replace(",", "")
    if unit == "usd" and not match[2]:
        return usd_nano(digits), unit
    try:
        amount = Decimal(digits) * _MANY[match[2].lower()]
    except InvalidOperation:
        raise ValueError(f"write an amount such as 20, not {text!r}") from None
    if unit == "usd":
        return usd_nano(amount), unit
    if amount != int(amount) or not 0 <= amount <= MOST_COUNT:
        raise ValueError(f"{unit} are a whole number up to {MOST_COUNT:,}, not {text!r}")
    return int(amount), unit


def limit_and_window_of(text: str, *, timezone: str = "UTC", anchor: int = 1) -> tuple[int, Unit, WindowRule]:
    """Return what `20/month`, `500k tokens/day` or `5/rolling:24h` says: an amount, its unit, and its window; without a window, `total`."""
    amount, slash, window = text.partition("/")
    limit, unit = limit_of(amount)
    return limit, unit, window_rule_of(window if slash else "total", timezone=timezone, anchor=anchor)


def usd_nano(value: "str | int | float | Decimal") -> int:
    """Return US dollars as nano-USD, exactly. A float counts as it is written (0.1 is a tenth)."""
    if isinstance(value, bool):
        raise ValueError('write an amount of US dollars such as "20.00"')  # noqa: TRY004 - one kind of error for whatever is wrong
    try:
        amount = Decimal(str(value).strip().removeprefix("$")) * NANO_PER_USD
        whole = int(amount)
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError(f'write an amount of US dollars such as "20.00", not {value!r}') from None
    if not 0 <= whole <= MOST_NANO:
        raise ValueError(f"an amount is from 0 to {MOST_NANO // NANO_PER_USD:,} US dollars, not {value!r}")
    if whole != amount:
        raise ValueError(f"an amount has at most nine digits behind the point, not {value!r}")
    return whole


def usd_text(nano: int, *, places: int = 2) -> str:
    """Return nano-USD as US dollars, without an exponent: at least `places` digits behind the point, and as many more as are needed."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    behind = f"{rest:09d}".rstrip("0").ljust(places, "0")
    return f"{sign}{whole}.{behind}" if behind else f"{sign}{whole}"


def amount_text(amount: int, unit: Unit) -> str:
    """Return an amount as a sentence shows it: `$9.98`, `120,000 tokens`, `1 request`."""
    if unit == "usd":
        return f"-${usd_text(-amount)}" if amount < 0 else f"${usd_text(amount)}"
    return f"{amount:,} {unit if amount != 1 else unit.removesuffix('s')}"


def limit_text(budget: Budget) -> str:
    """Return a budget's limit and window as people write them: `20.00/month`, `500,000 tokens/day`."""
    amount = usd_text(budget.limit) if budget.unit == "usd" else amount_text(budget.limit, budget.unit)
    return f"{amount}/{window_text(budget.window)}"


def _kind(name: str, text: str) -> ScopeKind:
    for kind in KINDS:
        if name == kind:
            return kind
    near = get_close_matches(name, KINDS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(
        f"there is no scope {text!r}; {hint}write key:NAME, project:P, customer:C, tag:k=v, model:GLOB, all, or `each customer`"
    )


def _tag_scope(value: str, text: str, *, each: bool) -> Scope:
    name, equals, wanted = value.partition("=")
    name, wanted = name.strip(), wanted.strip()
    if not name or (equals and not wanted) or (not each and not equals) or (each and wanted not in {"", "*"}):
        raise ValueError(f"write `tag:NAME=VALUE` for one value, or `each tag:NAME` for every value, not {text!r}")
    if each or wanted == "*":
        return Scope("tag", None, _checked(name, text), "each")
    return Scope("tag", _checked(wanted, text), _checked(name, text))


def _checked(value: str, text: str) -> str:
    if len(value) > LONGEST_VALUE or not value.isprintable():
        raise ValueError(f"what a scope names has at most {LONGEST_VALUE} printable characters: {text[:40]!r}")
    return value
