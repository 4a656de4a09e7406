"""Withhold from a stream the one event that brings usage, where we asked for it and the app did not.

Only that event is taken out; every other byte passes as it came. A piece of an event waits for the rest of it only as long as
it could still be the one: its `choices` have not been seen yet, or were seen to be empty.
"""

import re

from gateway.wire.answer import joined

_EMPTY = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_SOME = re.compile(rb'"choices"\s*:\s*\[\s*[^\]\s]')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_WHOLE = re.compile(rb"[^\r\n](?:\r\n\r\n|\n\n|\r\r)\Z")
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
LONGEST_WAIT = 64 * 1024
LONGEST_END = 5


class Withholding:
    """Takes the usage event out of one stream."""

    __slots__ = ("_passing", "_tail", "_waiting", "withheld")

    def __init__(self) -> None:
        """Begin at the start of a stream."""
        self._waiting = b""
        self._passing = False
        self._tail = b""
        self.withheld = 0

    def passed(self, pieces: list[bytes]) -> bytes:
        """Return what may go on of `pieces` and of what waited."""
        if not self._passing and not self._waiting:
            data = joined(pieces)
            if _WHOLE.search(data, max(0, len(data) - LONGEST_END)) is not None and _USAGE.search(data) is None:
                # Nearly every read: whole events, none of which has usage in it.
                return data
        return self._sifted(pieces)

    def _sifted(self, pieces: list[bytes]) -> bytes:
        """Return what may go on, looked at event by event."""
        # An event that is passing may end in a blank line that two reads share.
        gone = len(self._tail)
        data = self._tail + self._waiting + joined(pieces)
        self._tail = self._waiting = b""
        out: list[bytes] = []
        at = 0
        for end in _EVENT_END.finditer(data):
            event = data[max(at, gone) : end.end()]
            at = end.end()
            if not self._passing and _brings_usage(event):
                self.withheld += len(event)
            else:
                out.append(event)
            self._passing = False
        rest = data[max(at, gone) :]
        if self._passing or (rest and _is_another(rest)):
            self._passing = True
            self._tail = _line_ends(data[at:])
            out.append(rest)
        else:
            self._waiting = rest
        return b"".join(out)

    def rest(self) -> bytes:
        """Return what still waits, at the end of the stream."""
        rest, self._waiting = self._waiting, b""
        if rest and _brings_usage(rest):
            self.withheld += len(rest)
            return b""
        return rest


def _line_ends(data: bytes) -> bytes:
    """Return the line ends at the end of `data`, at most three bytes of them."""
    return data[len(data.rstrip(b"\r\n")) :][-3:]


def _brings_usage(event: bytes) -> bool:
    return not _is_another(event) and _USAGE.search(event) is not None and _EMPTY.search(event) is not None


def _is_another(event: bytes) -> bool:
    """Return whether an event, whole or only begun, is certainly not the one."""
    if len(event) > LONGEST_WAIT or _SOME.search(event) is not None:
        return True
    begins = event.lstrip(b"\r\n")
    return not b"data:".startswith(begins[:5]) or begins.startswith(b"data: [")
