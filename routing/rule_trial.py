"""Rules tried on recorded calls, beside the rules in force: what each would match, who would hear of more or less, and how much that is."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.deliveries import ContentMode, Owed
from domain.spans import Span
from routing.rules import SpanRules

# About what a call without bodies takes at a destination, in bytes; with them, they come on top.
SPAN_BYTES = 1_500
MOST_EXAMPLES, MOST_REASONS = 3, 5


@dataclass(slots=True)
class RuleTally:
    """What one rule would do. `cost` is that of the calls it matches, in pico-USD; `unpriced` are not in it. `why` counts why it does not match."""

    name: str
    matched: int = 0
    cost: int = 0
    unpriced: int = 0
    examples: list[str] = field(default_factory=list)
    why: Counter[str] = field(default_factory=Counter)

    def add(self, span: Span, *, matched: bool, why: str) -> None:
        """Count what it decided about a call."""
        if not matched:
            self.why[why] += 1
            return
        self.matched += 1
        self.cost += span.cost or 0
        self.unpriced += span.cost is None
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(span.id)


@dataclass(slots=True)
class DestinationTally:
    """What one destination would get. `changed` are calls that it gets with other content, redaction or fields."""

    name: str
    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0
    changed: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


class RuleTrial:
    """Rules beside those in force, over any number of calls. One thread uses it."""

    def __init__(self, before: SpanRules, after: SpanRules, contents: Mapping[str, ContentMode]) -> None:
        """Compare `after` with `before`. `contents` says how much of bodies each destination gets by its own settings."""
        self._before = before
        self._after = after
        self._contents = contents
        self.calls = 0
        self.nobody_before = 0
        self.nobody_after = 0
        self.rules = {value.name: RuleTally(value.name) for value in after.values if not value.events}
        self.destinations = {name: DestinationTally(name) for name in contents}

    def add(self, span: Span) -> None:
        """Try them on one more call."""
        self.calls += 1
        ruling = self._after.decide(span)
        for decision in ruling.decisions:
            if decision.rule in self.rules:
                self.rules[decision.rule].add(span, matched=decision.matched, why=decision.why)
        before = {owed.destination: owed for owed in self._before.decide(span).owed}
        after = {owed.destination: owed for owed in ruling.owed}
        self.nobody_before += not before
        self.nobody_after += not after
        for name in before.keys() | after.keys():
            self._count(self.destinations.setdefault(name, DestinationTally(name)), span, before.get(name), after.get(name))

    def _count(self, tally: DestinationTally, span: Span, before: Owed | None, after: Owed | None) -> None:
        tally.before += before is not None
        tally.after += after is not None
        tally.gained += before is None
        tally.lost += after is None
        tally.changed += before is not None and after is not None and before != after
        tally.bytes_before += self._bytes(span, before)
        tally.bytes_after += self._bytes(span, after)

    def _bytes(self, span: Span, owed: Owed | None) -> int:
        if owed is None:
            return 0
        content = owed.content or self._contents.get(owed.destination, "full")
        kept = content != "none" and span.content != "none"
        return SPAN_BYTES + (span.request_bytes + span.response_bytes if kept else 0)
