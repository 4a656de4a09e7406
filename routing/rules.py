"""Rules compiled: who hears of a call, and with what. Every rule that matches counts.

Several rules may name one destination: it gets the call once. Of each of `content`, `redact` and `otherwise`, the first matching rule decides that says
something of it and names the destination, or names none and so means all. Fields that rules `set` are put together; of one name, the first stays.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any

from domain.decisions import Decision
from domain.deliveries import Owed
from domain.events import Event
from domain.rulings import Ruling
from domain.spans import Span
from routing.expressions import DOES_NOT_MATCH, CannotEvaluate, Expression, Facts, Reader, compile_expression
from routing.extras import NoExtra, extra_of
from routing.rule_checks import RuleProblem, WrongRules, rule_problems
from routing.rule_values import RuleValue, Takes, in_force
from routing.sampling import chosen, share_of, unit_of
from routing.variables import EVENT_VARIABLES, VARIABLES

__all__ = ["RuleProblem", "RuleValue", "SpanRules", "Takes", "WrongRules", "rule_problems"]

MOST_DECISIONS, LONGEST_WHY, MOST_KNOWN = 64, 300, 1_000


class _Rule:
    """One rule about calls, compiled. Most of its decisions are always the same, so they are made once."""

    __slots__ = ("_always", "_in_sample", "_kept", "_out", "_said", "_silent", "_when", "everywhere", "sets", "simple", "value")

    def __init__(self, value: RuleValue) -> None:
        self.value = value
        self._when = _condition(value.when)
        self._always = _condition(value.always)
        self.sets = tuple((name, compile_expression(text, VARIABLES, result="any")) for name, text in value.set.items())
        self.simple = not (value.set or value.split)
        self.everywhere = not value.destinations
        what = "matches" if self._when is not None else "every call"
        share = f"{value.sample:g} by {value.sample_by}"
        self._said = self._yes(f"{what}: told to nobody" if value.drop else what)
        self._silent = self._no(DOES_NOT_MATCH)
        self._in_sample = self._yes(f"{self._said.why}, and is in the sample of {share}")
        self._kept = self._yes(f"{self._said.why}, and `always` keeps it beside the sample of {share}")
        self._out = self._no(f"sampled out: {share}")

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All of its expressions."""
        conditions = tuple(one for one in (self._when, self._always) if one is not None)
        return conditions + tuple(expression for _, expression in self.sets)

    def decide(self, span: Span, facts: Facts, *, whole: bool) -> Decision:
        """Return its decision about a call. `whole`: as if every sample were everything."""
        if self._when is not None:
            met, why = self._when.explain(facts)
            if not met:
                return self._silent if why is DOES_NOT_MATCH else self._no(why)
        if whole or self.value.sample == 1:
            return self._said
        if share_of(self.value.name, unit_of(span, self.value.sample_by)) < self.value.sample:
            return self._in_sample
        return self._kept if self._always is not None and self._always.explain(facts)[0] else self._out

    def chosen(self, span: Span) -> str:
        """Return which one of its split a call goes to."""
        return chosen(self.value.split, share_of(f"{self.value.name}|split", unit_of(span, self.value.sample_by)))

    def told(self, one: str | None) -> tuple[str, ...]:
        """Return whom it tells of a call, where `one` of its split was chosen; None stands for all of them."""
        chosen_ones = self.value.split if one is None else (one,)
        return tuple(dict.fromkeys((*self.value.send_to, *chosen_ones)))

    def extras(self, facts: Facts) -> tuple[dict[str, Any], str]:
        """Return the fields that it sets, and what is to be said of those that it could not."""
        found, missing = {}, []
        for name, expression in self.sets:
            try:
                found[name] = extra_of(expression.value(facts))
            except (CannotEvaluate, NoExtra) as error:
                missing.append(f"{name} is not set: {error}")
        return found, "; ".join(missing)

    def _yes(self, why: str) -> Decision:
        return Decision(self.value.name, matched=True, why=why)

    def _no(self, why: str) -> Decision:
        return Decision(self.value.name, matched=False, why=why[:LONGEST_WHY])


