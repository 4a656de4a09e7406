"""The engine's second face: an httpx transport, for destinations, tests and whatever else is not on the app's path.

`httpx.AsyncClient(transport=EngineTransport())` speaks HTTP/1.1 by the same engine, pools and TLS rules as the gate. Nothing is taken from the
environment. Nothing that the gate imports may import this module: httpx costs 20 MB and a quarter of a second.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn, cast

import httpx

from gateway.wire.answer import HELD_BACK, Answer
from gateway.wire.deadlines import Deadlines
from gateway.wire.engine import Connection
from gateway.wire.failures import UpstreamGone
from gateway.wire.pools import IDLE_SECONDS, Pool, inner_pool, tcp_pool, tls_context

NEVER = float("inf")
# The system gives up on a connection long before this.
LONGEST_CONNECT = 3600.0
SWITCHING = 101
FIRST_ERROR = 400
_PORTS = {"http": 80, "https": 443, "sim": 0}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")
_TARGET = re.compile(rb"[!-~\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class _Limits:
    """The time limits of one request in seconds, each for one wait; None waits for ever. A pool is never full, so there is no fourth."""

    connect: float | None
    read: float | None
    write: float | None


class EngineTransport(httpx.AsyncBaseTransport):
    """Answers httpx's requests by the engine. It belongs to the loop on which it is first used.

    Errors come as httpx's: `ConnectError`, `ConnectTimeout`, `WriteTimeout` and `ReadTimeout`; `RemoteProtocolError` for an upstream that
    closes the connection, or sends what is not HTTP, instead of an answer; `ReadError` for one that breaks off in the middle of its body. A connection that
    broke, timed out or was given up is closed, never used again.
    """

    def __init__(self, *, ca_file: str | None = None, sim: Callable[[], asyncio.Protocol] | None = None) -> None:
        """Verify certificates by the system's authorities, or those in `ca_file`. `sim` makes the server behind `sim://` addresses."""
        self._ca_file = ca_file
        self._sim = sim
        self._tls: ssl.SSLContext | None = None
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._deadlines: Deadlines | None = None
        self._tidying: asyncio.TimerHandle | None = None
        self._running: set[Connection] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer as soon as the answer's head is there."""
        head, length = _head(request)
        limits = _limits_of(request)
        connection = await self._connection(self._pool_for(request.url), limits, request)
        self._running.add(connection)
        try:
            return await self._ask(connection, head, length, request, limits)
        except BaseException:
            self._let_go(connection)
            raise

    async def aclose(self) -> None:
        """Close every connection; what runs breaks off."""
        self._closed = True
        if self._tidying is not None:
            self._tidying.cancel()
        for connection in self._running:
            connection.transport.abort()
        for pool in self._pools.values():
            pool.close()

    # One call

    async def _connection(self, pool: Pool, limits: _Limits, request: httpx.Request) -> Connection:
        try:
            return await pool.connection(LONGEST_CONNECT if limits.connect is None else limits.connect)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the upstream could not be reached in time", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error) or type(error).__name__, request=request) from error

    async def _ask(
        self, connection: Connection, head: bytes, length: int | None, request: httpx.Request, limits: _Limits
    ) -> httpx.Response:
        # Time is counted where httpx counts it, in each wait of the reader or writer; so the engine is given no limits of its own.
        try:
            answer = connection.begin(head_only=request.method == "HEAD", first_byte=NEVER, idle=NEVER, informed=None)
        except UpstreamGone as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error
        # Whoever gives up before the head is awaited leaves nothing behind that was never looked at.
        _head_future(answer).add_done_callback(lambda future: future.cancelled() or future.exception())
        connection.write(head)
        connection.request_whole = await _body_sent(connection, answer, request, length, limits)
        await _head_of(answer, request, limits)
        if answer.status == SWITCHING:
            raise httpx.RemoteProtocolError("the upstream switched to another protocol", request=request)
        body = _Body(answer, request, limits.read, lambda: self._let_go(connection))
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions={"reason_phrase": answer.reason})

    def _let_go(self, connection: Connection) -> None:
        """Give a connection back to its pool, which closes it unless its answer is whole."""
        if connection not in self._running:
            return
        self._running.discard(connection)
        if self._closed:
            connection.transport.abort()
        connection.release()
        if self._tidying is None and not self._closed:
            self._tidying = connection.loop.call_later(IDLE_SECONDS, self._tidy)

    # Pools

    def _pool_for(self, url: httpx.URL) -> Pool:
        if url.scheme not in _PORTS or (url.scheme == "sim" and self._sim is None):
            raise httpx.UnsupportedProtocol(f"There is no way to reach {url.scheme!r} addresses.")
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._new_pool(*origin)
        pool.close_idle(monotonic())
        return pool

    def _new_pool(self, scheme: str, host: str, port: int) -> Pool:
        loop = asyncio.get_running_loop()
        if self._deadlines is None:
            self._deadlines = Deadlines(loop)
        if scheme == "sim" and self._sim is not None:
            return inner_pool(self._sim, loop, self._deadlines)
        if scheme == "https" and self._tls is None:
            self._tls = tls_context(self._ca_file)
        return tcp_pool(host, port, loop, self._deadlines, tls=self._tls if scheme == "https" else None)

    def _tidy(self) -> None:
        """Close what nobody used for a while, and look again later."""
        now = monotonic()
        for pool in self._pools.values():
            pool.close_idle(now)
        self._tidying = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._tidy)


