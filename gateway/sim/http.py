"""What the simulated upstream is asked and answers, as plain values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

Json = dict[str, Any]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whole. `path` has no `/v1` in front; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of a streamed answer, and the seconds of silence behind it."""

    data: bytes
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a body, or events one after the other. `delay` is the time before its first byte, in seconds."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""
    events: Iterator[Event] | None = field(default=None, compare=False)
    delay: float = 0.0


def encoded(value: object) -> bytes:
    """Return `value` as compact JSON."""
    return msgspec.json.encode(value)


def json_answer(value: object, *, status: int = 200, headers: Headers = (), delay: float = 0.0) -> Answer:
    """Return an answer whose body is JSON."""
    return Answer(status, (("content-type", "application/json"), *headers), encoded(value), delay=delay)


def stream_answer(events: Iterable[Event], *, headers: Headers = (), delay: float = 0.0) -> Answer:
    """Return an answer of server-sent events."""
    kind = ("content-type", "text/event-stream; charset=utf-8")
    return Answer(200, (kind, ("cache-control", "no-cache"), *headers), events=iter(events), delay=delay)


def unnamed_event(value: object, pause: float = 0.0) -> Event:
    """Return an event as OpenAI's chat API sends it: data alone."""
    return Event(b"data: " + encoded(value) + b"\n\n", pause)


def named_event(value: Json, pause: float = 0.0) -> Event:
    """Return an event that has its `type` as its name too, as OpenAI's responses API and Anthropic send it."""
    return Event(b"event: " + str(value["type"]).encode() + b"\ndata: " + encoded(value) + b"\n\n", pause)
