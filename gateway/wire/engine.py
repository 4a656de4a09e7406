"""The upstream engine: HTTP/1.1 on httptools and asyncio transports. One `Connection` serves one call at a time.

httpx costs 160 times nginx's CPU per call here, this under 3 (docs/architecture.md). Nothing is taken from the environment: no proxies, no
.netrc, no cookies.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Protocol, cast

import httptools

from gateway.wire.answer import Answer, Head, Header, Inform
from gateway.wire.deadlines import Deadlines
from gateway.wire.failures import NothingSent, UpstreamGone, UpstreamSilent

MOST_HEADER_BYTES = 256 * 1024
NO_BODY = frozenset({204, 304})
SWITCHING = 101
_MEANINGS = {
    b"content-length": "length",
    b"transfer-encoding": "coding",
    b"connection": "hop",
    b"keep-alive": "hop",
    b"proxy-connection": "hop",
    b"upgrade": "hop",
}


@lru_cache(maxsize=1024)
def _meaning_of(name: bytes) -> str | None:
    """Return what an answer's header says about its framing, if anything."""
    return _MEANINGS.get(name.lower())


class Keeper(Protocol):
    """Keeps connections between calls; a `gateway.wire.pools.Pool`."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    busy: int

    def keep(self, connection: "Connection") -> None:
        """Keep a connection for the next call."""

    def forget(self, connection: "Connection") -> None:
        """Drop a free connection that the upstream closed."""


class Connection:
    """One connection to an upstream: an `asyncio.Protocol` by what it can do. It inherits from nothing, so that it can be compiled."""

    __slots__ = (
        "_answer",
        "_body",
        "_complete",
        "_deadlines",
        "_fields",
        "_first_byte",
        "_head_bytes",
        "_head_only",
        "_idle",
        "_in_head",
        "_parser",
        "_pool",
        "_reading_paused",
        "_reason",
        "_reusable",
        "_writing_paused",
        "deadline",
        "idle_since",
        "loop",
        "on_writable",
        "request_whole",
        "transport",
        "used",
    )

    def __init__(self, pool: Keeper) -> None:
        """Belong to `pool`."""
        self._pool = pool
        self.loop = pool.loop
        self._deadlines = pool.deadlines
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: Answer | None = None
        self._fields: list[Header] = []
        self._head_bytes = 0
        self._reason = b""
        self._in_head = False
        self._body = False
        self._complete = False
        self._head_only = False
        self._reusable = False
        self._first_byte = 0.0
        self._idle = 0.0
        self._writing_paused = False
        self._reading_paused = False
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.deadline = float("inf")
        self.idle_since = 0.0
        self.on_writable: Callable[[bool], None] | None = None
        self.used = 0
        self.request_whole = False

    # What the pool and the caller do.

    def begin(
        self, *, head_only: bool, first_byte: float, idle: float, informed: Inform | None, head: Head | None = None
    ) -> Answer:
        """Expect the answer to the next request; `first_byte` and `idle` are the longest silences in seconds.

        `head` is told when the answer's head is there; a future by default.
        """
        if self.transport.is_closing():
            raise NothingSent("the upstream had closed the kept connection")
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._head_only, self._idle = head_only, idle
        self._reusable = self._body = self._complete = False
        self.used += 1
        self.request_whole = False
        self._first_byte = first_byte
        self.deadline = monotonic() + first_byte
        self._deadlines.add(self)
        self._answer = Answer(self, head or self.loop.create_future(), informed)
        self._pool.busy += 1
        return self._answer

    def write(self, data: bytes) -> None:
        """Send bytes upstream."""
        self.transport.write(data)

    def touch(self) -> None:
        """Begin to wait for the first byte anew: the request is still being sent."""
        if not self._body:
            self.deadline = monotonic() + self._first_byte

    @property
    def writing_paused(self) -> bool:
        """Whether the upstream takes no more bytes for now."""
        return self._writing_paused

    def pause_reading(self) -> None:
        """Let the upstream wait; its silence is then ours and does not count."""
        self.deadline = float("inf")
        self._reading_paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self.deadline = monotonic() + self._idle
        self._reading_paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def release(self) -> None:
        """Go back to the pool after a whole answer; close otherwise."""
        answer, self._answer = self._answer, None
        self._pool.busy -= answer is not None
        self.on_writable = None
        self._deadlines.discard(self)
        whole = answer is not None and answer.done and answer.error is None and self.request_whole
        if whole and self._reusable and not self._head_only and not self._writing_paused and not self.transport.is_closing():
            if self._reading_paused:
                # The answer was whole while its caller was slow; the next call's answer must be read.
                self._reading_paused = False
                self.transport.resume_reading()
            self._pool.keep(self)
        else:
            self.transport.abort()

    def expired(self) -> None:
        """Give up: the upstream was silent for too long (called by `Deadlines`)."""
        self._fail(UpstreamSilent("the upstream was silent for too long"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and tell the answer when it was all of one read."""
        answer = self._answer
        if answer is None:
            self.transport.abort()  # bytes that nobody asked for
            return
        if answer.upgraded:
            answer.took(data)
            answer.read_done()
            return
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserUpgrade as upgrade:
            if answer.status:
                self._upgrade(answer, data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(UpstreamGone(f"the upstream sent what is not HTTP/1.1: {error}"))
            return
        self._tell(answer, len(data))

    def _tell(self, answer: Answer, size: int) -> None:
        """Tell what one read brought. Whoever is told may give this connection back, and another call may begin on it: nothing follows."""
        if answer.status and not answer.head.done():
            answer.begun(whole=self._complete)
        elif self._complete:
            answer.finish(None)
        elif self._in_head:
            self._head_bytes += size
            if self._head_bytes > MOST_HEADER_BYTES:
                self._fail(UpstreamGone("the upstream's head is too large"))
        elif answer.status:
            if self._body:
                self.deadline = monotonic() + self._idle
            answer.read_done()

    def eof_received(self) -> None:
        """Let the transport close itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer: a body without a length ends this way, every other is broken off."""
        self._deadlines.discard(self)
        answer = self._answer
        if answer is None:
            self._pool.forget(self)
            return
        if answer.done:
            return
        if exc is None and answer.status and (answer.upgraded or not (answer.length_known or answer.chunked)):
            answer.finish(None)
        else:
            answer.finish(
                UpstreamGone("the upstream broke off")
                if answer.status
                else UpstreamGone("the upstream closed the connection without an answer")
            )

    def pause_writing(self) -> None:
        """Tell the sender to wait."""
        self._writing_paused = True
        if self.on_writable is not None:
            self.on_writable(False)

    def resume_writing(self) -> None:
        """Tell the sender to go on."""
        self._writing_paused = False
        if self.on_writable is not None:
            self.on_writable(True)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """Make room for a head."""
        self._fields, self._head_bytes, self._reason = [], 0, b""
        self._in_head = True
        if self._complete:
            self._reusable = False  # more than one answer: whose is it?

    def on_status(self, status: bytes) -> None:
        """Keep the reason phrase."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, or a trailer, as it came."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Tell the answer its head; pass 1xx on and wait for the real one."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or self._complete:
            return
        status = parser.get_status_code()
        fields, self._fields = self._fields, []
        self._in_head = False
        if status < 200 and status != SWITCHING:  # noqa: PLR2004 - HTTP's own line
            if answer.informed is not None:
                answer.informed(status, self._reason, fields)
            return
        answer.status, answer.reason, answer.headers = status, self._reason, fields
        answer.length_known = status in NO_BODY
        for name, value in fields:
            meaning = _meaning_of(name)
            if meaning == "length":
                answer.length_known = True
            elif meaning == "coding":
                answer.chunked = value.lower().endswith(b"chunked")
            elif meaning == "hop":
                answer.hops = True
        self._reusable = status != SWITCHING and parser.should_keep_alive()
        self._body = True
        self.deadline = monotonic() + self._idle
        if self._head_only:
            # The parser waits for a body that a HEAD never has.
            self._parser = None
            self._complete = True

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the body."""
        answer = self._answer
        if answer is not None and not (answer.done or self._complete):
            answer.took(body)

    def on_message_complete(self) -> None:
        """End the answer, unless it was a 1xx."""
        answer = self._answer
        if answer is None or not answer.status or answer.status == SWITCHING or self._complete:
            return
        answer.trailers = self._fields
        self._body = False
        self._complete = True
        self.deadline = float("inf")

    def _upgrade(self, answer: Answer, rest: bytes) -> None:
        answer.upgraded = answer.status == SWITCHING
        self.deadline = float("inf")
        if answer.upgraded and rest:
            answer.took(rest)

    def _fail(self, error: Exception) -> None:
        self.transport.abort()
        if self._answer is not None:
            self._answer.finish(error)
