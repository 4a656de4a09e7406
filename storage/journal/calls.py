"""The calls of one folder that were opened and are not yet safe in the store, and their bodies put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from domain.exchange import Closing, Exchange, Opening
from storage.journal.frame import Frame
from storage.journal.scan import SegmentFile
from storage.journal.segments import SegmentName


@dataclass(frozen=True, slots=True)
class Part:
    """Where a piece of a call's bodies is: the pieces from `first` up to `next`, in one record."""

    first: int
    next: int
    segment: int
    offset: int
    size: int


@dataclass(slots=True)
class OpenCall:
    """A call that was opened and whose end is not yet safe.

    `opening` is None where only later records of it could be read; `segment` is the first that is needed for it. `ended` says that its end was
    read, `given` that it was returned and waits for `saved`.
    """

    call: bytes
    opening: Opening | None
    life: int
    segment: int
    parts: dict[int, Part] = field(default_factory=dict)
    ended: bool = False
    given: bool = False

    def add(self, part: Part) -> None:
        """Take note of a piece; one that was written twice counts once."""
        self.parts.setdefault(part.first, part)

    def whole_parts(self, before: int | None = None) -> tuple[list[Part], bool]:
        """Return the pieces up to the first gap, and whether that is all (up to piece number `before`, where that is known)."""
        found: list[Part] = []
        expected = 0
        for first in sorted(self.parts):
            part = self.parts[first]
            if first != expected:
                return found, False
            found.append(part)
            expected = part.next
        return found, before is None or expected == before


class Bodies:
    """Reads pieces of bodies back from the segments."""

    def __init__(self, names: Mapping[int, SegmentName]) -> None:
        """Know where the segments are, by number; each is opened when it is needed, once."""
        self._names = names
        self._open: dict[int, SegmentFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()

    def sections(self, parts: Iterable[Part]) -> tuple[list[bytes], list[bytes], bool]:
        """Return the pieces of request and response, and whether all could be read."""
        request: list[bytes] = []
        response: list[bytes] = []
        for part in parts:
            frame = self._frame(part)
            if frame is None:
                return request, response, False
            request.append(bytes(frame.request))
            response.append(bytes(frame.response))
        return request, response, True

    def _frame(self, part: Part) -> Frame | None:
        try:
            if part.segment not in self._open:
                self._open[part.segment] = SegmentFile(self._names[part.segment])
            return self._open[part.segment].frame_at(part.offset)
        except (OSError, KeyError):
            return None


def interrupted(call: OpenCall, bodies: Bodies) -> Exchange | None:
    """Return an exchange whose end was never written, or None if nothing says what it was."""
    if call.opening is None:
        return None
    parts, _ = call.whole_parts()
    request, response, _ = bodies.sections(parts)
    return Exchange(call.opening, None, b"".join(request), b"".join(response))


def finished(opening: Opening, closing: Closing, frame: Frame, earlier: OpenCall | None, bodies: Bodies) -> Exchange:
    """Return a whole exchange. Where a piece is missing, the bodies end before it, and the closing says that they were cut."""
    if frame.part == 0 and (earlier is None or not earlier.parts):
        exchange = Exchange(opening, closing, bytes(frame.request), bytes(frame.response))
    else:
        exchange = _put_together(opening, closing, frame, earlier, bodies)
    _be_honest(closing, exchange)
    return exchange


def _put_together(opening: Opening, closing: Closing, frame: Frame, earlier: OpenCall | None, bodies: Bodies) -> Exchange:
    """Return an exchange whose bodies are in several records."""
    parts, whole = earlier.whole_parts(frame.part) if earlier else ([], False)
    request, response, read = bodies.sections(parts)
    if whole and read:
        request.append(bytes(frame.request))
        response.append(bytes(frame.response))
    else:
        closing.request_cut = closing.response_cut = True
    return Exchange(opening, closing, b"".join(request), b"".join(response))


def _be_honest(closing: Closing, exchange: Exchange) -> None:
    """Let the closing, which was just read, say `cut` wherever less is there than passed."""
    if len(exchange.request) < closing.request_bytes:
        closing.request_cut = True
    if len(exchange.response) < closing.response_bytes:
        closing.response_cut = True
