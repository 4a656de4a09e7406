"""Read HTTP/1.1 messages as they are: nothing is folded, lower-cased, joined or repaired."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

RawHeaders = tuple[tuple[bytes, bytes], ...]
WITHOUT_BODY = (204, 304)


class Ended(Exception):
    """The other side sends no more: it closed (`closed`), reset the connection (`reset`), or was silent too long (`silent`)."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Source:
    """Bytes as they come, taken off in the portions that a reader asks for."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        """Take more bytes from `receive`, which raises `Ended` when there are no more."""
        self._receive = receive
        self._buffer = bytearray()

    def peeked(self) -> bytes:
        """Return what has come and was not taken."""
        return bytes(self._buffer)

    def until(self, delimiter: bytes) -> bytes:
        """Take everything up to and with `delimiter`."""
        start = 0
        while (found := self._buffer.find(delimiter, start)) < 0:
            start = max(0, len(self._buffer) - len(delimiter) + 1)
            self._buffer += self._receive()
        return self._take(found + len(delimiter))

    def exactly(self, size: int) -> bytes:
        """Take `size` bytes."""
        while len(self._buffer) < size:
            self._buffer += self._receive()
        return self._take(size)

    def at_most(self, size: int) -> bytes:
        """Take what is there, at least one byte."""
        if not self._buffer:
            self._buffer += self._receive()
        return self._take(min(size, len(self._buffer)))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


@dataclass(frozen=True, slots=True)
class Body:
    """A body without its framing. `chunks` are the chunk-size lines as sent; `ending` is `complete` or how it broke off."""

    data: bytes = b""
    framing: str = "none"
    chunks: tuple[tuple[bytes, int], ...] = ()
    trailers: RawHeaders = ()
    ending: str = "complete"


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and the headers, in order and casing."""

    start: bytes
    headers: RawHeaders
    raw: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: bytes) -> bytes | None:
        """Return the first value of a header."""
        return next(iter(self.values(name)), None)

    @property
    def status(self) -> int:
        """Return the status of an answer's head."""
        return int(self.start.split(b" ")[1])


def parse_head(raw: bytes) -> Head:
    """Take a head apart; a value loses only the one space that stands before it by habit."""
    lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return Head(lines[0], tuple(_header(line) for line in lines[1:]), raw)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")


def read_head(source: Source) -> Head:
    """Read a head."""
    return parse_head(source.until(b"\r\n\r\n"))


def read_request_body(source: Source, head: Head) -> Body:
    """Read the body that a request's head announces."""
    if b"chunked" in (head.value(b"transfer-encoding") or b"").lower():
        return read_chunked(source)
    length = head.value(b"content-length")
    return read_sized(source, int(length)) if length is not None else Body()


def read_answer_body(source: Source, head: Head, method: bytes) -> Body:
    """Read the body that an answer's head announces."""
    if method == b"HEAD" or head.status in WITHOUT_BODY or head.status < 200:
        return Body()
    if b"chunked" in (head.value(b"transfer-encoding") or b"").lower():
        return read_chunked(source)
    length = head.value(b"content-length")
    return read_sized(source, int(length)) if length is not None else read_until_closed(source)


def read_sized(source: Source, size: int) -> Body:
    """Read a body of `size` bytes."""
    parts: list[bytes] = []
    left = size
    try:
        while left:
            parts.append(source.at_most(left))
            left -= len(parts[-1])
    except Ended as end:
        return Body(b"".join(parts), "sized", ending=end.how)
    return Body(b"".join(parts), "sized")


def read_until_closed(source: Source) -> Body:
    """Read a body that ends with its connection."""
    parts: list[bytes] = []
    try:
        while True:
            parts.append(source.at_most(1 << 20))
    except Ended as end:
        return Body(b"".join(parts), "close", ending="complete" if end.how == "closed" else end.how)


def read_chunked(source: Source) -> Body:
    """Read a chunked body and its trailers."""
    parts: list[bytes] = []
    chunks: list[tuple[bytes, int]] = []
    try:
        while True:
            line = source.until(b"\r\n")
            size = int(line.split(b";")[0].strip(), 16)
            if size == 0:
                return Body(b"".join(parts), "chunked", tuple(chunks), _trailers(source))
            chunks.append((line[:-2], size))
            _read_into(source, size, parts)
            source.exactly(2)
    except Ended as end:
        return Body(b"".join(parts), "chunked", tuple(chunks), ending=end.how)
    except ValueError:
        return Body(b"".join(parts), "chunked", tuple(chunks), ending="malformed")


def _read_into(source: Source, size: int, parts: list[bytes]) -> None:
    while size:
        parts.append(source.at_most(size))
        size -= len(parts[-1])


def _trailers(source: Source) -> RawHeaders:
    lines: list[bytes] = []
    while (line := source.until(b"\r\n")) != b"\r\n":
        lines.append(line[:-2])
    return tuple(_header(line) for line in lines)


def chunked(parts: Sequence[bytes], *, trailers: bytes = b"") -> list[bytes]:
    """Return each part as one chunk, and the end as the last element."""
    return [*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n" + trailers + b"\r\n"]
