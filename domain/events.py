"""Events: things that happened to the gateway itself and that somebody wants to hear of, through the same courier as spans."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `id` is the same however often it is noticed, so that it is told once. `at` is Unix nanoseconds.

    `type` is a dotted name: `budget.warning`, `budget.exceeded`, `destination.failing`, `destination.recovered`,
    `destination.misconfigured`, `deliveries.dead`, `destination.test`. `subject` is what it is about (a budget, a destination), `message` one sentence
    for people, without content and credentials; `data` is for programs, JSON values.
    """

    id: str
    type: str
    at: int
    severity: Severity
    subject: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


# What happens, for rules that route events (`[[rules]]` with `events`). Whoever tells of something new adds its type here.
EVENT_TYPES = (
    "budget.warning",
    "budget.exceeded",
    "destination.failing",
    "destination.recovered",
    "destination.misconfigured",
    "destination.test",
    "deliveries.dead",
)
