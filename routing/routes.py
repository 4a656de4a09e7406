"""Routes compiled: which of them a call falls under, by what is known of it before it is sent.

The names are those that rules and searches have, with the same meanings; what only a finished call has (cost, outcome, latency) is not
there yet.

Handing a text to CEL costs more than evaluating an expression on it. So what a condition said of the same values before is looked up, as long as
these are few (models, keys, teams); the conditions on all else (sessions, sizes) share one context. A condition that meets more than 256 different
values after all is no longer looked up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from domain.decisions import Decision
from domain.exchange import Dialect, Labels
from domain.routes import RouteRule
from routing.expressions import Expression, Facts, Reader, compile_expression

MOST_DECISIONS = 32
MOST_REMEMBERED = 256
LONGEST_WHY = 512
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = Facts({}, None)


@dataclass(slots=True)
class Known:
    """What is known of a call before it is sent.

    `upstream` is where it would go without routes; `named`: its path or its model says so. `at` is when it came in, in Unix nanoseconds.
    """

    model: str | None
    upstream: str
    named: bool
    dialect: Dialect
    method: str
    path: str
    key: str
    project: str
    labels: Labels
    at: int
    stream: bool | None = None
    max_tokens: int | None = None
    n: int | None = None
    service_tier: str | None = None
    request_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RouteVariable:
    """One variable: its CEL type, what it means, where it is in `Known`, and a value to check expressions with. `few`: the same values come again and again."""

    type: str
    meaning: str
    path: str
    sample: Any
    few: bool = True

    @property
    def read(self) -> Callable[[Known], Any]:
        """What reads it."""
        return attrgetter(self.path) if self.path != "at" else _time


def _time(known: Known) -> datetime:
    return datetime.fromtimestamp(known.at / 1e9, UTC)


def _text(meaning: str, path: str, sample: str = "text") -> RouteVariable:
    return RouteVariable("string", meaning, path, sample)


def _label(name: str, meaning: str = "label", *, few: bool = True) -> RouteVariable:
    return RouteVariable("string", meaning, f"labels.{name}", "text", few)


def _count(meaning: str, path: str, *, few: bool = True) -> RouteVariable:
    return RouteVariable("int", meaning, path, 1, few)


ROUTE_VARIABLES: Mapping[str, RouteVariable] = {
    "model": _text("the model that was asked for", "model", "gpt-4o"),
    "upstream": _text(
        "where the call would go without routes: the upstream that its path or its model names, or the default",
        "upstream",
        "openai",
    ),
    "dialect": _text("openai, anthropic or gemini", "dialect", "openai"),
    "method": _text("the request's method", "method", "POST"),
    "path": _text("the request's path and query", "path", "/v1/chat/completions"),
    "key": _text("the name of the key", "key", "ci"),
    "project": _text("the project of the key", "project", "default"),
    "session": _label("session", few=False),
    "run": _label("run", few=False),
    "section": _label("section", "label: a path such as `agent:researcher/tool:search`"),
    "customer": _label("customer"),
    "user": _label("user"),
    "env": _label("env"),
    "release": _label("release"),
    "prompt": _label("prompt", "label: the name of a prompt"),
    "tags": RouteVariable("map(string, string)", "label: `tags.team`", "labels.tags", {}),
    "started_at": RouteVariable("timestamp", "when the call came in", "at", EPOCH, few=False),
    "stream": RouteVariable("bool", "whether a stream is asked for", "stream", sample=True),
    "max_tokens": _count(
        "the most tokens of output that the request allows: `max_completion_tokens`, `max_output_tokens` or `max_tokens`",
        "max_tokens",
    ),
    "n": _count("how many answers are asked for", "n"),
    "service_tier": _text("the tier that is asked for", "service_tier", "flex"),
    "request_bytes": _count("size of the request's body, where its head or the body itself tells it", "request_bytes", few=False),
}


class CompiledRoute:
    """A route whose condition was checked. `remembers`: what the condition says follows from a few values, and is looked up."""

    __slots__ = ("_own", "_said", "_values", "expression", "moves_named", "place", "remembers", "rule")

    def __init__(self, rule: RouteRule, place: int) -> None:
        """Check the condition of `rule`, which stands at `place` among its like.

        Raises:
            ValueError: it is none. The message says where, and what would be right.

        """
        self.rule = rule
        self.place = place
        self.expression: Expression | None = None if rule.when is None else condition(rule.when)
        names = () if self.expression is None else self.expression.names
        keys = {} if self.expression is None else self.expression.keys
        self.remembers = all(ROUTE_VARIABLES[name].few for name in names) and None not in keys.values()
        self._own = _reader([self])
        self._values = _values_of(names, sorted(keys.get("tags") or ()))
        self._said: dict[Any, Decision | None] = {}
        # Who names an upstream means it. A route may say otherwise by asking for it, and a refusal or a copy does not send the call elsewhere.
        self.moves_named = not rule.aims or "upstream" in names

    def why_not(self, known: Known, facts: "Shared") -> Decision | None:
        """Return why a call does not fall under this route; None where it does."""
        if known.named and not self.moves_named:
            return self.refusal(f"the call itself names the upstream {known.upstream}")
        if self.expression is None or self._own is None:
            return None
        if not self.remembers:
            return self._told(self.expression, facts.of(known))
        values = self._values(known)
        try:
            return self._said[values]
        except KeyError:
            said = self._told(self.expression, self._own.facts(known))
        if len(self._said) < MOST_REMEMBERED:
            self._said[values] = said
        else:
            self._said, self.remembers = {}, False
            facts.forget()
        return said

    def refusal(self, why: str) -> Decision:
        """Return the decision that this route does not serve a call."""
        return Decision(self.rule.name, matched=False, why=why[:LONGEST_WHY], kind="route")

    def _told(self, expression: Expression, facts: Facts) -> Decision | None:
        met, why = expression.explain(facts)
        return None if met else self.refusal(why)


def _values_of(names: Sequence[str], tags: Sequence[str]) -> Callable[[Known], Any]:
    """Return what reads all the values that a condition depends on, in one go: these are looked up for every call."""
    paths = [ROUTE_VARIABLES[name].path for name in names if name != "tags"]
    plain = attrgetter(*paths) if paths else _nothing
    if not tags:
        return plain

    def with_tags(known: Known) -> Any:
        found = known.labels.tags
        return plain(known), *[found.get(tag) for tag in tags]

    return with_tags


def _nothing(known: Known) -> None:
    del known


class Shared:
    """The facts of one call for all conditions that do not remember what they said, read when the first of them asks."""

    def __init__(self, routes: Sequence[CompiledRoute]) -> None:
        """Read what these routes name."""
        self._routes = routes
        self._reader: Reader[Known] | None = None
        self._facts: tuple[Known, Facts] | None = None

    def of(self, known: Known) -> Facts:
        """Return the facts of a call."""
        if self._facts is None or self._facts[0] is not known:
            if self._reader is None:
                self._reader = _reader([route for route in self._routes if not route.remembers])
            self._facts = known, _NOTHING if self._reader is None else self._reader.facts(known)
        return self._facts[1]

    def forget(self) -> None:
        """Know that one more route asks for facts."""
        self._reader = self._facts = None


def condition(text: str) -> Expression:
    """Return the condition of a route.

    Raises:
        ValueError: it is none. The message says where, and what would be right.

    """
    return compile_expression(text, ROUTE_VARIABLES)


@dataclass(slots=True)
class Verdict:
    """What the routes said of a call: the one that it falls under, if any, and every decision on the way."""

    route: CompiledRoute | None
    decisions: list[Decision]


class RouteRules:
    """All routes; the first that matches counts."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        """Check them all.

        Raises:
            ValueError: a condition is none.

        """
        self.routes = [CompiledRoute(rule, place) for place, rule in enumerate(rules)]
        self._shared = Shared(self.routes)

    def verdict(self, known: Known, unusable: Callable[[CompiledRoute], str | None]) -> Verdict:
        """Return which route a call falls under; `unusable` says why one that matches cannot serve it (then the next one is asked), or None."""
        decisions: list[Decision] = []
        for route in self.routes:
            decision = route.why_not(known, self._shared)
            if decision is None:
                why = unusable(route)
                if why is None:
                    return Verdict(route, decisions)
                decision = route.refusal(why)
            decisions.append(decision)
        return Verdict(None, decisions)


def bounded(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """Return decisions as a call keeps them: the first ones, the last, and how many are left out between."""
    if len(decisions) <= MOST_DECISIONS:
        return tuple(decisions)
    left_out = len(decisions) - MOST_DECISIONS + 1
    more = Decision("…", matched=False, why=f"{left_out} more routes do not match either", kind="route")
    return *decisions[: MOST_DECISIONS - 2], more, decisions[-1]


def _reader(routes: Sequence[CompiledRoute]) -> Reader[Known] | None:
    """Return what reads the variables of these routes; None where they have no conditions, and nothing is read."""
    expressions = [route.expression for route in routes if route.expression is not None]
    return Reader[Known](ROUTE_VARIABLES, expressions) if expressions else None
