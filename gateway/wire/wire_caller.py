"""A caller on a connection of our own: answers are written as bytes, one write for each read from the upstream."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.wire.answer import Header
from gateway.wire.caller import Body
from gateway.wire.heads import RequestHead
from gateway.wire.steps import Steps

CONTINUE = 100


class Line(Protocol):
    """The caller's connection; a `gateway.protocol.GateProtocol`."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    @property
    def draining(self) -> bool:
        """Whether the gate takes no new calls."""

    @property
    def writable(self) -> bool:
        """Whether the caller takes more bytes now."""

    def let_flow(self, flow: bool) -> None:
        """Read on, or let the caller wait."""

    def call_ended(self, caller: "WireCaller") -> None:
        """Serve the next request, or close."""

    def close_now(self, *, reset: bool) -> None:
        """Close the connection; what was written still goes out."""


class WireCaller:
    """A caller on a connection of our own: answers are written as bytes, one write for each read from the upstream."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_expects",
        "_framing",
        "_pending",
        "body",
        "ended",
        "gone",
        "head",
        "keep_alive",
        "length",
        "method",
        "on_data",
        "on_ready",
        "started",
        "steps",
        "upgrade",
    )

    def __init__(self, connection: Line, method: bytes, head: RequestHead, length: bytes | None) -> None:
        """Speak for one request on `connection`."""
        self._connection = connection
        self._pending: list[bytes] = []
        self._chunked = False
        self._framing = "none"
        self._expects = head.expects
        self.method = method
        self.head = head
        self.length = length
        self.body = Body(connection.let_flow, connection.loop)
        self.keep_alive = False
        self.upgrade = False
        self.started = False
        self.ended = False
        self.gone = False
        self.on_ready: Callable[[bool], None] | None = None
        self.on_data: Callable[[bytes], None] | None = None
        self.steps: Steps | None = None

    @property
    def ready(self) -> bool:
        """Whether more can be written now."""
        return self._connection.writable

    def inform(self, status: int, reason: bytes, headers: Sequence[Header]) -> None:
        """Pass on a 1xx answer; HTTP/1.0 has none. 100 is ours to say: an upstream was not asked for it."""
        if status != CONTINUE and self.head.http11 and not self.started and not self.gone:
            self._connection.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines(headers)))

    def proceed(self) -> None:
        """Say 100 Continue, if the caller waits for it."""
        if self._expects and not self.body.complete and not self.gone:
            self._expects = False
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def start(self, status: int, reason: bytes, headers: Sequence[Header], framing: str) -> None:
        """Put the head in front of what is written next."""
        self.started = True
        if not self.head.http11 and framing == "chunked":
            framing = "close"
            headers = [each for each in headers if each[0].lower() != b"transfer-encoding"]
        self._framing, self._chunked = framing, framing == "chunked"
        if framing in {"close", "tunnel"} or not self.body.complete or self._connection.draining:
            self.keep_alive = False
        pending = self._pending
        pending.append(b"HTTP/1.1 %d %b\r\n" % (status, reason))
        for name, value in headers:
            pending += (name, b": ", value, b"\r\n")
        if framing == "tunnel":
            pending.append(b"\r\n")
        elif not self.keep_alive:
            pending.append(b"connection: close\r\n\r\n")
        elif not self.head.http11:
            pending.append(b"connection: keep-alive\r\n\r\n")
        else:
            pending.append(b"\r\n")

    def data(self, piece: bytes) -> None:
        """Add a piece of the body, framed as the answer's head said."""
        if self._chunked:
            self._pending += (b"%x\r\n" % len(piece), piece, b"\r\n")
        else:
            self._pending.append(piece)

    def flush(self) -> None:
        """Write what was added, in one go."""
        pending = self._pending
        if pending:
            self._pending = []
            if not self.gone:
                self._connection.transport.write(b"".join(pending))

    def end(self, trailers: Sequence[Header]) -> None:
        """End the answer and let the connection serve the next request."""
        if self._chunked:
            self._pending.append(b"0\r\n%b\r\n" % lines(trailers) if trailers else b"0\r\n\r\n")
        self.flush()
        self.ended = True
        self._connection.call_ended(self)

    def cut(self, *, reset: bool) -> None:
        """Close the connection in the middle of the answer."""
        self.flush()
        self.ended = True
        self._connection.close_now(reset=reset)


def lines(headers: Sequence[Header]) -> bytes:
    """Return headers as they stand in a message."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
