"""Sending a call: one try after the other, until an upstream answers; and only before the first byte of its answer.

A target that fails is left out for a while, unless there is no other (`gateway.sending.breakers`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic, time_ns

from domain.decisions import Decision
from domain.errors import GatewayError, UpstreamTimeout, UpstreamUnavailable
from domain.exchange import Attempt
from domain.routes import Retries
from domain.upstreams import Timeouts, Upstream
from gateway.sending.breakers import Breakers
from gateway.sending.routes import Target
from gateway.sending.tries import Tries, moves_on
from gateway.tee.recording import Recording
from gateway.wire.answer import JOINED, Answer, Inform
from gateway.wire.caller import Body
from gateway.wire.deadlines import Deadlines
from gateway.wire.engine import Connection
from gateway.wire.failures import NothingSent, UpstreamGone, UpstreamSilent
from gateway.wire.pools import Pool, inner_pool, tcp_pool, tls_context
from gateway.wire.steps import Signal, in_task

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
# Of a call: those of its routes, and those on tries that were not made.
MOST_DECISIONS, LONGEST_WHY = 48, 512
Cover = Callable[[Target], Awaitable[None]]


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

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        sim: Callable[[], asyncio.Protocol],
        *,
        random: Random | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`sim` makes the server that answers for the simulated upstream; `random` is for pauses, `clock` gives the seconds of breakers."""
        self._loop = loop
        self._deadlines = deadlines
        self._sim = sim
        self._pools: dict[str, Pool] = {}
        self._random = random or Random()  # noqa: S311 - pauses are no secrets
        self._clock = clock
        self.breakers = Breakers(clock)
        self._turns: dict[str, int] = {}
        self._without_usage: set[str] = set()

    def in_turn(self, targets: list[Target], turns: dict[str, int] | None = None) -> Sequence[Target]:
        """Return the targets of one upstream in the order in which to try them: in turn, those that failed lately last.

        `turns` remembers whose turn it is for one call: however often that asks, it takes one turn of an upstream, or the same one of two
        credentials would be the first for ever.
        """
        if len(targets) < 2:  # noqa: PLR2004
            return targets
        name = targets[0].upstream.name
        turn = None if turns is None else turns.get(name)
        if turn is None:
            turn = self._turns[name] = self._turns.get(name, 0) + 1
            if turns is not None:
                turns[name] = turn
        start = turn % len(targets)
        return self.well_first([*targets[start:], *targets[:start]])

    def well_first(self, targets: Sequence[Target]) -> Sequence[Target]:
        """Return `targets` with those that are left out at their end."""
        return sorted(targets, key=self.breakers.is_out) if self.breakers.ill and len(targets) > 1 else targets

    def asks_usage(self, upstream: Upstream) -> bool:
        """Return whether streams to `upstream` are asked for usage."""
        return upstream.ask_usage and upstream.name not in self._without_usage

    def refuses_usage(self, upstream: Upstream) -> None:
        """Remember that `upstream` does not know how to bring usage in streams."""
        self._without_usage.add(upstream.name)

    def running(self, upstream: Upstream) -> int:
        """Return how many calls of this process run at `upstream` now."""
        pool = self._pools.get(upstream.name)
        return 0 if pool is None else pool.busy

    async def send(  # noqa: PLR0913 - what a sending needs
        self,
        targets: Sequence[Target],
        outgoing: Callable[[Target], Outgoing],
        record: Recording,
        informed: Inform,
        *,
        cover: Cover | None = None,
        retries: Retries | None = None,
    ) -> tuple[Answer, Target]:
        """Return the first answer that is worth passing on, and who gave it; where no other try may be made, the last one.

        `cover` is awaited before each try but the first: it holds what the try may cost. One that it refuses is not made, and the next target is
        asked; the answer that is there is let go only when another try is paid for.

        Raises:
            UpstreamUnavailable: no target could be reached, or each broke off without an answer.
            UpstreamTimeout: the last one did not answer in time.
            GatewayError: the caller failed to send its body.

        """
        if not targets:
            raise UpstreamUnavailable("No upstream is configured for this call.")
        if self.breakers.ill:
            targets = await self._well_ones(targets, cover, record)
        target = targets[0]
        tries: Tries | None = None
        while True:
            request = outgoing(target)
            outcome = await self._attempt(target, request, record, informed)
            answer = None if isinstance(outcome, GatewayError) else outcome
            if answer is not None and (answer.status < 400 or not moves_on(answer.status, retries)):  # noqa: PLR2004 - HTTP's own line
                return answer, target
            if tries is None:
                tries = Tries(targets, retries, self.breakers, self._random, self._clock)
            # A body that streams in cannot be sent a second time.
            spent = request.rest is not None and record.attempts[-1].sent
            following = None if spent else await _following(tries, target, answer, cover, record)
            if following is None:
                return _last(outcome), target
            if answer is not None:
                answer.close()
            await tries.wait()
            target = following

    async def _well_ones(self, targets: Sequence[Target], cover: Cover | None, record: Recording) -> Sequence[Target]:
        """Return `targets` with those that are left out at the end; what is held was for the one that was first, and has room in any case."""
        ordered = self.well_first(targets)
        place = 0
        while ordered[place] is not targets[0] and not await _covered(ordered[place], cover, record):
            place += 1
        return ordered[place:]

    async def _attempt(self, target: Target, request: Outgoing, record: Recording, informed: Inform) -> Answer | GatewayError:
        """Send a request to one target, and again where that cannot do harm; return its answer, or why there is none. Every try is written down.

        Raises:
            GatewayError: the caller failed to send its body.

        """
        upstream, limits = target.upstream, target.timeouts or target.upstream.timeouts
        pool = self._pools.get(upstream.name) or self._new_pool(upstream)
        connection = pool.free_connection()
        if self.breakers.ill:
            self.breakers.begins(target)
        while True:
            attempt = _noted(target, record)
            reused = connection is not None
            try:
                if connection is None:
                    await in_task()
                    connection = await pool.new_connection(limits.connect)
                answer = self._asked(connection, limits, request, record, informed)
                attempt.sent = True
                try:
                    await answer.head
                except BaseException:
                    connection.release()
                    raise
            except (TimeoutError, OSError) as failure:
                attempt.error = str(failure) or type(failure).__name__
                if not (reused and _may_repeat(failure, request)):
                    self.breakers.failed(target)
                    return _meaning(failure, upstream.name, limits)
                connection = None
            except (GatewayError, asyncio.CancelledError) as failure:
                attempt.error = failure.message if isinstance(failure, GatewayError) else "the caller left"
                self.breakers.ends(target)
                raise
            else:
                record.first_byte_us = record.elapsed_us()
                attempt.status = answer.status
                attempt.first_byte_us = (time_ns() - attempt.at) // 1000
                if self.breakers.ill or answer.status >= 400:  # noqa: PLR2004 - HTTP's own line
                    self.breakers.answered(target, answer)
                return answer

    def _asked(self, connection: Connection, limits: Timeouts, request: Outgoing, record: Recording, informed: Inform) -> Answer:
        """Send the request, or its beginning; return what will be its answer."""
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


