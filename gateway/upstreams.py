"""Sending a call: one try after the other, until an upstream answers; and only before the first byte of its answer.

A target that fails is left out for a while, unless there is no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic, time_ns

from domain.errors import GatewayError, UpstreamTimeout, UpstreamUnavailable
from domain.exchange import Attempt
from domain.upstreams import Upstream
from gateway.caller import Body
from gateway.deadlines import Deadlines
from gateway.engine import JOINED, Answer, Connection, Inform, NothingSent, UpstreamGone, UpstreamSilent
from gateway.pools import Pool, inner_pool, tcp_pool, tls_context
from gateway.recording import Recording
from gateway.routes import Target
from gateway.steps import Signal, in_task

MOVE_ON = frozenset({401, 402, 403, 429, 500, 502, 503, 504, 529})
REFUSED_CREDENTIAL = frozenset({401, 402, 403})
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
FAILURES_TO_BREAK = 5
FIRST_BREAK = 5.0
LONGEST_BREAK = 60.0


@dataclass(slots=True)
class Health:
    """How a target did lately."""

    failures: int = 0
    out_until: float = 0.0


@dataclass(slots=True)
class Outgoing:
    """A request as it goes to one target: its head, the part of its body that is held, and whether more of it will come."""

    method: bytes
    head: bytes
    body: bytes
    coded: bool
    rest: Body | None


class Upstreams:
    """All upstreams of the gate: their connections, and how they are doing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, sim: Callable[[], asyncio.Protocol]) -> None:
        """`sim` makes the server that answers for the simulated upstream."""
        self._loop = loop
        self._deadlines = deadlines
        self._sim = sim
        self._pools: dict[str, Pool] = {}
        self._health: dict[tuple[str, str], Health] = {}
        self._turn = 0
        self._without_usage: set[str] = set()

    def in_turn(self, targets: list[Target]) -> list[Target]:
        """Return `targets` in the order in which to try them: in turn, those that failed lately last."""
        if len(targets) < 2:  # noqa: PLR2004
            return targets
        self._turn += 1
        start = self._turn % len(targets)
        now = monotonic()
        return sorted([*targets[start:], *targets[:start]], key=lambda target: self._of(target).out_until > now)

    def asks_usage(self, upstream: Upstream) -> bool:
        """Return whether streams to `upstream` are asked for usage."""
        return upstream.ask_usage and upstream.name not in self._without_usage

    def refuses_usage(self, upstream: Upstream) -> None:
        """Remember that `upstream` does not know how to bring usage in streams."""
        self._without_usage.add(upstream.name)

    async def send(
        self,
        targets: Sequence[Target],
        outgoing: Callable[[Target], Outgoing],
        record: Recording,
        informed: Inform,
        cover: Callable[[Target], Awaitable[None]] | None = None,
    ) -> tuple[Answer, Target]:
        """Return the first answer that is worth passing on, and who gave it. `cover` is awaited before each target but the first.

        Raises:
            UpstreamUnavailable: no target could be reached, or each broke off without an answer.
            UpstreamTimeout: the last one did not answer in time.
            GatewayError: the caller failed to send its body.

        """
        last = len(targets) - 1
        for place, target in enumerate(targets):
            if place and cover is not None:
                await cover(target)
            request = outgoing(target)
            final = place == last or request.rest is not None
            try:
                answer = await self._attempt(target, request, record, informed)
            except (UpstreamUnavailable, UpstreamTimeout):
                self._failed(target)
                if final:
                    raise
                continue
            self._judge(target, answer)
            if final or answer.status not in MOVE_ON:
                return answer, target
            answer.close()
        raise UpstreamUnavailable("No upstream is configured for this call.")

    async def _attempt(self, target: Target, request: Outgoing, record: Recording, informed: Inform) -> Answer:
        """Send a request to one target; send it again where that cannot do harm. Every try is written down."""
        upstream = target.upstream
        pool = self._pools.get(upstream.name) or self._new_pool(upstream)
        connection = pool.free_connection()
        while True:
            attempt = Attempt(upstream.name, target.credential.name, time_ns())
            record.attempts.append(attempt)
            reused = connection is not None
            try:
                if connection is None:
                    await in_task()
                    connection = await pool.new_connection(upstream.timeouts.connect)
                answer = self._asked(connection, upstream, request, record, informed)
                attempt.sent = True
                try:
                    await answer.head
                except BaseException:
                    connection.release()
                    raise
            except GatewayError as failure:
                attempt.error = failure.message
                raise
            except (TimeoutError, OSError) as failure:
                attempt.error = str(failure) or type(failure).__name__
                if not (reused and _may_repeat(failure, request)):
                    raise _meaning(failure, upstream) from failure
                connection = None
            except asyncio.CancelledError:
                attempt.error = "the caller left"
                raise
            else:
                record.first_byte_us = record.elapsed_us()
                attempt.status = answer.status
                attempt.first_byte_us = (time_ns() - attempt.at) // 1000
                return answer

    def _asked(
        self, connection: Connection, upstream: Upstream, request: Outgoing, record: Recording, informed: Inform
    ) -> Answer:
        """Send the request, or its beginning; return what will be its answer."""
        limits = upstream.timeouts
        try:
            answer = connection.begin(
                head_only=request.method == b"HEAD",
                first_byte=limits.first_byte,
                idle=limits.idle,
                informed=informed,
                head=Signal(self._loop),
            )
            self._write(connection, answer, request, record)
        except BaseException:
            connection.release()
            raise
        record.sent_us = record.elapsed_us()
        return answer

    def _write(self, connection: Connection, answer: Answer, request: Outgoing, record: Recording) -> None:
        body = request.body
        if request.coded:
            body = _chunk(body) if body else b""
            if request.rest is None:
                body += b"0\r\n\r\n"
        if len(body) < JOINED:
            connection.write(request.head + body)
        else:
            connection.write(request.head)
            connection.write(body)
        if request.rest is None:
            connection.request_whole = True
        else:
            _stream(connection, answer, request.rest, record, coded=request.coded)

    def _new_pool(self, upstream: Upstream) -> Pool:
        if upstream.scheme == "sim":
            pool = inner_pool(self._sim, self._loop, self._deadlines)
        else:
            tls = tls_context(upstream.ca_file) if upstream.scheme == "https" else None
            pool = tcp_pool(upstream.host, upstream.port, self._loop, self._deadlines, tls=tls)
        self._pools[upstream.name] = pool
        return pool

    def forget(self) -> None:
        """Close all connections that are free, and open new ones by new settings."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def close_idle(self) -> None:
        """Close connections that nobody used for a while."""
        now = monotonic()
        for pool in self._pools.values():
            pool.close_idle(now)

    # How targets do

    def _of(self, target: Target) -> Health:
        return self._health.setdefault((target.upstream.name, target.credential.name), Health())

    def _judge(self, target: Target, answer: Answer) -> None:
        if answer.status < 400:  # noqa: PLR2004 - HTTP's own line
            if self._health:
                self._health.pop((target.upstream.name, target.credential.name), None)
        elif answer.status == 429:  # noqa: PLR2004
            self._of(target).out_until = monotonic() + min(retry_after(answer), LONGEST_BREAK)
        elif answer.status in REFUSED_CREDENTIAL:
            self._of(target).out_until = monotonic() + LONGEST_BREAK
        elif answer.status in MOVE_ON:
            self._failed(target)

    def _failed(self, target: Target) -> None:
        health = self._of(target)
        health.failures += 1
        if health.failures >= FAILURES_TO_BREAK:
            pause = min(FIRST_BREAK * 2 ** (health.failures - FAILURES_TO_BREAK), LONGEST_BREAK)
            health.out_until = monotonic() + pause


def retry_after(answer: Answer) -> float:
    """Return how many seconds the upstream asks to be left alone; 1 where it does not say, or not in seconds."""
    for name, value in answer.headers:
        lower = name.lower()
        try:
            if lower == b"retry-after-ms":
                return float(value) / 1000
            if lower == b"retry-after":
                return float(value)
        except ValueError:
            continue
    return 1.0


def _meaning(failure: Exception, upstream: Upstream) -> GatewayError:
    """Return what a failure to get an answer means to the caller."""
    if isinstance(failure, UpstreamSilent):
        return UpstreamTimeout(f"Upstream {upstream.name!r} sent nothing for {upstream.timeouts.first_byte:g} s.")
    if isinstance(failure, TimeoutError):
        return UpstreamTimeout(f"Upstream {upstream.name!r} could not be reached within {upstream.timeouts.connect:g} s.")
    if isinstance(failure, UpstreamGone):
        return UpstreamUnavailable(f"Upstream {upstream.name!r} closed the connection without an answer.")
    return UpstreamUnavailable(f"Upstream {upstream.name!r} cannot be reached: {failure.strerror or type(failure).__name__}.")  # type: ignore[attr-defined]


def _may_repeat(failure: Exception, request: Outgoing) -> bool:
    """Return whether a request that failed on a kept connection may be sent again: nothing of it went out, or twice does no harm."""
    if request.rest is not None:
        return False
    return isinstance(failure, NothingSent) or (isinstance(failure, UpstreamGone) and request.method in IDEMPOTENT)


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _stream(connection: Connection, answer: Answer, body: Body, record: Recording, *, coded: bool) -> None:
    """Send the rest of a body as it comes, at the speed at which the upstream takes it."""

    def sink(piece: bytes) -> None:
        if not piece:
            connection.request_whole = True
            if coded:
                connection.write(b"0\r\n" + b"".join(b"%b: %b\r\n" % trailer for trailer in body.trailers) + b"\r\n")
            return
        record.request_came(piece)
        connection.write(_chunk(piece) if coded else piece)
        connection.touch()

    def writable(ready: bool) -> None:
        if ready:
            body.resume()
        else:
            body.pause()

    connection.on_writable = writable
    body.stream_to(sink, answer.finish)
