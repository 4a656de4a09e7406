"""The answer to one call, as the upstream engine brings it.

An `Answer` collects what comes until a `Receiver` takes it; from then on every read is handed over at once and ends with `read_done`, so that a
receiver can gather what one read brought and write it on in one go.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.wire.failures import UpstreamGone
from gateway.wire.steps import Signal

if TYPE_CHECKING:
    from gateway.wire.engine import Connection

Header = tuple[bytes, bytes]
Head = asyncio.Future[None] | Signal
Inform = Callable[[int, bytes, list[Header]], None]
HELD_BACK = 256 * 1024
JOINED = 64 * 1024


class Receiver(Protocol):
    """Takes an answer as it comes. Every method returns at once."""

    def data(self, piece: bytes) -> None:
        """Take a piece of the body."""

    def read_done(self) -> None:
        """Know that all pieces of one read have been handed over."""

    def ended(self, error: Exception | None) -> None:
        """Know that the answer is over: whole (None), or broken off."""


class Answer:
    """The answer to one call, from its first byte to its last."""

    __slots__ = (
        "_connection",
        "_held",
        "_held_bytes",
        "_receiver",
        "_waiter",
        "chunked",
        "done",
        "error",
        "head",
        "headers",
        "hops",
        "informed",
        "length_known",
        "reason",
        "status",
        "trailers",
        "upgraded",
    )

    def __init__(self, connection: "Connection", head: Head, informed: "Inform | None") -> None:
        """Await `head` before reading anything else: it is told behind the read that brought it. `informed` is called for each 1xx answer that comes first."""
        self._connection = connection
        self.head = head
        self.informed = informed
        self.status = 0
        self.reason = b""
        self.headers: list[Header] = []
        self.trailers: list[Header] = []
        self.chunked = False
        self.hops = False
        self.length_known = False
        self.upgraded = False
        self.done = False
        self.error: Exception | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._receiver: Receiver | None = None
        self._waiter: asyncio.Future[None] | None = None

    def pass_to(self, receiver: Receiver) -> None:
        """Hand everything to `receiver` from now on, and at once what has come already."""
        held, self._held = self._held, []
        for piece in held:
            receiver.data(piece)
        if self.done:
            receiver.ended(self.error)
            return
        self._receiver = receiver
        receiver.read_done()
        if self._held_bytes > HELD_BACK:
            self._connection.resume_reading()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the answer comes on."""
        return self._connection.loop

    @property
    def beginning(self) -> bytes:
        """What has come of the body while nobody takes it."""
        return b"".join(self._held)

    def pause(self) -> None:
        """Read no more from the upstream until `resume`."""
        self._connection.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._connection.resume_reading()

    def write(self, data: bytes) -> None:
        """Send raw bytes upstream (after an upgrade)."""
        self._connection.write(data)

    def when_writable(self, tell: Callable[[bool], None]) -> None:
        """Tell when the upstream takes no more bytes for now, and when it does again."""
        self._connection.on_writable = tell

    async def whole(self, most: int) -> None:
        """Wait until the answer is whole, or more than `most` bytes of it are held."""
        while not self.done and self._held_bytes <= most:
            self._waiter = self.loop.create_future()
            await self._waiter

    def close(self) -> None:
        """Give the connection back if the answer is whole, and else close it, so that the upstream stops working."""
        self._connection.release()

    def took(self, piece: bytes) -> None:
        """Take a piece of the body from the connection."""
        if self._receiver is not None:
            self._receiver.data(piece)
            return
        self._held.append(piece)
        self._held_bytes += len(piece)
        self._wake()
        if self._held_bytes > HELD_BACK:
            self._connection.pause_reading()

    def read_done(self) -> None:
        """Know that one read from the socket was parsed whole."""
        if self._receiver is not None and not self.done:
            self._receiver.read_done()

    def begun(self, *, whole: bool) -> None:
        """Know that the head came, and whether the rest came with it."""
        self.done = whole
        self._wake()
        self.head.set_result(None)

    def finish(self, error: Exception | None) -> None:
        """Know that nothing more comes."""
        if self.done:
            return
        self.done, self.error = True, error
        self._wake()
        if not self.head.done():
            if self.status:
                self.head.set_result(None)
            else:
                self.head.set_exception(error or UpstreamGone("the upstream closed the connection without an answer"))
        elif self._receiver is not None:
            # The receiver knows this answer: without letting go of it, only the garbage collector could free the two.
            receiver, self._receiver = self._receiver, None
            receiver.ended(error)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def joined(parts: Sequence[bytes]) -> bytes:
    """Return `parts` as one piece of bytes, without a copy where there is only one."""
    return parts[0] if len(parts) == 1 else b"".join(parts)
