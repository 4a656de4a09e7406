"""A rule: who is to hear of a call or an event, and with what. As settings or the admin API say it, not yet checked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from domain.deliveries import ContentMode
from routing.sampling import SampleBy

# What a destination takes: calls, events of the gateway itself, or both.
Takes = Literal["spans", "events", "both"]
EVERYTHING, EVERYTHING_ELSE = "everything", "everything that happens"


@dataclass(frozen=True, slots=True)
class RuleValue:
    """A rule. Conditions are texts in CEL; without `when`, it is about every call (or, with `events`, about every event of these types).

    `sample`: the share of sessions (traces, calls) that it is about; `always`: what it is about beside that. `split`: destinations by
    weight, of which each session goes to one. `otherwise`: who gets it when a destination stays down. `set`: fields to add, by name.
    """

    name: str
    when: str | None = None
    send_to: tuple[str, ...] = ()
    sample: float = 1.0
    sample_by: SampleBy = "session"
    always: str | None = None
    split: Mapping[str, float] = field(default_factory=dict)
    otherwise: str | None = None
    set: Mapping[str, str] = field(default_factory=dict)
    content: ContentMode | None = None
    redact: tuple[str, ...] | None = None
    drop: bool = False
    events: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def destinations(self) -> tuple[str, ...]:
        """The destinations that it may send to."""
        return tuple(dict.fromkeys((*self.send_to, *self.split)))


def in_force(rules: tuple[RuleValue, ...], takes: Mapping[str, Takes], channels: Collection[str] = ()) -> tuple[RuleValue, ...]:
    """Return the rules that hold: where there are none about calls, every call goes to every destination that takes calls.

    `channels` (such as Slack) take calls too, but get one only where a rule says so. Where there are no rules about events, every event
    goes to every destination that takes events. A rule that is switched off is one that there is.
    """
    found = tuple(rule for rule in rules if rule.enabled)
    calls = tuple(name for name, kind in takes.items() if kind != "events" and name not in channels)
    events = tuple(name for name, kind in takes.items() if kind != "spans")
    if calls and all(rule.events for rule in rules):
        found += (RuleValue(EVERYTHING, send_to=calls),)
    if events and not any(rule.events for rule in rules):
        found += (RuleValue(EVERYTHING_ELSE, send_to=events, events=("*",)),)
    return found
