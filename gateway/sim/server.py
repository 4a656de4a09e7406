"""The simulated upstream as an HTTP/1.1 server: the gate speaks to it over a socket pair, tests over TCP."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

from gateway.sim.answers import answer
from gateway.sim.faults import Refused, openai_refusal
from gateway.sim.http import Answer, Asked, Event
from gateway.sim.memory import Memory
from gateway.sim.reading import Setting

_LARGEST_BODY = 256 * 1024 * 1024


@dataclass(slots=True)
class _Incoming:
    """A request while it arrives."""

    target: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A request that has arrived, and how its answer must be sent."""

    asked: Asked
    keep_alive: bool
    chunks: bool


class SimProtocol(asyncio.Protocol):
    """One connection to the simulated upstream.

    `memory` is shared by the connections of one simulation; without it, what one connection stores no other finds. `clock` gives
    the Unix time in seconds. An answer waits only if its model is slow, and streams only as fast as the other side reads.
    """

    def __init__(self, *, seed: int = 0, clock: Callable[[], float] = time.time, memory: Memory | None = None) -> None:
        self._seed = seed
        self._clock = clock
        self._memory = memory or Memory()
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._incoming = _Incoming()
        self._waiting: deque[_Whole] = deque()
        self._current: _Whole | None = None
        self._events: Iterator[Event] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._transport: asyncio.Transport | None = None

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason makes no difference
        """Stop whatever answer was on its way."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._events = self._current = self._transport = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Read on; what is not HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing here speaks another protocol: the request was answered as any other, and what follows it is not HTTP.
            self._stop_reading()
        except httptools.HttpParserError:
            self._send_head(openai_refusal(Refused(400, "The request is not HTTP.")), keep_alive=False, chunks=False)
            self._close()

    def pause_writing(self) -> None:
        """Hold the stream: the other side reads slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with the stream."""
        self._paused = False
        if self._events is not None and self._timer is None:
            self._pump()

    # The request, as httptools reports it.

    def on_message_begin(self) -> None:
        """Make room for a request."""
        self._incoming = _Incoming()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self._incoming.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Invite the body, if the other side waits for that."""
        if self._incoming.headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, within bounds."""
        self._incoming.body += body
        if len(self._incoming.body) > _LARGEST_BODY:
            self._close()

    def on_message_complete(self) -> None:
        """Answer, or queue the request behind the one that is being answered."""
        parts = urlsplit(self._incoming.target.decode("latin-1"))
        path = unquote(parts.path).removeprefix("/v1").rstrip("/") or "/"
        method = self._parser.get_method().decode()
        asked = Asked(method, path, dict(parse_qsl(parts.query)), self._incoming.headers, bytes(self._incoming.body))
        keep_alive = self._parser.should_keep_alive()
        self._waiting.append(_Whole(asked, keep_alive, chunks=self._parser.get_http_version() == "1.1"))
        self._next()

    # The answer.

    def _next(self) -> None:
        """Begin the next answer, unless one is on its way."""
        if self._current is not None or not self._waiting:
            return
        self._current = whole = self._waiting.popleft()
        found = answer(whole.asked, Setting(self._seed, self._clock()), self._memory)
        if found.delay > 0:
            self._timer = self._loop.call_later(found.delay, self._begin, whole, found)
        else:
            self._begin(whole, found)

    def _begin(self, whole: _Whole, found: Answer) -> None:
        self._timer = None
        self._send_head(found, keep_alive=whole.keep_alive, chunks=whole.chunks, bare=whole.asked.method == "HEAD")
        if found.events is None or whole.asked.method == "HEAD":
            self._ended()
            return
        self._events = found.events
        self._pump()

    def _send_head(self, found: Answer, *, keep_alive: bool, chunks: bool, bare: bool = False) -> None:
        """Send the head, and in the same write the body, if there is one."""
        if self._transport is None:
            return
        headers = [*found.headers, ("date", formatdate(self._clock(), usegmt=True)), ("server", "faregate-sim")]
        if found.events is None:
            headers.append(("content-length", str(len(found.body))))
        elif chunks:
            headers.append(("transfer-encoding", "chunked"))
        headers.append(("connection", "keep-alive" if keep_alive and (chunks or found.events is None) else "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {found.status} {_reason(found.status)}\r\n{lines}\r\n".encode("latin-1")
        self._transport.write(head if bare else head + found.body)

    def _pump(self) -> None:
        """Send events until one wants a pause, the other side cannot take more, or the stream is at its end."""
        self._timer = None
        chunks = self._current is not None and self._current.chunks
        while self._events is not None and self._transport is not None and not self._paused:
            event = next(self._events, None)
            if event is None:
                self._transport.write(b"0\r\n\r\n" if chunks else b"")
                self._ended(close=not chunks)
                return
            self._transport.write(b"%x\r\n%b\r\n" % (len(event.data), event.data) if chunks else event.data)
            if event.pause > 0:
                self._timer = self._loop.call_later(event.pause, self._pump)
                return

    def _ended(self, *, close: bool = False) -> None:
        """Finish one answer, and begin the next or end the connection."""
        ends = close or self._current is None or not self._current.keep_alive
        self._current = self._events = None
        if ends:
            self._close()
        else:
            self._next()

    def _stop_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _close(self) -> None:
        self._waiting.clear()
        if self._transport is not None:
            self._transport.close()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
