"""Routes as the file has them: `[[routes]]`, which upstreams serve a call. The first one that matches counts."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from config.budgets import budget_of_key_text, strict_budget_of_key
from config.durations import Duration
from domain.budgets import Budget
from domain.routes import TRANSIENT, Aim, Mirror, Retries, RouteRule, RouteTimeouts, Sticky, Strategy
from routing.routes import condition

_TABLE = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)
_APPS_OWN = frozenset({400, 404, 422})
_CHOOSING = ("try_", "split", "model", "retries", "timeout", "mirror", "strategy", "sticky")


def _an_aim(value: str) -> str:
    """Check an upstream, or an upstream and a model's name there."""
    upstream, slash, model = value.partition("/")
    if not upstream or (slash and not model) or value != value.strip():
        raise ValueError('write an upstream such as "azure", or an upstream and a model such as "azure/gpt-4o-eu"')
    return value


_Aim = Annotated[str, AfterValidator(_an_aim)]


class RetrySettings(BaseModel):
    """How a call is tried again when every upstream of its route has failed, one after the other; before the first byte of an answer only."""

    model_config = _TABLE

    statuses: tuple[int, ...] = Field(
        default=tuple(sorted(TRANSIENT)),
        description="The statuses of an answer after which a call is tried again; so is one that got no answer.",
    )
    times: int = Field(default=2, ge=0, le=10, description="How often, beyond the first try of each upstream and credential.")
    backoff: Duration = Field(
        default=Duration(0.5, "0.5s"),
        description="The longest pause before the first further try, doubled for each one after it; a random part of it is waited.",
    )
    longest: Duration = Field(
        default=Duration(8, "8s"),
        description="The longest pause. An upstream that asks for a longer one by `retry-after` is not tried again.",
    )

    @field_validator("statuses")
    @classmethod
    def _errors(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for status in value:
            if status in _APPS_OWN or not 400 <= status <= 599:  # noqa: PLR2004 - HTTP's own line
                raise ValueError(
                    f"{status} cannot be tried again: write errors such as 429 or 503; 400, 404 and 422 are the app's own"
                )
        return value

    def value(self) -> Retries:
        """Return this as the gate knows it."""
        return Retries(frozenset(self.statuses), self.times, float(self.backoff), float(self.longest))


class RouteTimeoutSettings(BaseModel):
    """How long an upstream may take on this route; what is not set is as the upstream's own settings say."""

    model_config = _TABLE

    connect: Duration | None = Field(default=None, description="How long connecting may take.")
    first_byte: Duration | None = Field(default=None, description="How long the first byte of an answer may take.")
    idle: Duration | None = Field(default=None, description="The longest silence within an answer.")

    def value(self) -> RouteTimeouts:
        """Return this as the gate knows it."""
        return RouteTimeouts(*(None if one is None else float(one) for one in (self.connect, self.first_byte, self.idle)))


class MirrorSettings(BaseModel):
    """A copy of calls to a second upstream. The caller's answer is not touched; a copy is recorded as a call of its own, under the key `mirror:` and the route's name."""

    model_config = _TABLE

    to: _Aim = Field(description="Where copies go: an upstream, or an upstream and a model there.")
    share: float = Field(default=1.0, gt=0, le=1, description="The share of the calls of this route that is copied.")
    budget: Annotated[str, BeforeValidator(budget_of_key_text)] | None = Field(
        default=None, description="What copies may cost, such as `5/day`: it is strict, and calls themselves do not count on it."
    )


class RouteSettings(BaseModel):
    """Which upstreams serve a call: the first route that matches counts; without one, the path and the model decide. [Routes](routes.md) has examples."""

    model_config = _TABLE

    name: str | None = Field(
        default=None, min_length=1, max_length=64, description="What decisions call it; without one, its place in the file."
    )
    when: str | None = Field(
        default=None,
        description="The condition on calls, in CEL; without one every call matches. [Routes](routes.md) lists its variables.",
    )
    try_: tuple[_Aim, ...] = Field(
        default=(),
        alias="try",
        description="The upstreams to try, each with a model's name behind a slash where it has another name there: the next one when one fails.",
    )
    split: dict[_Aim, float] = Field(
        default={}, description="Instead of `try`: upstreams with the weight of each; the others are tried when one fails."
    )
    sticky: Literal["session", "customer", "key", "off"] | None = Field(
        default=None, description="With `split`: whose calls go to the same upstream. `session` if it is not set."
    )
    strategy: Literal["order", "fastest", "cheapest", "least-busy"] = Field(
        default="order",
        description="With `try`, which comes first: as they are listed, by the time to the first byte as measured, by the price of this call, or by the calls that are running.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="The model's name as upstreams get it, where `try` or `split` do not say another one.",
    )
    retries: RetrySettings | None = Field(default=None, description=RetrySettings.__doc__)
    timeout: RouteTimeoutSettings | None = Field(default=None, description=RouteTimeoutSettings.__doc__)
    mirror: MirrorSettings | None = Field(default=None, description=MirrorSettings.__doc__)
    deny: str | None = Field(
        default=None, min_length=1, max_length=500, description="Refuse the call with 403 and this message; nothing is sent."
    )

    @field_validator("when")
    @classmethod
    def _a_condition(cls, value: str | None) -> str | None:
        if value is not None:
            condition(value)
        return value

    @field_validator("name")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise ValueError("a name has no control characters in it")
        return value

    @field_validator("split")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        if value and not (all(0 <= weight < float("inf") for weight in value.values()) and sum(value.values()) > 0):
            raise ValueError("write weights of 0 or more, not all of them 0, such as { openai = 90, azure = 10 }")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "RouteSettings":
        if wrong := self._wrong():
            raise ValueError(wrong)
        return self

    def _wrong(self) -> str | None:
        """Return the first thing that does not fit together."""
        told = [
            name.rstrip("_") for name in _CHOOSING if name in self.model_fields_set and getattr(self, name) not in (None, (), {})
        ]
        denied = self.deny is not None
        rows = (
            (denied and told, f"deny and {', '.join(told)} are both set; a call that is refused goes nowhere"),
            (not denied and not told, "this route does nothing: set try, split, model, retries, timeout, mirror or deny"),
            (self.try_ and self.split, "try and split are both set; keep one of them"),
            (self.split and self.strategy != "order", "strategy belongs to try; a split goes by its weights"),
            (self.sticky is not None and not self.split, "sticky belongs to split; try goes by its strategy"),
            (self.strategy != "order" and not self.try_, "strategy belongs to try: list the upstreams to choose from there"),
        )
        return next((text for wrong, text in rows if wrong), None)

    @property
    def upstreams(self) -> Iterator[tuple[str, str]]:
        """Yield each upstream that is named, with the setting that names it."""
        yield from (("try", text.partition("/")[0]) for text in self.try_)
        yield from (("split", text.partition("/")[0]) for text in self.split)
        if self.mirror is not None:
            yield "mirror.to", self.mirror.to.partition("/")[0]

    def named(self, number: int) -> str:
        """Return its name; `number` is its place in the file, from 1."""
        return self.name or f"route {number}"

    def value(self, number: int) -> RouteRule:
        """Return this route as the gate knows it; `number` is its place in the file, from 1."""
        aims = tuple(aim(text) for text in self.try_) or tuple(aim(text, weight) for text, weight in self.split.items())
        strategy: Strategy = "split" if self.split else self.strategy
        sticky: Sticky = (self.sticky or "session") if self.split else "off"
        name = self.named(number)
        return RouteRule(
            name=name,
            when=self.when,
            aims=aims,
            strategy=strategy,
            sticky=sticky,
            model=self.model,
            retries=None if self.retries is None else self.retries.value(),
            timeouts=None if self.timeout is None else self.timeout.value(),
            mirror=None if self.mirror is None else Mirror(aim(self.mirror.to), self.mirror.share, mirror_key(name)),
            deny=self.deny,
        )


def aim(text: str, weight: float = 1.0) -> Aim:
    """Return what `upstream` or `upstream/model` means."""
    upstream, _, model = text.partition("/")
    return Aim(upstream, model or None, float(weight))


def mirror_key(route: str) -> str:
    """Return the name of the key that the copies of a route are recorded under."""
    return f"mirror:{route}"


def wrong_routes(routes: Iterable[RouteSettings], upstreams: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with routes beside each other and the upstreams that there are."""
    known = sorted(upstreams)
    names: dict[str, int] = {}
    for number, route in enumerate(routes):
        other = names.setdefault(route.named(number + 1), number)
        if other != number:
            yield f"routes.{number}.name: routes.{other} has this name too; give each its own"
        for setting, name in dict.fromkeys(route.upstreams):
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0.5)
                advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                yield f"routes.{number}.{setting}: there is no upstream {name!r}; {advice}"


def mirror_budgets(routes: Iterable[RouteSettings]) -> Iterator[tuple[str, Budget]]:
    """Yield the budget of each route's copies, with the setting that says it."""
    for number, route in enumerate(routes):
        if route.mirror is not None and route.mirror.budget is not None:
            key = mirror_key(route.named(number + 1))
            yield f"routes.{number}.mirror.budget", strict_budget_of_key(key, route.mirror.budget)
