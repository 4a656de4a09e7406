"""The meter of a running answer: what it may have cost so far, so that more is held before that is used up, or the answer is cut.

Nothing is parsed. Most providers send an event for each token, some put several into one: so each event counts as a token, and what it is
longer than the shortest of its stream as one more for every three bytes.
"""

import asyncio
import re
from typing import Protocol

from domain.errors import GatewayError
from domain.exchange import Dialect
from gateway.budgets.hold import SLICE_TOKENS, Holding
from gateway.budgets.holding import Holdings
from gateway.wire.error_answers import stream_error

BYTES_A_TOKEN = 3
SESSION_BYTES_A_TOKEN = 100
# More is asked for when so many tokens of the slice are left.
AHEAD_TOKENS = SLICE_TOKENS // 4
_EVENT = b"data:"
_LEAST_EVENT = 24
_ENDS = (b"\n\n", b"\r\n\r\n")
_EVENT_END = re.compile(rb"\r?\n\r?\n")


class Flow(Protocol):
    """The answer that is metered."""

    def pause(self) -> None:
        """Read no more from the upstream for now."""

    def resume(self) -> None:
        """Read on."""

    def stop(self) -> None:
        """Read no more at all, since no more is paid for: `StreamMeter.passed` says how the answer ends."""


class StreamMeter:
    """Counts one answer. Each piece goes through `passed`; after a slice was refused, that returns the answer's end, and `over` says that it is there."""

    def __init__(  # noqa: PLR0913 - what it counts, and how the end of that looks
        self,
        holdings: Holdings,
        holding: Holding,
        flow: Flow,
        *,
        dialect: Dialect,
        path: bytes,
        events: bool,
        session: bool = False,
    ) -> None:
        """`events`: the answer is server-sent events, uncompressed, so that an error event can end it. `session`: a WebSocket."""
        self._holdings = holdings
        self._holding = holding
        self._flow = flow
        self._dialect: Dialect = dialect
        self._path = path
        self._events = events
        self._session = session
        self._shortest = 0
        self._missing = 0
        self._bytes = 0
        self._asked: asyncio.Task[None] | None = None
        self._paused = False
        self._turned_down = False
        self._whole = True
        self.tokens = 0
        self.refused: GatewayError | None = None
        self.over = False

    def passed(self, piece: bytes) -> bytes:
        """Return what may go on of a piece: all of it, until a slice was refused; then the rest of the event that has begun, and the error."""
        if self.refused is not None:
            return self._last(piece)
        self._count(piece)
        if self._events:
            self._whole = piece.endswith(_ENDS)
        # What is held is paid for. So after a refusal it is used up first; by then there may be room.
        ahead = 0 if self._turned_down else AHEAD_TOKENS
        if self._asked is None and not self._holding.enough_for(self.tokens + ahead):
            self._asked = asyncio.ensure_future(self._ask())
        if self._asked is not None and not self._paused and not self._holding.enough_for(self.tokens):
            self._paused = True
            self._flow.pause()
        return piece

    def close(self) -> None:
        """Ask for no more: the answer has ended."""
        if self._asked is not None:
            self._asked.cancel()

    def _count(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._session or not self._events:
            self.tokens = self._bytes // (SESSION_BYTES_A_TOKEN if self._session else BYTES_A_TOKEN)
            return
        events = piece.count(_EVENT)
        # The last event of a piece that a read cut off says nothing of how long events are.
        whole, length = (events, len(piece)) if piece.endswith(_ENDS) else (events - 1, piece.rfind(_EVENT))
        if whole > 0:
            length //= whole
            self._shortest = min(self._shortest or length, max(length, _LEAST_EVENT))
        # An event that a read cuts through was counted with its beginning; its rest comes with the next piece, and is not counted again.
        longer = len(piece) - events * self._shortest - self._missing
        self._missing = min(max(-longer, 0), self._shortest)
        self.tokens += events + max(longer, 0) // BYTES_A_TOKEN

    async def _ask(self) -> None:
        try:
            while not self._holding.enough_for(self.tokens + AHEAD_TOKENS):
                await self._holdings.more(self._holding, max(SLICE_TOKENS, self.tokens // 4))
            self._turned_down = False
        except GatewayError as error:
            if not self._holding.enough_for(self.tokens):
                self._cut(error)
                return
            self._turned_down = True
        finally:
            self._asked = None
        if self._paused:
            self._paused = False
            self._flow.resume()

    def _cut(self, error: GatewayError) -> None:
        """Let the answer end: at once, or with the event that has begun."""
        self.refused = error
        if self._whole or not self._events:
            self._flow.stop()
        elif self._paused:
            self._flow.resume()

    def _last(self, piece: bytes) -> bytes:
        """Return what ends the answer: up to the end of the event that has begun, and then the error."""
        if self.over:
            return b""
        if not self._events or self.refused is None:
            self.over = True
            return b""
        begun = b""
        if not self._whole:
            end = _EVENT_END.search(piece)
            if end is None:
                return piece
            begun = piece[: end.end()]
        self.over = True
        return begun + stream_error(self.refused, self._dialect, self._path)
