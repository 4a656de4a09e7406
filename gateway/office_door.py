"""The door to the office: what is not proxied traffic is passed on to it over a Unix socket, and is not recorded."""

import asyncio
import json

from gateway.wire.answer import Answer
from gateway.wire.caller import Caller
from gateway.wire.deadlines import Deadlines
from gateway.wire.failures import UpstreamGone
from gateway.wire.pools import Pool, unix_pool

# The store breaks a read off after 10 s; an office that is silent for longer stands still.
FIRST_BYTE = 12.0
SIGN_OF_LIFE = 1.0
IDLE = 3600.0
LARGEST_BODY = 16 * 2**20
CONNECT = 2.0


class OfficeDoor:
    """Passes requests on to the office."""

    def __init__(self, socket_path: str, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        """Lead to the office that listens at `socket_path`; it may come and go."""
        self._pool: Pool = unix_pool(socket_path, loop, deadlines)

    async def is_open(self) -> bool:
        """Return whether the office answers. Calls are served without it; pages and administration are not."""
        try:
            connection = await self._pool.connection(CONNECT)
        except (OSError, TimeoutError):
            return False
        try:
            answer = connection.begin(head_only=False, first_byte=SIGN_OF_LIFE, idle=SIGN_OF_LIFE, informed=None)
            connection.write(b"GET /healthz HTTP/1.1\r\nhost: office\r\n\r\n")
            connection.request_whole = True
            await answer.head
            await answer.whole(LARGEST_BODY)
        except (OSError, TimeoutError):
            return False
        finally:
            connection.release()
        return True

    async def answer(self, caller: Caller) -> None:
        """Pass one request on, and the office's answer back."""
        caller.proceed()
        body = await caller.body.hold(LARGEST_BODY, LARGEST_BODY)
        answer: Answer | None = None
        try:
            answer = await self._ask(caller, body)
        except (OSError, TimeoutError):
            _say_away(caller)
            return
        try:
            await _Passing(answer, caller).run()
        finally:
            answer.close()

    async def _ask(self, caller: Caller, body: bytes) -> Answer:
        for again in (True, False):
            connection = await (self._pool.connection(CONNECT) if again else self._pool.new_connection(CONNECT))
            try:
                answer = connection.begin(head_only=caller.method == b"HEAD", first_byte=FIRST_BYTE, idle=IDLE, informed=None)
                connection.write(_head(caller, len(body)) + body)
                connection.request_whole = True
                await answer.head
            except UpstreamGone:
                connection.release()
                if not again or connection.used < 2 or caller.method not in {b"GET", b"HEAD"}:  # noqa: PLR2004 - used before this call
                    raise
            except BaseException:
                connection.release()
                raise
            else:
                return answer
        raise AssertionError  # pragma: no cover - the loop returns or raises


class _Passing:
    """Passes an answer on as it comes."""

    def __init__(self, answer: Answer, caller: Caller) -> None:
        self._answer = answer
        self._caller = caller
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        answer, caller = self._answer, self._caller
        framing = "none" if caller.method == b"HEAD" else "chunked" if answer.chunked else "length"
        headers = [(name, value) for name, value in answer.headers if name.lower() != b"connection"]
        caller.start(answer.status, answer.reason, headers, framing)
        caller.on_ready = lambda ready: answer.resume() if ready else answer.pause()
        answer.pass_to(self)
        await self._over

    def data(self, piece: bytes) -> None:
        self._caller.data(piece)

    def read_done(self) -> None:
        self._caller.flush()

    def ended(self, error: Exception | None) -> None:
        if error is None:
            self._caller.end(())
        else:
            self._caller.cut(reset=False)
        if not self._over.done():
            self._over.set_result(None)


def _head(caller: Caller, length: int) -> bytes:
    parts = [b"%b %b HTTP/1.1\r\n" % (caller.method, caller.head.target)]
    for kind, name, value in caller.head.passing:
        if kind not in {"length", "coding"}:
            parts += (name, b": ", value, b"\r\n")
    if length:
        parts.append(b"content-length: %d\r\n" % length)
    parts.append(b"\r\n")
    return b"".join(parts)


def _say_away(caller: Caller) -> None:
    """Answer that the office is away: calls go on, pages and administration do not."""
    problem = {
        "type": "about:blank",
        "title": "The office is away",
        "status": 503,
        "detail": "Calls are served and recorded; the dashboard and the admin API are back as soon as the office is. Try again in a moment.",
    }
    body = json.dumps(problem).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body)), (b"retry-after", b"2")]
    caller.start(503, b"Service Unavailable", headers, "none" if caller.method == b"HEAD" else "length")
    if caller.method != b"HEAD":
        caller.data(body)
    caller.end(())
