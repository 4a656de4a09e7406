"""`[[budgets]]`: what may be spent, by whom, in which window, and how strictly that is kept."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from domain.budget_text import limit_and_window_of, scope_of, scope_text, usd_nano, usd_text, window_rule_of, window_text
from domain.budgets import Budget, Scope, Unit, WindowRule
from domain.windows import zone_of

_LAST_DAY, _LAST_WEEKDAY = 31, 7
_MOST_THRESHOLDS = 20
_Money = str | int | float


class BudgetSettings(BaseModel):
    """A budget. One of `limit_usd`, `limit_tokens` and `limit_requests` must be set. A call must have room in every budget that it falls under."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    scope: str = Field(
        description="Whose calls: `key:NAME`, `project:P`, `customer:C`, `tag:k=v`, `model:GLOB` or `all`; or a sum for each of them: `each key`, `each customer`, `each tag:k`, `each model`."
    )
    limit_usd: _Money | None = Field(default=None, description='US dollars, as a text such as `"20.00"`.')
    limit_tokens: int | None = Field(default=None, ge=0, le=2**53 - 1, description="Tokens read and written.")
    limit_requests: int | None = Field(default=None, ge=0, le=2**53 - 1, description="Calls.")
    window: str = Field(
        default="month", description="`hour`, `day`, `week`, `month`, `quarter`, `total`, or rolling: `rolling:24h`."
    )
    timezone: str = Field(default="UTC", description="Where days begin: a time zone such as `Europe/Paris`.")
    anchor: int = Field(
        default=1,
        ge=1,
        le=_LAST_DAY,
        description="The day that a month or quarter begins on (31: the last), or a week (1: Monday).",
    )
    mode: Literal["strict", "balanced", "soft"] = Field(
        default="balanced",
        description="`strict` holds the most that a call can cost before it is sent, so that nothing is ever overspent; `balanced` holds what is likely, and more as an answer runs; `soft` only tells.",
    )
    warn_at: tuple[float, ...] = Field(default=(0.5, 0.8, 0.95), description="The shares of the limit at which to warn.")
    unpriced: _Money = Field(
        default="deny",
        description='Calls whose price is not known, or whose cost nothing bounds: `deny`, `allow`, or an amount of US dollars that each of them holds, such as `"0.05"`.',
    )
    when_ledger_is_down: Literal["closed", "open", "slice"] = Field(
        default="slice",
        description="What happens while what is spent is not known: nothing passes, everything does, or so much as was set aside for that.",
    )
    clamp: bool = Field(default=False, description="Lower the longest answer of a call to what is left, instead of refusing it.")
    per_call_usd: _Money | None = Field(default=None, description='The most that one call may cost, such as `"0.50"`.')
    status: Literal[429, 402] = Field(
        default=429, description="The HTTP status of a refusal: 402 for clients that try again on every 429."
    )

    @field_validator("scope")
    @classmethod
    def _a_scope(cls, value: str) -> str:
        return scope_text(scope_of(value))

    @field_validator("limit_usd", "per_call_usd")
    @classmethod
    def _money(cls, value: _Money | None) -> str | None:
        return None if value is None else usd_text(usd_nano(value))

    @field_validator("unpriced")
    @classmethod
    def _unpriced(cls, value: _Money) -> str:
        return value if value in {"deny", "allow"} else _amount(value)

    @field_validator("window")
    @classmethod
    def _a_window(cls, value: str) -> str:
        return window_text(window_rule_of(value))

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        zone_of(value)
        return value

    @field_validator("warn_at")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) > _MOST_THRESHOLDS or not all(0 < share <= 1 for share in value):
            raise ValueError("write shares of the limit, such as [0.5, 0.8, 0.95]")
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _fits_together(self) -> "BudgetSettings":
        limits = [name for name in ("limit_usd", "limit_tokens", "limit_requests") if getattr(self, name) is not None]
        if len(limits) != 1:
            told = " and ".join(limits) + " are both set; keep one" if limits else "set limit_usd, limit_tokens or limit_requests"
            raise ValueError(told)
        if self.window == "week" and self.anchor > _LAST_WEEKDAY:
            raise ValueError("the anchor of a week is a day from 1 (Monday) to 7 (Sunday)")
        return self

    def value(self) -> Budget:
        """Return this budget as gate and office know it; `budgets_of` gives it its id."""
        limit, unit = self._limit()
        unpriced: Any = self.unpriced
        return Budget(
            id="",
            scope=scope_of(self.scope),
            limit=limit,
            window=window_rule_of(self.window, timezone=self.timezone, anchor=self.anchor),
            unit=unit,
            mode=self.mode,
            warn_at=self.warn_at,
            unpriced=unpriced if unpriced in {"deny", "allow"} else usd_nano(unpriced),
            when_ledger_is_down=self.when_ledger_is_down,
            clamp=self.clamp,
            per_call=None if self.per_call_usd is None else usd_nano(self.per_call_usd),
            status=self.status,
            origin="file",
        )

    def _limit(self) -> tuple[int, Unit]:
        if self.limit_usd is not None:
            return usd_nano(self.limit_usd), "usd"
        if self.limit_tokens is not None:
            return self.limit_tokens, "tokens"
        return self.limit_requests or 0, "requests"


def budgets_of(
    listed: Iterable[BudgetSettings], by_key: Iterable[tuple[str, str]], further: Iterable[Budget] = ()
) -> list[Budget]:
    """Return the budgets of the settings: those listed, those of keys (name, and such as `20/month`), and `further` ones.

    What is spent belongs to a budget's id, which follows from its scope, unit and window: another limit or mode goes on with what is spent.
    Of several with the same ones, the second gets another id than the first, and so on.
    """
    found = [one.value() for one in listed]
    found += [_of_key(name, text) for name, text in by_key]
    found += further
    seen: dict[str, int] = {}
    numbered = []
    for budget in found:
        identity = _identity(budget.scope, budget.unit, budget.window)
        seen[identity] = seen.get(identity, 0) + 1
        suffix = "" if seen[identity] == 1 else f"-{seen[identity]}"
        numbered.append(replace(budget, id=f"file-{identity}{suffix}"))
    return numbered


def budget_of_key_text(value: Any) -> str:
    """Check a key's own budget, such as `20/month`, and return it.

    Raises:
        ValueError: it is none.

    """
    if not isinstance(value, str):
        raise ValueError('write a budget such as "20/month"')  # noqa: TRY004 - what settings say that is wrong
    limit_and_window_of(value)
    return value


def strict_budget_of_key(name: str, text: str) -> Budget:
    """Return the strict budget of a key, such as `5/day`; `budgets_of` gives it its id."""
    return replace(_of_key(name, text), mode="strict")


def _of_key(name: str, text: str) -> Budget:
    limit, unit, window = limit_and_window_of(text)
    return Budget(id="", scope=Scope("key", name), limit=limit, window=window, unit=unit, origin="file")


def _identity(scope: Scope, unit: Unit, window: WindowRule) -> str:
    """Return a short name for a budget's scope, unit and window."""
    text = f"{scope_text(scope)}\n{unit}\n{window_text(window)}\n{window.timezone}\n{window.anchor}"
    return blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()


def _amount(value: _Money) -> str:
    try:
        return usd_text(usd_nano(value))
    except ValueError:
        raise ValueError(f'write "deny", "allow", or an amount of US dollars such as "0.05", not {value!r}') from None
