"""The tee: what the upstream sends goes to the caller first, and into the record.

Each read from the upstream is one write to the caller: nothing is held back, and nothing is joined across reads. A slow caller slows the upstream.
"""

from gateway.caller import Caller
from gateway.engine import Answer
from gateway.recording import Recording
from gateway.steps import Signal
from gateway.withhold import Withholding


class Relay:
    """Passes the body of one answer on."""

    __slots__ = ("_answer", "_caller", "_done", "_error", "_gathered", "_over", "_record", "_reset", "_withholding")

    def __init__(
        self, answer: Answer, caller: Caller, record: Recording, *, withholding: Withholding | None, reset: bool
    ) -> None:
        """`reset`: an answer that is broken off must be broken off by a reset, for its end would look like a whole one's."""
        self._answer = answer
        self._caller = caller
        self._record = record
        self._withholding = withholding
        self._reset = reset
        self._gathered: list[bytes] = []
        self._over: Signal | None = None
        self._done = False
        self._error: Exception | None = None

    async def run(self) -> Exception | None:
        """Pass everything on; return what broke the answer off, or None when it is whole.

        The caller's answer is ended here, unless the record is exact: then the last piece waits for `finish`.
        """
        self._caller.on_ready = self._ready
        try:
            self._answer.pass_to(self)
            if not self._done:
                if not self._caller.ready:
                    self._answer.pause()
                self._over = Signal(self._answer.loop)
                await self._over
        finally:
            self._caller.on_ready = None
        return self._error

    def finish(self) -> None:
        """End the caller's answer as the upstream's ended."""
        if self._error is None:
            self._caller.end(self._answer.trailers)
        else:
            self._caller.cut(reset=self._reset)

    def data(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._record.response_came(piece)
        if self._withholding is None:
            self._caller.data(piece)
        else:
            self._gathered.append(piece)

    def read_done(self) -> None:
        """Write on what one read brought."""
        if self._withholding is not None:
            self._sift()
        self._caller.flush()
        self._record.read_done()

    def ended(self, error: Exception | None) -> None:
        """Take the end of the answer."""
        self._error = error
        if self._withholding is not None:
            self._sift()
            rest = self._withholding.rest()
            if rest:
                self._caller.data(rest)
            self._record.withheld = self._withholding.withheld
        if not self._record.exact:
            self.finish()
        self._record.read_done()
        self._done = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _sift(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered and self._withholding is not None:
            passed = self._withholding.passed(gathered)
            if passed:
                self._caller.data(passed)

    def _ready(self, ready: bool) -> None:
        if ready:
            self._answer.resume()
        else:
            self._answer.pause()
