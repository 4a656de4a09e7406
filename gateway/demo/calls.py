"""One made-up call: what the simulated provider answers to it, at the pace of a real one, as the exchange that the gate would have written."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec

from domain.exchange import Attempt, Closing, Exchange, Headers, Labels, Opening
from domain.ids import new_id
from gateway.demo.script import Step
from gateway.sim.answers import answer
from gateway.sim.http import Answer, Asked
from gateway.sim.memory import Memory
from gateway.sim.reading import Setting

KEY = "demo"
_MICROSECOND = 1_000
_FIRST_ERROR = 400
_MARK = struct.Struct("<II")
_MOST_MARKS = 4_096
_AGENT = "openai-python/2.8"
_HESITATES = 0.01


@dataclass(frozen=True, slots=True)
class Made:
    """A call: the exchange, the JSON that it was answered with (None where that was a stream), and when it ended."""

    exchange: Exchange
    answer: Any
    ended: int


@dataclass(frozen=True, slots=True)
class _Arrived:
    """An answer as it arrived: the bytes, when which of them, and how many microseconds it took."""

    body: bytes
    marks: bytes
    took_us: int
    first_us: int


class Caller:
    """Makes the calls of one session, with its labels; all chance in them comes from `chance`."""

    def __init__(self, labels: Labels, chance: Random) -> None:
        """Begin; the simulated provider remembers nothing yet."""
        self._labels = labels
        self._chance = chance
        self._memory = Memory()

    def made(self, step: Step, at: int) -> Made:
        """Return the call that `step` makes at the time `at` (Unix nanoseconds)."""
        body = msgspec.json.encode(step.body)
        headers = {name.lower(): value for name, value in step.headers.items()}
        asked = Asked("POST", step.path.removeprefix("/v1"), {}, headers, body)
        found = answer(asked, Setting(0, at / 1e9), self._memory)
        arrived = _arrived(found, self._chance, leaves=step.leaves)
        closing = self._closing(step, found, arrived, at, len(body))
        value = msgspec.json.decode(arrived.body) if found.events is None else None
        return Made(Exchange(self._opening(step, at), closing, body, arrived.body), value, closing.at)

    def _opening(self, step: Step, at: int) -> Opening:
        return Opening(
            id=new_id(at, self._chance),
            at=at,
            method="POST",
            path=step.path,
            upstream="sim",
            dialect="anthropic" if step.path.startswith("/v1/messages") else "openai",
            key=KEY,
            key_name=KEY,
            project="default",
            labels=replace(self._labels, section=step.section),
            model=str(step.body["model"]).removeprefix("sim/"),
            stream=bool(step.body.get("stream")),
        )

    def _closing(self, step: Step, found: Answer, arrived: _Arrived, at: int, request_bytes: int) -> Closing:
        own = self._chance.randint(180, 900)
        return Closing(
            at=at + arrived.took_us * _MICROSECOND,
            ending="client_gone" if step.leaves and found.events is not None else "complete",
            status=found.status,
            request_headers=_request_headers(step, request_bytes),
            response_headers=(*found.headers, ("server", "faregate-sim")),
            attempts=(Attempt("sim", "1", at, found.status, arrived.first_us),),
            request_bytes=request_bytes,
            response_bytes=len(arrived.body),
            sent_us=own,
            first_byte_us=arrived.first_us,
            overhead_us=own,
            marks=arrived.marks,
            changes=("model",) if str(step.body["model"]).startswith("sim/") else (),
        )


def _arrived(found: Answer, chance: Random, *, leaves: bool) -> _Arrived:
    first = int(chance.lognormvariate(*((12.9, 0.5) if found.status < _FIRST_ERROR else (10.6, 0.6))))
    if found.events is None:
        # A whole answer comes when its last token is there.
        took = first + int(chance.lognormvariate(13.2, 0.7)) if found.status < _FIRST_ERROR else first
        return _Arrived(found.body, _MARK.pack(took, len(found.body)), took + 200, took)
    pieces = [event.data for event in found.events]
    if leaves:
        pieces = pieces[: chance.randint(1, len(pieces))]
    times = list(_times(first, len(pieces), chance))
    sizes = _sums([len(piece) for piece in pieces])
    marks = b"".join(_MARK.pack(*mark) for mark in list(zip(times, sizes, strict=True))[:_MOST_MARKS])
    return _Arrived(b"".join(pieces), marks, times[-1] + 200, first)


def _times(first: int, count: int, chance: Random) -> Iterator[int]:
    """Yield when each event came, in microseconds: evenly, but for a hesitation now and then."""
    pace = chance.lognormvariate(9.6, 0.4)
    now = first
    for _ in range(count):
        yield now
        now += int(pace * (chance.uniform(5, 15) if chance.random() < _HESITATES else chance.uniform(0.5, 1.6)))


def _sums(numbers: list[int]) -> list[int]:
    total = 0
    return [total := total + number for number in numbers]


def _request_headers(step: Step, length: int) -> Headers:
    return (
        ("host", "127.0.0.1:8080"),
        ("content-type", "application/json"),
        ("authorization", "***"),
        *step.headers.items(),
        ("user-agent", _AGENT),
        ("content-length", str(length)),
    )