class SpanRules:
    """All rules. Threads may share it; one at a time decides.

    `written` are the rules as they were given, `values` those that hold: what is switched off is left out, what goes without saying is there.
    """

    def __init__(self, rules: Sequence[RuleValue], takes: Mapping[str, Takes], channels: Collection[str] = ()) -> None:
        """Check and compile them. `takes` says which destinations there are, and what each of them takes; `channels` are those for people.

        Raises:
            WrongRules: they cannot be used; it says all that is wrong.

        """
        problems = list(rule_problems(rules, takes))
        if problems:
            raise WrongRules(problems)
        self.written = tuple(rules)
        self.values = in_force(self.written, takes, channels)
        self._rules = tuple(_Rule(value) for value in self.values if not value.events)
        self._events = tuple((value, _condition(value.when, EVENT_VARIABLES)) for value in self.values if value.events)
        self._reader: Reader[Span] = Reader(VARIABLES, [one for rule in self._rules for one in rule.expressions])
        self._facts: Facts | None = None
        self._lock = Lock()
        conditions = [condition for _, condition in self._events if condition is not None]
        self._event_reader: Reader[Event] = Reader(EVENT_VARIABLES, conditions)
        # What follows from which rules matched and what was chosen of splits: few of the many combinations ever happen.
        self._known: dict[tuple[tuple[tuple[int, str | None], ...], tuple[str, ...]], tuple[_Term, ...]] = {}

    def decide(self, span: Span) -> Ruling:
        """Return every rule's decision about a call, and what is owed to whom."""
        return self._decide(span, whole=False)

    def terms(self, span: Span, destination: str, *, asked: bool = False) -> Owed | None:
        """Return on what terms a destination may have a call, samples and splits left aside; None where no rule sends it there.

        `asked`: somebody asks for it to be sent there, rules or none; then it is None only where a rule drops the call.
        """
        ruling = self._decide(span, whole=True, also=(destination,) if asked else ())
        return next((one for one in ruling.owed if one.destination == destination), None)

    def known(self, span: Span) -> dict[str, Any]:
        """Return what the rules know of a call: each variable that one of them names, with its value as JSON; of maps, the members that are named."""
        return {name: _shown(value) for name, value in sorted(self._reader.facts(span).values.items())}

    def for_event(self, event: Event) -> list[Owed]:
        """Return whom an event is owed to: each destination once."""
        owed: dict[str, Owed] = {}
        facts = self._event_reader.facts(event) if self._events else None
        for value, condition in self._events:
            if not any(fnmatchcase(event.type, pattern) for pattern in value.events):
                continue
            if facts is not None and condition is not None and not condition.explain(facts)[0]:
                continue
            if value.drop:
                return []
            for name in value.send_to:
                before = owed.get(name, Owed(name))
                owed[name] = replace(before, otherwise=before.otherwise or _other(value.otherwise, name))
        return list(owed.values())

    def _decide(self, span: Span, *, whole: bool, also: tuple[str, ...] = ()) -> Ruling:
        with self._lock:
            self._facts = self._reader.facts(span) if self._facts is None else self._reader.again(span, self._facts)
            return self._ruling(span, self._facts, whole=whole, also=also)

    def _ruling(self, span: Span, facts: Facts, *, whole: bool, also: tuple[str, ...]) -> Ruling:
        decisions = [rule.decide(span, facts, whole=whole) for rule in self._rules]
        matching = [(place, rule) for place, rule in enumerate(self._rules) if decisions[place].matched]
        dropping = next((rule.value.name for _, rule in matching if rule.value.drop), None)
        if dropping is not None:
            for place, rule in matching:
                if not rule.value.drop:
                    why = f"{decisions[place].why}, but the rule {dropping!r} drops the call"
                    decisions[place] = Decision(rule.value.name, matched=True, why=why)
            return Ruling(_bounded(decisions), ())
        owed = self._owed(span, facts, matching, decisions, whole=whole, also=also)
        return Ruling(_bounded(decisions), owed)

    def _owed(  # noqa: PLR0913 - what it is worked out from
        self,
        span: Span,
        facts: Facts,
        matching: Sequence[tuple[int, _Rule]],
        decisions: list[Decision],
        *,
        whole: bool,
        also: tuple[str, ...],
    ) -> tuple[Owed, ...]:
        extras: dict[int, dict[str, Any]] = {}
        parts: list[tuple[int, str | None]] = []
        for place, rule in matching:
            if rule.simple:
                parts.append((place, None))
                continue
            one = rule.chosen(span) if rule.value.split and not whole else None
            parts.append((place, one))
            extras[place], missing = rule.extras(facts)
            told = (decisions[place].why, f"split: {one}" if one is not None else "", missing)
            if any(told[1:]):
                decisions[place] = Decision(rule.value.name, matched=True, why="; ".join(filter(None, told))[:LONGEST_WHY])
        terms = self._terms(tuple(parts), also)
        if not extras:
            return tuple(owed for owed, _ in terms)
        return tuple(_with(owed, [extras[place] for place in places if place in extras]) for owed, places in terms)

    def _terms(self, parts: tuple[tuple[int, str | None], ...], also: tuple[str, ...]) -> tuple["_Term", ...]:
        """Return what is owed, but for fields, by the rules that match and what they chose, and which of them it concerns."""
        known = self._known.get((parts, also))
        if known is not None:
            return known
        told = [(place, self._rules[place], self._rules[place].told(one)) for place, one in parts]
        destinations = dict.fromkeys((*(name for _, _, names in told for name in names), *also))
        terms = tuple(
            _term(one, [(place, rule) for place, rule, names in told if one in names or rule.everywhere]) for one in destinations
        )
        if len(self._known) < MOST_KNOWN:
            self._known[parts, also] = terms
        return terms


