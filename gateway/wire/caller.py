"""The two sides of a call as the proxy sees them: the request's body as it arrives, and the caller who waits for the answer.

There are two ways in, a protocol class below ASGI (`gateway.protocol`) and an ASGI endpoint (`gateway.asgi`). Both give the proxy a `Caller`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from domain.errors import BodyTooLarge, GatewayError
from gateway.wire.answer import Header
from gateway.wire.heads import RequestHead

HIGH_WATER = 64 * 1024


class CallerGone(Exception):
    """The caller left before its request was complete."""


class Body:
    """A request's body: first held, up to a bound, and then streamed to whoever takes it."""

    __slots__ = (
        "_error",
        "_failed",
        "_flow",
        "_held_bytes",
        "_limit",
        "_loop",
        "_pieces",
        "_sink",
        "_waiter",
        "complete",
        "size",
        "trailers",
    )

    def __init__(self, flow: Callable[[bool], None], loop: asyncio.AbstractEventLoop) -> None:
        """Ask the caller by `flow(False)` to send no more for now, and by `flow(True)` to go on."""
        self._flow = flow
        self._loop = loop
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Callable[[bytes], None] | None = None
        self._failed: Callable[[Exception], None] | None = None
        self._error: Exception | None = None
        self._limit: int | None = None
        self.size = 0
        self.complete = False
        self.trailers: list[Header] = []

    # What the way in does.

    def feed(self, piece: bytes) -> None:
        """Take a piece from the caller."""
        self.size += len(piece)
        if self._limit is not None and self.size > self._limit:
            self.fail(too_large(self._limit))
            return
        if self._sink is not None:
            self._sink(piece)
            return
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._waiter is not None:
            self._wake()
        elif self._held_bytes > HIGH_WATER:
            self._flow(False)

    def end(self, trailers: list[Header]) -> None:
        """Know that the body is whole."""
        self.complete = True
        self.trailers = trailers
        if self._sink is not None:
            self._sink(b"")
        self._wake()

    def fail(self, error: Exception) -> None:
        """Know that the body will not become whole."""
        self._error = error
        if self._failed is not None:
            self._failed(error)
        self._wake()

    # What the proxy does.

    def held(self) -> bytes:
        """Return the whole body, where it is complete."""
        pieces = self._pieces
        if not pieces:
            return b""
        if len(pieces) > 1:
            self._pieces = pieces = [b"".join(pieces)]
        return pieces[0]

    async def hold(self, most: int, limit: int | None) -> bytes:
        """Return the whole body, or its beginning as soon as it is longer than `most`.

        Raises:
            BodyTooLarge: it is longer than `limit` bytes.
            GatewayError: the caller was too slow.
        """
        self._limit = limit
        if limit is not None and self.size > limit:
            raise too_large(limit)
        while not self.complete and self._held_bytes <= most:
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            self._flow(True)
            await self._waiter
        if self._error is not None:
            raise self._error
        return self.held()

    def stream_to(self, sink: Callable[[bytes], None], failed: Callable[[Exception], None]) -> None:
        """Hand every further piece to `sink` as it comes, and at the end `b""`. What `hold` returned is not handed over again.

        Pieces that came since are handed over at once. `failed` is told when the body will not become whole.
        """
        later = self._pieces[1:]
        self._pieces = []
        self._sink, self._failed = sink, failed
        for piece in later:
            sink(piece)
        if self.complete:
            sink(b"")
        else:
            self._flow(True)

    def pause(self) -> None:
        """Ask the caller to wait: the upstream takes no more for now."""
        if not self.complete:
            self._flow(False)

    def resume(self) -> None:
        """Ask the caller to go on."""
        self._flow(True)

    def let_flow(self, flow: bool) -> None:
        """Ask the caller to send on, or to wait (in a tunnel)."""
        self._flow(flow)

    def early(self) -> bytes:
        """Return what came behind the request's head before the upgrade was made, and keep it no longer."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    @property
    def error(self) -> Exception | None:
        """Why the body will not become whole, if so."""
        return self._error

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def too_large(limit: int) -> GatewayError:
    """Return the error for a body over `limit` bytes."""
    return BodyTooLarge(f"The request's body is larger than {limit} bytes. Raise `server.max_body_mb`, or send less.")


class Caller(Protocol):
    """Who sent the request and waits for the answer. No method waits; what cannot be written yet is bounded by `on_ready`."""

    method: bytes
    head: RequestHead
    length: bytes | None
    body: Body
    gone: bool
    started: bool
    on_ready: Callable[[bool], None] | None
    on_data: Callable[[bytes], None] | None
    upgrade: bool

    @property
    def ready(self) -> bool:
        """Whether more can be written now; `on_ready` tells when that changes."""

    def inform(self, status: int, reason: bytes, headers: Sequence[Header]) -> None:
        """Pass on a 1xx answer."""

    def proceed(self) -> None:
        """Say 100 Continue, if the caller waits for it."""

    def start(self, status: int, reason: bytes, headers: Sequence[Header], framing: str) -> None:
        """Begin the answer. `framing` is how its end is told: "none", "length", "chunked", "close" or "tunnel"."""

    def data(self, piece: bytes) -> None:
        """Add a piece of the body to what is written next."""

    def flush(self) -> None:
        """Write what was added, in one go."""

    def end(self, trailers: Sequence[Header]) -> None:
        """End the answer."""

    def cut(self, *, reset: bool) -> None:
        """Break the answer off, so that the caller sees that it is not whole."""