def _noted(target: Target, record: Recording) -> Attempt:
    """Write down that a target is tried now."""
    attempt = Attempt(target.upstream.name, target.credential.name, time_ns())
    if target.route is not None:
        attempt.model = target.model
    if record.held:
        attempt.held = record.held
    record.attempts.append(attempt)
    return attempt


async def _following(
    tries: Tries, failed: Target, answer: Answer | None, cover: Cover | None, record: Recording
) -> Target | None:
    """Return what is tried after a target that failed, with what that may cost held; None where nothing is."""
    following = tries.after(failed, answer)
    try:
        while following is not None and not await _covered(following, cover, record):
            following = tries.following()
    except BaseException:
        # Its caller left. Nobody will take the answer that is there.
        if answer is not None:
            answer.close()
        raise
    return following


async def _covered(target: Target, cover: Cover | None, record: Recording) -> bool:
    """Return whether what a try may cost is held. Where it is not, say why on the call: a budget has no room for it, or knows no price."""
    if cover is None:
        return True
    try:
        await cover(target)
    except GatewayError as refusal:
        opening = record.opening
        why = f"{target.upstream.name} (credential {target.credential.name}) is not tried: {refusal.message}"
        if len(opening.decisions) < MOST_DECISIONS:
            opening.decisions = (*opening.decisions, Decision("budget", matched=False, why=why[:LONGEST_WHY], kind="route"))
        return False
    return True


def _last(outcome: Answer | GatewayError) -> Answer:
    """Return the last answer, or raise why there is none."""
    if isinstance(outcome, GatewayError):
        raise outcome
    return outcome


def _meaning(failure: Exception, name: str, limits: Timeouts) -> GatewayError:
    """Return what a failure to get an answer means to the caller."""
    if isinstance(failure, UpstreamSilent):
        return UpstreamTimeout(f"Upstream {name!r} sent nothing for {limits.first_byte:g} s.")
    if isinstance(failure, TimeoutError):
        return UpstreamTimeout(f"Upstream {name!r} could not be reached within {limits.connect:g} s.")
    if isinstance(failure, UpstreamGone):
        return UpstreamUnavailable(f"Upstream {name!r} closed the connection without an answer.")
    return UpstreamUnavailable(f"Upstream {name!r} cannot be reached: {failure.strerror or type(failure).__name__}.")  # type: ignore[attr-defined]


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
