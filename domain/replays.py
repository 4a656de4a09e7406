"""Replays: recorded spans that are owed to a destination once more, or for the first time, at a given pace."""

from dataclasses import dataclass
from typing import Literal

Only = Literal["missing", "all"]
ReplayState = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class ReplayAsked:
    """Which spans, to whom, and how fast. `since` (included) and `until` (left out) are Unix nanoseconds; `rate` is spans per second.

    `where` is a condition in CEL. `missing` leaves out what the destination has, or has waiting; `all` sends everything again.
    """

    destination: str
    until: int
    since: int | None = None
    where: str | None = None
    rate: float = 50.0
    only: Only = "missing"


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay and how far it is. Times are Unix nanoseconds.

    `looked` counts the spans that were looked at, `owed` those that were owed. `cursor` is the place in the list of calls, oldest first. `place` is
    when the last span that was looked at began. `waits` says why nothing is owed just now.
    """

    id: str
    asked: ReplayAsked
    state: ReplayState
    made_at: int
    ended_at: int | None = None
    looked: int = 0
    owed: int = 0
    cursor: str | None = None
    place: int | None = None
    waits: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a replay would do. `bytes` are those of the recorded bodies. Where it is not `whole`, `spans` and `bytes` are as far as `place` (Unix nanoseconds)."""

    looked: int
    spans: int
    bytes: int
    whole: bool
    place: int | None = None
