"""Budgets and limits: what may be spent, by whom, in which window of time, and how strictly that is kept.

Money in budgets is nano-USD, rounded up for each call, so that no sum of roundings passes a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ScopeKind = Literal["key", "project", "customer", "tag", "model", "all"]
WindowKind = Literal["hour", "day", "week", "month", "quarter", "rolling", "total"]
Unit = Literal["usd", "tokens", "requests"]
Mode = Literal["strict", "balanced", "soft"]
Share = Literal["total", "each"]
LedgerDown = Literal["closed", "open", "slice"]
NANO_PER_USD = 10**9


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose calls a budget is about.

    `value` is a key's name, a project, a customer, a tag's value or a glob over models; None is everybody of that kind, and `all` has none. `tag`
    is the tag's name. `share`: one sum for the whole scope (`total`), or one for each of its members (`each`).
    """

    kind: ScopeKind
    value: str | None = None
    tag: str | None = None
    share: Share = "total"


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How time is cut into windows. `anchor` is the day a month or quarter begins on (31 is the last), or a week (1 is Monday). `seconds`: rolling only."""

    kind: WindowKind
    timezone: str = "UTC"
    anchor: int = 1
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one budget: Unix seconds, `start` within, `end` outside; None where it never ends."""

    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent, and what happens when it is.

    `limit` is in nano-USD, tokens or requests, by `unit`. `unpriced`: `deny`, `allow`, or a flat amount in nano-USD for a call without a known price
    or without a bound. `per_call` is the most one call may cost, in nano-USD. `status` is the HTTP status of a refusal. `warn_at` are shares of the limit.
    """

    id: str
    scope: Scope
    limit: int
    window: WindowRule
    unit: Unit = "usd"
    mode: Mode = "balanced"
    warn_at: tuple[float, ...] = (0.5, 0.8, 0.95)
    unpriced: Literal["deny", "allow"] | int = "deny"
    when_ledger_is_down: LedgerDown = "slice"
    clamp: bool = False
    per_call: int | None = None
    status: int = 429
    origin: str = "database"
    raises: tuple["LimitRaise", ...] = ()

    def limit_at(self, start: float) -> int:
        """Return the limit of the window that begins at `start`, what was added to it for a time included."""
        if not self.raises:
            return self.limit
        return self.limit + sum(
            one.amount for one in self.raises if one.since <= start and (one.until is None or start < one.until)
        )

    @property
    def name(self) -> str:
        """How people call it: `key:ci`, `tag:team=search`, `all`."""
        scope = self.scope
        if scope.kind == "all":
            return "all"
        value = "*" if scope.value is None else scope.value
        return f"tag:{scope.tag}={value}" if scope.kind == "tag" else f"{scope.kind}:{value}"


@dataclass(frozen=True, slots=True)
class LimitRaise:
    """So much more, in the budget's unit, for its windows that begin within these times (Unix seconds; `until` None: for good). The limit itself stays."""

    amount: int
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of a key that are about pace, not money: requests and tokens in a minute, calls at once. None is no limit."""

    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a call decides which budgets it falls under."""

    key: str
    project: str
    customer: str | None
    tags: Mapping[str, str]
    model: str | None
    upstream: str