_Term = tuple[Owed, tuple[int, ...]]


def _term(name: str, concerning: Sequence[tuple[int, _Rule]]) -> _Term:
    values = [rule.value for _, rule in concerning]
    owed = Owed(
        name,
        content=next((value.content for value in values if value.content is not None), None),
        redact=next((value.redact for value in values if value.redact is not None), None),
        otherwise=next((other for value in values if (other := _other(value.otherwise, name))), None),
    )
    return owed, tuple(place for place, _ in concerning)


def _with(owed: Owed, extras: Sequence[Mapping[str, Any]]) -> Owed:
    """Return what is owed with fields; of one name, that of the first rule stays."""
    if not extras:
        return owed
    found: dict[str, Any] = {}
    for more in reversed(extras):
        found |= more
    return Owed(owed.destination, owed.content, owed.redact, found, owed.otherwise)


def _shown(value: Any) -> Any:
    try:
        return extra_of(value)
    except NoExtra:
        return None


def _other(otherwise: str | None, name: str) -> str | None:
    return None if otherwise == name else otherwise


def _bounded(decisions: Sequence[Decision]) -> Sequence[Decision]:
    """Return decisions as a call keeps them: where they are too many, those that match first."""
    if len(decisions) <= MOST_DECISIONS:
        return tuple(decisions)
    kept = sorted(range(len(decisions)), key=lambda place: not decisions[place].matched)[: MOST_DECISIONS - 1]
    left = Decision("…", matched=False, why=f"{len(decisions) - len(kept)} more rules are not listed")
    return (*(decisions[place] for place in sorted(kept)), left)


def _condition(text: str | None, variables: Mapping[str, Any] = VARIABLES) -> Expression | None:
    return None if text is None else compile_expression(text, variables)
