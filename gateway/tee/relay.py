"""The tee: what the upstream sends goes to the caller first, and into the record.

Each read from the upstream is one write to the caller: nothing is held back, and nothing is joined across reads. A slow caller slows the upstream.
"""

from typing import TYPE_CHECKING

from gateway.tee.recording import Recording
from gateway.tee.withhold import Withholding
from gateway.wire.answer import Answer
from gateway.wire.caller import Caller
from gateway.wire.steps import Signal

if TYPE_CHECKING:
    from gateway.budgets.metering import StreamMeter


class Relay:
    """Passes the body of one answer on."""

    __slots__ = (
        "_answer",
        "_caller",
        "_done",
        "_error",
        "_gathered",
        "_over",
        "_record",
        "_reset",
        "_unpaid",
        "_withholding",
        "ends_whole",
        "meter",
    )

    def __init__(
        self, answer: Answer, caller: Caller, record: Recording, *, withholding: Withholding | None, reset: bool
    ) -> None:
        """`reset`: an answer that is broken off must be broken off by a reset, for its end would look like a whole one's.

        A `meter` may be put in before `run`, where a budget pays for the answer slice by slice; `ends_whole` says that what it puts at the end
        of an answer that is no longer paid for makes that whole.
        """
        self.ends_whole = False
        self.meter: StreamMeter | None = None
        self._answer = answer
        self._caller = caller
        self._record = record
        self._withholding = withholding
        self._reset = reset
        self._gathered: list[bytes] = []
        self._over: Signal | None = None
        self._done = False
        self._unpaid = False
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
            if self.meter is not None:
                self.meter.close()
        return self._error

    def finish(self) -> None:
        """End the caller's answer as the upstream's ended."""
        if self._error is None or (self.ends_whole and self.meter is not None and self.meter.refused is self._error):
            self._caller.end(self._answer.trailers)
        else:
            self._caller.cut(reset=self._reset)

    def data(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self._done:
            return
        self._record.response_came(piece)
        if self.meter is not None:
            # An empty piece would be a chunked answer's end.
            if passed := self.meter.passed(piece):
                self._pass(passed)
            if self.meter.over:
                self.ended(self.meter.refused)
        else:
            self._pass(piece)

    def _pass(self, piece: bytes) -> None:
        if self._withholding is None:
            self._caller.data(piece)
        else:
            self._gathered.append(piece)

    def read_done(self) -> None:
        """Write on what one read brought."""
        if self._done:
            return
        if self._withholding is not None:
            self._sift()
        self._caller.flush()
        self._record.read_done()

    def ended(self, error: Exception | None) -> None:
        """Take the end of the answer."""
        if self._done:
            return
        self._error = error
        if self.meter is not None:
            self.meter.close()
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

    # What the meter asks for

    def pause(self) -> None:
        """Read no more from the upstream for now."""
        self._unpaid = True
        self._answer.pause()

    def resume(self) -> None:
        """Read on."""
        self._unpaid = False
        if not self._done and self._caller.ready:
            self._answer.resume()

    def stop(self) -> None:
        """End the answer where it is: nobody pays for more of it."""
        meter = self.meter
        if meter is not None and not self._done:
            if last := meter.passed(b""):
                self._pass(last)
            self.ended(meter.refused)

    def _sift(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered and self._withholding is not None:
            passed = self._withholding.passed(gathered)
            if passed:
                self._caller.data(passed)

    def _ready(self, ready: bool) -> None:
        if not ready:
            self._answer.pause()
        elif not self._unpaid:
            self._answer.resume()
