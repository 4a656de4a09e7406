"""The way in through ASGI: the same proxy behind Starlette, for any ASGI server.

In production it takes what the protocol class does not: the office's pages and API. The wire tests run the proxied API through it too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from domain.errors import GatewayError
from gateway.gate import Gate
from gateway.wire.answer import Header
from gateway.wire.caller import HIGH_WATER, Body, CallerGone
from gateway.wire.error_answers import error_body, error_headers
from gateway.wire.heads import RequestHead, head_of
from gateway.wire.targets import is_proxied

_FRAMING = frozenset({b"transfer-encoding"})


class AsgiCaller:
    """A caller behind an ASGI server: what is to be written waits in a bounded queue until the server takes it."""

    def __init__(self, method: bytes, head: RequestHead, length: bytes | None) -> None:
        """Speak for one request."""
        self.method = method
        self.head = head
        self.length = length
        self.body = Body(self._let_flow, asyncio.get_running_loop())
        self.gone = False
        self.started = False
        self.upgrade = False
        self.on_ready: Callable[[bool], None] | None = None
        self.on_data: Callable[[bytes], None] | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._messages: deque[dict[str, Any]] = deque()
        self._bytes = 0
        self._pieces: list[bytes] = []
        self._more = asyncio.Event()
        self._status = 0
        self._length = 0

    # What the proxy does

    @property
    def ready(self) -> bool:
        """Whether more can be written now."""
        return self._bytes <= HIGH_WATER

    def inform(self, status: int, reason: bytes, headers: Sequence[Header]) -> None:
        """Drop it: ASGI has no 1xx answers."""

    def proceed(self) -> None:
        """Do nothing: the server says 100 Continue when the body is first asked for."""

    def start(self, status: int, reason: bytes, headers: Sequence[Header], framing: str) -> None:
        """Begin the answer; the server frames it."""
        del reason, framing
        self.started = True
        self._put(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name, value) for name, value in headers if name.lower() not in _FRAMING],
            }
        )

    def data(self, piece: bytes) -> None:
        """Add a piece of the body."""
        self._pieces.append(piece)

    def flush(self) -> None:
        """Queue what was added."""
        if self._pieces:
            body, self._pieces = b"".join(self._pieces), []
            self._bytes += len(body)
            self._put({"type": "http.response.body", "body": body, "more_body": True})
            if self._bytes > HIGH_WATER and self.on_ready is not None:
                self.on_ready(False)

    def end(self, trailers: Sequence[Header]) -> None:
        """End the answer; ASGI servers do not send trailers."""
        del trailers
        body, self._pieces = b"".join(self._pieces), []
        self._put({"type": "http.response.body", "body": body, "more_body": False})

    def cut(self, *, reset: bool) -> None:
        """Leave the answer unfinished: the server then closes the connection."""
        del reset
        self.flush()
        self._put({"type": "cut"})

    # What the endpoint does

    async def read(self, receive: Receive) -> None:
        """Feed the body as it comes, and return when the caller leaves."""
        while True:
            await self._reading.wait()
            message = await receive()
            if message["type"] != "http.request":
                self.gone = True
                if not self.body.complete:
                    self.body.fail(CallerGone())
                return
            if message.get("body"):
                self.body.feed(message["body"])
            if not message.get("more_body", False):
                self.body.end([])

    async def write(self, send: Send) -> None:
        """Send what is queued until the answer is over.

        Raises:
            BrokenAnswerError: the answer was cut; the server must close the connection.

        """
        while True:
            while not self._messages:
                self._more.clear()
                await self._more.wait()
            message = self._messages.popleft()
            if message["type"] == "cut":
                raise BrokenAnswerError
            await send(message)
            if message["type"] == "http.response.body":
                self._drained(len(message["body"]))
                if not message["more_body"]:
                    return

    def _drained(self, size: int) -> None:
        before, self._bytes = self._bytes, max(0, self._bytes - size)
        if before > HIGH_WATER >= self._bytes and self.on_ready is not None:
            self.on_ready(True)

    def _put(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._more.set()

    def _let_flow(self, flow: bool) -> None:
        if flow:
            self._reading.set()
        else:
            self._reading.clear()


class BrokenAnswerError(Exception):
    """The upstream broke its answer off, and so do we."""


class AsgiEntry:
    """The ASGI endpoint: proxied calls to the proxy, everything else to the office."""

    def __init__(self, gate: Gate) -> None:
        """Serve for `gate`."""
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            caller = _caller(scope, self._gate.limits.header_bytes)
        except GatewayError as error:
            self._gate.count_refused(error)
            await _refuse(send, error)
            return
        proxied = is_proxied(caller.head.target, self._gate.upstream_names)
        answering = asyncio.create_task(self._gate.answer(caller) if proxied else self._gate.pass_to_office(caller))
        writing = asyncio.create_task(caller.write(send))
        reading = asyncio.create_task(caller.read(receive))
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not caller.gone:
                await asyncio.gather(writing, answering)
        finally:
            for task in (reading, writing, answering):
                task.cancel()
            await asyncio.gather(reading, writing, answering, return_exceptions=True)


def _caller(scope: Scope, most: int) -> AsgiCaller:
    """Return the caller of a request.

    Raises:
        GatewayError: the head is too large, or could mean two things.

    """
    headers: list[Header] = list(scope.get("state", {}).get("raw_headers") or scope["headers"])
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    head, length = head_of(target, headers, http11=scope["http_version"] == "1.1", most=most)
    return AsgiCaller(scope["method"].encode("latin-1"), head, length)


async def _refuse(send: Send, error: GatewayError) -> None:
    body = error_body(error)
    await send({"type": "http.response.start", "status": error.status, "headers": error_headers(error, body)})
    await send({"type": "http.response.body", "body": body})
