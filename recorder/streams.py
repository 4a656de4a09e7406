"""Server-sent events read from a recorded body, and when each of them came."""

import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import sub
from typing import NamedTuple, overload

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_DATA, _END = b"data: ", b"\n\n"
_MOST_EVENTS = 400_000
DONE = b"[DONE]"


class Event(NamedTuple):
    """One event: its name, its data (several lines joined by a line feed), and the offset in the body just past it."""

    name: str | None
    data: bytes
    end: int


@dataclass(slots=True)
class Events(Sequence[Event]):
    """The events of a body, in columns; `names` is empty where no event has one.

    A stream has thousands, and most readers need nothing but their data: an `Event` is made when somebody asks for it.
    """

    datas: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.datas)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> "Events": ...
    def __getitem__(self, place: int | slice) -> "Event | Events":
        """Return an event, or some of them."""
        if isinstance(place, slice):
            return Events(self.datas[place], self.ends[place], self.names[place])
        return Event(self.names[place] if self.names else None, self.datas[place], self.ends[place])

    def __iter__(self) -> Iterator[Event]:
        # Without a call of `Event` for each: three times as fast.
        return map(tuple.__new__, repeat(Event), zip(self.names or repeat(None), self.datas, self.ends, strict=False))

    def chunk_ends(self) -> list[int]:
        """Return the ends of the events that are chunks of an answer: all but OpenAI's `[DONE]`."""
        marks = self.datas.count(DONE)
        if not marks:
            return self.ends
        if marks == 1 and self.datas[-1] == DONE:
            return self.ends[:-1]
        return [end for data, end in zip(self.datas, self.ends, strict=True) if data != DONE]


NO_EVENTS = Events()


class Timing(NamedTuple):
    """When the chunks of an answer came, in microseconds since the opening."""

    first_us: int | None = None
    chunks: int = 0
    gap_mean_us: float | None = None
    gap_max_us: int | None = None


def events(body: bytes) -> Events:
    """Return the events in `body`; the last one too if the stream broke off before its end, as long as it has data.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. Unlike there, an
    unfinished last event is given: a recorder wants what came. What comes after `_MOST_EVENTS` is left out.
    """
    if b"\r" in body or body.startswith(_BOM):
        return _in_columns(_events_by_line(body))
    plain = _plain_events(body)
    if plain is not None:
        return plain
    found: list[Event] = []
    end = -2
    for block in body.split(b"\n\n", _MOST_EVENTS)[:_MOST_EVENTS]:
        end = min(end + len(block) + 2, len(body) - 2)
        if block.startswith(b"data: ") and b"\n" not in block:
            found.append(Event(None, block[6:], end + 2))
        else:
            _append_event(found, block.split(b"\n"), end + 2)
    return _in_columns(found)


def _in_columns(found: list[Event]) -> Events:
    names = [event.name for event in found]
    return Events([event.data for event in found], [event.end for event in found], names if any(names) else [])


def _plain_events(body: bytes) -> Events | None:
    """Return the events of a body that is nothing but `data: ` lines with an empty line behind each, as nearly all are; else None."""
    if not (body.startswith(_DATA) and body.endswith(_END)):
        return None
    parts = body[len(_DATA) : -len(_END)].split(_END + _DATA, _MOST_EVENTS)
    if len(parts) > _MOST_EVENTS or body.count(b"\n") != len(_END) * len(parts):
        return None
    around, end = len(_DATA) + len(_END), 0
    return Events(parts, [end := end + size + around for size in map(len, parts)])


def _append_event(found: list[Event], lines: list[bytes], end: int) -> None:
    """Add the event in `lines`, unless it has no data."""
    name: str | None = None
    data: list[bytes] = []
    for line in lines:
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    if data:
        found.append(Event(name or None, b"\n".join(data), end))


def _events_by_line(body: bytes) -> list[Event]:
    """Return the events of a body whose lines end in any of the three ways."""
    found: list[Event] = []
    lines: list[bytes] = []
    start = len(_BOM) if body.startswith(_BOM) else 0
    for line_end in _LINE_END.finditer(body, start):
        line = body[start : line_end.start()]
        start = line_end.end()
        if line:
            lines.append(line)
        elif lines:
            _append_event(found, lines, start)
            lines = []
            if len(found) == _MOST_EVENTS:
                return found
    lines.append(body[start:])
    _append_event(found, lines, len(body))
    return found


def chunk_times(ends: Sequence[int], marks: bytes) -> Timing:
    """Return when the chunks that end at the offsets `ends` came, by the marks of `Closing`.

    A chunk came with the read that brought its last byte. Chunks beyond the last mark are counted, but their time is not known.
    """
    times, sizes = _columns(marks)
    if sizes[: len(ends)] == ends:  # each came alone
        return _timing(times[: len(ends)], len(ends), len(ends))
    arrivals: list[int] = []
    came = 0
    for time, size in zip(times, sizes, strict=True):
        before, came = came, bisect_right(ends, size, came)
        if came > before:
            arrivals.append(time)
    return _timing(arrivals, came, len(ends))


def read_times(marks: bytes) -> Timing:
    """Return when the reads of the answer came: the best there is where its events cannot be found in the bytes that passed."""
    times, _ = _columns(marks)
    return _timing(times, len(times), len(times))


def _columns(marks: bytes) -> tuple[list[int], list[int]]:
    """Return the times and the sizes in `marks`."""
    numbers = array("I", marks[: len(marks) // 8 * 8])
    if sys.byteorder == "big":  # pragma: no cover: the marks are little-endian
        numbers.byteswap()
    both = numbers.tolist()
    return both[::2], both[1::2]


def _timing(arrivals: Sequence[int], came: int, chunks: int) -> Timing:
    """Return the timing of `chunks` chunks, `came` of which came at the times `arrivals`; those that came together have no gap."""
    if not arrivals:
        return Timing(chunks=chunks)
    if came == 1:
        return Timing(arrivals[0], chunks)
    gaps = map(sub, arrivals[1:], arrivals)
    longest = max(gaps, default=0)
    return Timing(
        arrivals[0],
        chunks,
        (arrivals[-1] - arrivals[0]) / (came - 1),
        longest if came == len(arrivals) else max(longest, 0),
    )