def _head_future(answer: Answer) -> "asyncio.Future[None]":
    return cast("asyncio.Future[None]", answer.head)  # as `begin` makes it where it is given none


class _Body(httpx.AsyncByteStream):
    """The body of an answer: held back, and so is the upstream, until somebody reads it."""

    def __init__(self, answer: Answer, request: httpx.Request, read: float | None, let_go: Callable[[], None]) -> None:
        self._answer = answer
        self._request = request
        self._read = read
        self._let_go = let_go
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._paused = False
        self._over = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            self._answer.pass_to(self)
            while await self._more():
                yield self._taken()
        finally:
            self._let_go()

    async def aclose(self) -> None:
        self._let_go()

    # The reader's side

    async def _more(self) -> bool:
        """Wait for a piece; return whether there is one."""
        while not self._pieces:
            if self._error is not None:
                raise httpx.ReadError(str(self._error), request=self._request) from self._error
            if self._over:
                return False
            self._waiter = self._answer.loop.create_future()
            try:
                async with asyncio.timeout(self._read):
                    await self._waiter
            except TimeoutError as error:
                raise httpx.ReadTimeout("the upstream was silent for too long", request=self._request) from error
        return True

    def _taken(self) -> bytes:
        piece = self._pieces.popleft()
        self._held_bytes -= len(piece)
        if self._paused and self._held_bytes <= HELD_BACK:
            self._paused = False
            self._answer.resume()
        return piece

    # The engine's side

    def data(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > HELD_BACK:
            self._paused = True
            self._answer.pause()

    def read_done(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def ended(self, error: Exception | None) -> None:
        self._over, self._error = True, error
        self.read_done()


async def _head_of(answer: Answer, request: httpx.Request, limits: _Limits) -> None:
    """Wait for the answer's head."""
    try:
        async with asyncio.timeout(limits.read):
            await answer.head
    except TimeoutError as error:
        raise httpx.ReadTimeout("the upstream did not answer in time", request=request) from error
    except UpstreamGone as error:
        raise httpx.RemoteProtocolError(str(error), request=request) from error


async def _body_sent(connection: Connection, answer: Answer, request: httpx.Request, length: int | None, limits: _Limits) -> bool:
    """Send a request's body as fast as the upstream takes it; return whether all of it was sent.

    The rest is kept where the upstream has refused the request already, or has answered and takes no more.
    """
    left = length
    async for piece in _pieces(request.stream):
        if _has_answered(answer):
            return False
        if left is None:
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            left -= len(piece)
            if left < 0:
                _refuse("the body is longer than its content-length", request)
            connection.write(piece)
        if connection.writing_paused and not await _writable(answer, request, limits):
            return False
    if left:
        _refuse("the body is shorter than its content-length", request)
    if left is None:
        connection.write(b"0\r\n\r\n")
    return True


def _has_answered(answer: Answer) -> bool:
    return answer.done or answer.status >= FIRST_ERROR


async def _writable(answer: Answer, request: httpx.Request, limits: _Limits) -> bool:
    """Wait until the upstream takes more, or has answered; return whether it takes more."""
    free: asyncio.Future[None] = answer.loop.create_future()

    def tell(ready: bool) -> None:
        if ready and not free.done():
            free.set_result(None)

    answer.when_writable(tell)
    await asyncio.wait({free, _head_future(answer)}, timeout=limits.write, return_when=asyncio.FIRST_COMPLETED)
    if not free.done() and not answer.head.done():
        raise httpx.WriteTimeout("the upstream took no more of the request", request=request)
    return free.done()


async def _pieces(stream: httpx.AsyncByteStream | httpx.SyncByteStream) -> AsyncIterator[bytes]:
    """Yield the pieces of a body; an empty one would end a chunked body."""
    if isinstance(stream, httpx.AsyncByteStream):
        async for piece in stream:
            if piece:
                yield piece
    else:
        for piece in stream:
            if piece:
                yield piece


def _limits_of(request: httpx.Request) -> _Limits:
    given = request.extensions.get("timeout", {})
    return _Limits(given.get("connect"), given.get("read"), given.get("write"))


def _head(request: httpx.Request) -> tuple[bytes, int | None]:
    """Return a request's head, and the length of its body (None: it is sent in chunks)."""
    target = request.extensions.get("target", request.url.raw_path)
    method = request.method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        _refuse("the method or the target has bytes in it that HTTP does not allow", request)
    parts = [b"%b %b HTTP/1.1\r\n" % (method, target)]
    for name, value in request.headers.raw:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            _refuse("a header has bytes in it that HTTP does not allow", request)
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts), _length(request)


def _length(request: httpx.Request) -> int | None:
    length, coding = request.headers.get("content-length"), request.headers.get("transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            _refuse("a body is sent with a content-length or in chunks, and in no other way", request)
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        _refuse("the content-length is not a number", request)
    return int(length)


def _refuse(why: str, request: httpx.Request) -> NoReturn:
    raise httpx.LocalProtocolError(why, request=request)
