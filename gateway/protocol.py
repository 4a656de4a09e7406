"""The way in below ASGI: a uvicorn protocol class that hands calls of the proxied API straight to the proxy.

uvicorn offers this as `Config(http=...)`. Requests that are not proxied fall through to uvicorn's own handling and the ASGI application. What is
not well-formed HTTP/1.1, or larger or slower than allowed, is refused here, before anything else sees it.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from domain.errors import BodyTimeout, GatewayError, HeadersTooLarge, InvalidRequest
from gateway.wire.again import LastHead, last_head
from gateway.wire.answer import Header
from gateway.wire.caller import CallerGone
from gateway.wire.error_answers import wire_answer
from gateway.wire.heads import RequestHead, head_of
from gateway.wire.limits import Limits
from gateway.wire.targets import is_proxied
from gateway.wire.wire_caller import WireCaller, lines

if TYPE_CHECKING:
    from gateway.gate import Gate

MOST_WAITING = 16
VERSIONS = frozenset({"1.0", "1.1"})
SLOWEST_BODY = 100
MOST_STALLED = 16 * 1024
LINGER_SECONDS = 2.0
RESET = struct.pack("ii", 1, 0)


class GateProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the proxied API taken out of it and with limits."""

    def __init__(self, gate: "Gate", *arguments: Any, **options: Any) -> None:
        """Serve one connection for `gate`; the other arguments are uvicorn's."""
        super().__init__(*arguments, **options)
        self._gate = gate
        self._limits: Limits = gate.limits
        self._call: WireCaller | None = None
        self._receiving: WireCaller | None = None
        self._fresh: WireCaller | None = None
        self._last: LastHead | None = None
        self._waiting: deque[WireCaller] = deque()
        self._raw: list[Header] = []
        self._head_bytes = 0
        self._in_head = False
        self._native = False
        self._tunnel = False
        self._ignored_upgrade = False
        self._stalled = 0
        self._body_moved = False
        self._body_since = (0.0, 0)
        self._refused: GatewayError | None = None
        self._closed = False
        self.deadline = float("inf")

    @property
    def draining(self) -> bool:
        """Whether the gate takes no new calls."""
        return self._gate.draining

    @property
    def writable(self) -> bool:
        """Whether the caller takes more bytes now."""
        return not self.flow.write_paused

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        if self._gate.connections_over(len(self.connections)):
            transport.close()
            return
        self.deadline = monotonic() + self._limits.header_seconds
        self._gate.deadlines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what was going on for this caller."""
        self._closed = True
        self._gate.deadlines.discard(self)
        for caller in (self._call, self._receiving, *self._waiting):
            if caller is not None:
                self._abandon(caller)
        self._call = self._receiving = None
        self._waiting.clear()
        super().connection_lost(exc)

    def _abandon(self, caller: WireCaller) -> None:
        caller.gone = True
        if not caller.body.complete:
            caller.body.fail(CallerGone())
        if caller.steps is not None and not caller.ended:
            caller.steps.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._tunnel:
            if self._call is not None:
                (self._call.on_data or self._call.body.feed)(data)
            return
        if self._last is not None and self._call is None and (found := self._last.again(data)) is not None:
            self._begin_again(self._last, *found)
            return
        self._unset_keepalive_if_required()
        if self._refused is not None:
            return
        self._body_moved = False
        self._parse(data)
        if self._fresh is not None:
            # Behind the parser, for what begins here may end here.
            fresh, self._fresh = self._fresh, None
            if fresh.body.complete and fresh.keep_alive and not fresh.upgrade and self._refused is None:
                self._last = last_head(data, fresh.method, fresh.head)
            self._gate.begin(fresh)

    def _begin_again(self, last: LastHead, length: bytes, body: bytes) -> None:
        """Begin a call whose head needs no parsing. The parser knows nothing of it, and is still between two requests."""
        caller = self._call = WireCaller(self, last.method, last.head, length)
        caller.keep_alive = True
        caller.body.feed(body)
        caller.body.end([])
        self.deadline = float("inf")
        self._gate.begin(caller)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._refused or InvalidRequest("The request is not well-formed HTTP/1.1."))
        else:
            if self._receiving is not None:
                self._body_goes_on(len(data))
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > self._limits.header_bytes:
                    self._refuse(_head_too_large(self._limits))

    def expired(self) -> None:
        """Give up on a caller that is too slow, or close a connection that nobody uses."""
        if self._in_head:
            self._refuse(BodyTimeout("The request's head did not arrive in time."))
        elif self._receiving is not None and self._receiving.started:
            self.close_now(reset=False)
        elif self._receiving is not None:
            self._receiving.body.fail(BodyTimeout("The request's body did not arrive in time."))
        elif self._call is None:
            self.transport.close()

    def _body_began(self) -> None:
        """Begin to watch how fast the body comes."""
        now = monotonic()
        received = 0 if self._receiving is None else self._receiving.body.size
        self._body_since = (now, received)
        self.deadline = now + self._limits.body_idle_seconds

    def _body_goes_on(self, size: int) -> None:
        """Give the caller more time for its body, but not for ever, and not for framing without a body in it."""
        since, before = self._body_since
        idle = self._limits.body_idle_seconds
        received = 0 if self._receiving is None else self._receiving.body.size
        now = monotonic()
        self.deadline = min(now + idle, since + 2 * idle + (received - before) / SLOWEST_BODY)
        self._stalled = 0 if self._body_moved else self._stalled + size
        if self._stalled > MOST_STALLED and self._receiving is not None:
            self._receiving.body.fail(InvalidRequest("The body's framing is far longer than the body."))

    def let_flow(self, flow: bool) -> None:
        """Read on, or let the caller wait."""
        if self._closed or self.transport.is_closing():
            return
        if flow:
            if self.flow.read_paused:
                self.flow.resume_reading()
                self._body_began()
        else:
            self.flow.pause_reading()
            self.deadline = float("inf")

    def pause_writing(self) -> None:
        """Let the upstream wait while the caller is slow."""
        super().pause_writing()
        if self._call is not None and self._call.on_ready is not None:
            self._call.on_ready(False)

    def resume_writing(self) -> None:
        """Let the upstream go on."""
        super().resume_writing()
        if self._call is not None and self._call.on_ready is not None:
            self._call.on_ready(True)

    def shutdown(self) -> None:
        """Close when nothing runs, or else after what runs."""
        if self._call is not None:
            self._call.keep_alive = False
        elif self._receiving is None:
            super().shutdown()

    def close_now(self, *, reset: bool) -> None:
        """Close the connection; what was written still goes out. `reset` makes the caller see an error where the end tells nothing."""
        if reset:
            sock: socket.socket | None = self.transport.get_extra_info("socket")
            if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.close()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """Make room for a head."""
        self._last = None
        self.url = b""
        self._raw = []
        self._head_bytes = 0
        self._in_head = True
        self._native = False
        if self._call is None:
            self.deadline = monotonic() + self._limits.header_seconds

    def on_url(self, url: bytes) -> None:
        """Keep the target, and count it."""
        self.url += url
        if len(self.url) > self._limits.header_bytes:
            self._stop(_head_too_large(self._limits))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header (or, behind the body, a trailer) as it came, and count it."""
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """Start a call, or let the request fall through to uvicorn."""
        self._in_head = False
        try:
            version = self.parser.get_http_version()
            if version not in VERSIONS:
                raise InvalidRequest("Speak HTTP/1.1.")
            http11 = version == "1.1"
            if len(self._raw) > self._limits.header_count:
                raise _head_too_large(self._limits)
            head, length = head_of(self.url, self._raw, http11=http11, most=self._limits.header_bytes)
        except GatewayError as error:
            self._stop(error)
        self._body_began()
        if self.parser.should_upgrade() and not _is_websocket(head):
            self._ignored_upgrade = True
            return
        if not is_proxied(self.url, self._gate.upstream_names):
            self._fall_through()
            return
        self._native = True
        caller = WireCaller(self, self.parser.get_method(), head, length)
        caller.keep_alive = self.parser.should_keep_alive()
        caller.upgrade = self.parser.should_upgrade()
        self._receiving = caller
        if self._call is None and self._cycle_is_over():
            self._call = self._fresh = caller
        else:
            self._waiting.append(caller)
            if len(self._waiting) > MOST_WAITING:
                self._stop(InvalidRequest("Too many pipelined requests."))
        self._raw = []

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on."""
        self._body_moved = True
        if self._native:
            if self._receiving is not None:
                self._receiving.body.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Know that the request is whole."""
        if self._ignored_upgrade:
            return
        if not self._native:
            self.deadline = float("inf")
            super().on_message_complete()
            return
        caller, self._receiving = self._receiving, None
        self.deadline = float("inf")
        if caller is not None:
            caller.body.end(self._raw)
            self._raw = []

    # One call after the other

    def _cycle_is_over(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _begin(self, caller: WireCaller) -> None:
        self._call = caller
        self._gate.begin(caller)

    def call_ended(self, caller: WireCaller) -> None:
        """Serve the next request of this connection, or close it."""
        self.server_state.total_requests += 1
        self._call = None
        if not caller.keep_alive or not caller.body.complete or self._gate.draining:
            self._closing()
        elif self._waiting:
            self.flow.resume_reading()
            self._begin(self._waiting.popleft())
        else:
            self.flow.resume_reading()
            if self._receiving is None and not self._in_head:
                self.deadline = monotonic() + self._limits.keep_alive_seconds

    def on_response_complete(self) -> None:
        """Serve what waits behind a request that fell through."""
        super().on_response_complete()
        if self._waiting and not self.pipeline and self._call is None and not self.transport.is_closing():
            self._begin(self._waiting.popleft())

    def _fall_through(self) -> None:
        url, raw = self.url, self._raw
        super().on_message_begin()
        self.url = url
        self.scope["state"]["raw_headers"] = raw
        for name, value in raw:
            super().on_header(name, value)
        super().on_headers_complete()
        if self._call is not None or self._waiting:
            # uvicorn looks at its own calls only.
            self._stop(InvalidRequest("Do not pipeline administrative requests behind calls."))

    def _upgraded(self, rest: bytes) -> None:
        caller = self._call or (self._waiting[-1] if self._waiting else None)
        if caller is not None and caller.upgrade and _is_websocket(caller.head):
            self._tunnel = True
            if rest:
                caller.body.feed(rest)
            return
        # An upgrade that is not ours to make (h2c, say) is ignored, as RFC 9110 section 7.8 allows: the request is read again without it.
        self._ignored_upgrade = False
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self.parser.get_method(), self.url, lines(_without_upgrade(self._raw)))
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    # Refusing

    def _stop(self, error: GatewayError) -> None:
        self._refused = error
        raise ValueError(error.message)

    def _refuse(self, error: GatewayError) -> None:
        self._refused, self._last = error, None
        self._gate.count_refused(error)
        if self._call is None and self._cycle_is_over():
            self.transport.write(wire_answer(error))
        self._closing()
        self._in_head = False

    def _closing(self) -> None:
        """Close, but let a caller that is still sending read its answer first (RFC 9112 section 9.6)."""
        self.flow.resume_reading()
        self._last = None
        self._refused = self._refused or InvalidRequest("The connection is closing.")
        if (self._receiving is None and not self._in_head) or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self._receiving = None
            self.transport.write_eof()
            self.deadline = monotonic() + LINGER_SECONDS


def _without_upgrade(headers: Sequence[Header]) -> list[Header]:
    """Return `headers` without the wish to upgrade; what `Connection` lists beside it stays listed."""
    kept = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            kept.append((name, b", ".join(token for token in tokens if token.lower() != b"upgrade")))
        elif lower != b"upgrade":
            kept.append((name, value))
    return kept


def _is_websocket(head: RequestHead) -> bool:
    return head.found.get(b"upgrade", b"").strip().lower() == b"websocket"


def _head_too_large(limits: Limits) -> GatewayError:
    return HeadersTooLarge(
        f"The request's head is over {limits.header_bytes} bytes or {limits.header_count} headers. "
        "Send less, or raise `server.header_bytes` and `server.header_count`."
    )
