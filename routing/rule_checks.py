"""What is wrong with rules: each by itself, beside the others, and with the destinations that there are."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from domain.events import EVENT_TYPES
from routing.expressions import compile_expression
from routing.rule_values import RuleValue, Takes
from routing.variables import EVENT_VARIABLES, VARIABLES

MOST_RULES, MOST_FIELDS, LONGEST_NAME = 200, 32, 100
LEAST_SAMPLE = 0.001


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """Something that is wrong with a rule: which (from 0), its name, which of its settings, and a sentence."""

    number: int
    rule: str
    setting: str
    message: str

    def __str__(self) -> str:
        """Return it in a line."""
        place = f", {self.setting}" if self.setting else ""
        return f"rule {self.number + 1} ({self.rule}){place}: {self.message}"


class WrongRules(ValueError):
    """Rules cannot be used. `problems` are all that is wrong."""

    def __init__(self, problems: Sequence[RuleProblem]) -> None:
        """Keep them; they are the message too."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


def rule_problems(rules: Sequence[RuleValue], takes: Mapping[str, Takes]) -> Iterator[RuleProblem]:
    """Yield all that is wrong with rules. `takes` says which destinations there are, and what each of them takes."""
    if len(rules) > MOST_RULES:
        yield RuleProblem(
            MOST_RULES, rules[MOST_RULES].name, "", f"there are {len(rules)} rules; at most {MOST_RULES} are allowed"
        )
        return
    names: dict[str, int] = {}
    for number, rule in enumerate(rules):
        other = names.setdefault(rule.name, number)
        if other != number:
            yield RuleProblem(number, rule.name, "name", f"rule {other + 1} has this name too; give each its own")
        for setting, message in (*_expressions(rule), *_shape(rule), *_about(rule), *_destinations(rule, takes)):
            yield RuleProblem(number, rule.name, setting, message)


def _expressions(rule: RuleValue) -> Iterator[tuple[str, str]]:
    variables: Mapping[str, Any] = EVENT_VARIABLES if rule.events else VARIABLES
    for setting, text in (("when", rule.when), ("always", rule.always)):
        if text is not None:
            yield from _compiling(setting, text, variables, condition=True)
    for name, text in rule.set.items():
        yield from _compiling(f"set.{name}", text, variables, condition=False)


def _compiling(setting: str, text: str, variables: Mapping[str, Any], *, condition: bool) -> Iterator[tuple[str, str]]:
    try:
        compile_expression(text, variables, result="condition" if condition else "any")
    except ValueError as error:
        yield setting, str(error)


def _shape(rule: RuleValue) -> Iterator[tuple[str, str]]:
    if not rule.name or len(rule.name) > LONGEST_NAME or not rule.name.isprintable():
        yield "name", f"write a name of at most {LONGEST_NAME} characters"
    if not LEAST_SAMPLE <= rule.sample <= 1:
        yield "sample", f"write a share between {LEAST_SAMPLE} and 1, such as 0.1"
    if any(not (math.isfinite(weight) and weight > 0) for weight in rule.split.values()):
        yield "split", "write weights above 0, such as { langfuse = 90, phoenix = 10 }"
    if len(rule.split) == 1:
        yield "split", "a split is between several destinations; write `send_to` for one"
    if len(rule.set) > MOST_FIELDS:
        yield "set", f"it sets {len(rule.set)} fields; at most {MOST_FIELDS} are allowed"


def _about(rule: RuleValue) -> Iterator[tuple[str, str]]:
    """Say which settings make no sense together."""
    if rule.always is not None and rule.sample == 1:
        yield "always", "it says what is kept beside a sample; set `sample` too"
    adds = rule.set or rule.content is not None or rule.redact is not None
    if rule.drop and (rule.destinations or adds or rule.otherwise):
        yield (
            "drop",
            "what is dropped is told to nobody; take `send_to`, `split`, `set`, `content`, `redact` and `otherwise` away",
        )
    if not (rule.drop or rule.destinations or adds):
        yield "send_to", "the rule does nothing: set `send_to`, `split`, `drop`, `set`, `content` or `redact`"
    if rule.otherwise is not None and not rule.destinations:
        yield "otherwise", "it says who gets what a destination does not take; set `send_to` or `split` too"
    if rule.otherwise is not None and rule.otherwise in rule.send_to:
        yield "otherwise", f"{rule.otherwise} gets it in any case; name another destination"
    if rule.events:
        given = {"sample": rule.sample != 1, "split": rule.split, "set": rule.set, "content": rule.content, "redact": rule.redact}
        for setting in [name for name, value in given.items() if value]:
            yield setting, "this is about calls, and the rule is about events; take one of the two away"
        yield from _event_types(rule.events)


def _event_types(patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        if not any(fnmatchcase(known, pattern) for known in EVENT_TYPES):
            near = get_close_matches(pattern, EVENT_TYPES, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(EVENT_TYPES)}"
            yield "events", f"there is no event {pattern!r}; {advice}"


def _destinations(rule: RuleValue, takes: Mapping[str, Takes]) -> Iterator[tuple[str, str]]:
    otherwise = () if rule.otherwise is None else (rule.otherwise,)
    for setting, names in (("send_to", rule.send_to), ("split", tuple(rule.split)), ("otherwise", otherwise)):
        for name in dict.fromkeys(names):
            if name not in takes:
                yield setting, _unknown(name, takes)
            elif rule.events and takes[name] == "spans":
                yield setting, f"{name} takes no events, only calls; name a webhook or a channel"
            elif not rule.events and takes[name] == "events":
                yield setting, f'{name} takes events only; a rule with `events = ["*"]` sends them there'


def _unknown(name: str, takes: Mapping[str, Takes]) -> str:
    near = get_close_matches(name, takes, n=1, cutoff=0.5)
    known = f"there are {', '.join(takes)}" if takes else "there are none: write [destinations.NAME]"
    return f"there is no destination {name!r}; " + (f"did you mean {near[0]}?" if near else known)
