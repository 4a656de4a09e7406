"""Server-sent events read from a recorded body, and when each of them came."""

import re
import sys
from array import array
from collections.abc import Sequence
from itertools import pairwise, repeat
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_DATA, _END = b"data: ", b"\n\n"
_MOST_EVENTS = 400_000


class Event(NamedTuple):
    """One event: its name, its data (several lines joined by a line feed), and the offset in the body just past it.

    A named tuple, because a stream has thousands and a tuple is made in a third of the time.
    """

    name: str | None
    data: bytes
    end: int


class Timing(NamedTuple):
    """When the chunks of an answer came, in microseconds since the opening."""

    first_us: int | None = None
    chunks: int = 0
    gap_mean_us: float | None = None
    gap_max_us: int | None = None


def events(body: bytes) -> list[Event]:
    """Return the events in `body`; the last one too if the stream broke off before its end, as long as it has data.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. Unlike there, an
    unfinished last event is given: a recorder wants what came. What comes after `_MOST_EVENTS` is left out.
    """
    if b"\r" in body or body.startswith(_BOM):
        return _events_by_line(body)
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
    return found


def _plain_events(body: bytes) -> list[Event] | None:
    """Return the events of a body that is nothing but `data: ` lines with an empty line behind each, as nearly all are; else None."""
    if not (body.startswith(_DATA) and body.endswith(_END)):
        return None
    parts = body[len(_DATA) : -len(_END)].split(_END + _DATA, _MOST_EVENTS)
    if len(parts) > _MOST_EVENTS or body.count(b"\n") != len(_END) * len(parts):
        return None
    around, end = len(_DATA) + len(_END), 0
    ends = [end := end + len(part) + around for part in parts]
    # Without a call of `Event` for each: three times as fast.
    return list(map(tuple.__new__, repeat(Event), zip(repeat(None), parts, ends)))


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
    arrivals: list[int] = []
    read, last = 0, len(sizes)
    for end in ends:
        while read < last and sizes[read] < end:
            read += 1
        if read == last:
            break
        arrivals.append(times[read])
    return _timing(arrivals, len(ends))


def read_times(marks: bytes) -> Timing:
    """Return when the reads of the answer came: the best there is where its events cannot be found in the bytes that passed."""
    times, _ = _columns(marks)
    return _timing(times, len(times))


def _columns(marks: bytes) -> tuple[Sequence[int], Sequence[int]]:
    """Return the times and the sizes in `marks`."""
    numbers = array("I", marks[: len(marks) // 8 * 8])
    if sys.byteorder == "big":  # pragma: no cover: the marks are little-endian
        numbers.byteswap()
    both = numbers.tolist()
    return both[::2], both[1::2]


def _timing(arrivals: Sequence[int], chunks: int) -> Timing:
    if not arrivals:
        return Timing(chunks=chunks)
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    mean = (arrivals[-1] - arrivals[0]) / len(gaps) if gaps else None
    return Timing(arrivals[0], chunks, mean, max(gaps) if gaps else None)
