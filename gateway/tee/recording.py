"""What is written down of one call, while it runs: copies of both bodies, when each byte came, and how it ended.

The copies are bounded. A long stream hands what it has to the journal now and then and forgets it, so that a thousand open streams
cost little memory and a killed gate loses nothing of them.
"""

from array import array
from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import Literal

from domain.exchange import Attempt, Capture, Closing, Dialect, Ending, Labels, Opening, OwnError
from domain.keys import ApiKey
from gateway.identity import UNKNOWN_KEY
from gateway.tee.bare import BareBody, BareEvents
from gateway.tee.barrier import Barrier
from gateway.wire.answer import Header
from gateway.wire.caller import Caller
from gateway.wire.heads import recorded
from routing.labels import NO_LABELS
from storage.journal import JournalWriter

MOST_MARKS = 4096
PROGRESS_US = 1_000_000


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """How calls are recorded. Bytes and seconds."""

    barrier: Literal["off", "begin", "exact"] = "begin"
    barrier_seconds: float = 0.05
    copy_bytes: int = 8 * 2**20
    progress_bytes: int = 64 * 1024


class Recording:
    """The record of one call in the making."""

    __slots__ = (
        "_arrived",
        "_at",
        "_bare",
        "_barrier",
        "_caller",
        "_closed",
        "_copied",
        "_journal",
        "_last_progress_us",
        "_marks",
        "_opening",
        "_picks",
        "_request",
        "_request_copied",
        "_response",
        "_rules",
        "_since_progress",
        "_ticket",
        "attempts",
        "changes",
        "error",
        "first_byte_us",
        "held",
        "id",
        "keeps_bodies",
        "key",
        "passed_us",
        "ready_us",
        "request_bytes",
        "response_bytes",
        "response_headers",
        "response_trailers",
        "sent_us",
        "status",
        "withheld",
    )

    def __init__(self, journal: JournalWriter, rules: RecordingRules, barrier: Barrier, caller: Caller, call_id: str) -> None:
        """Begin the record of a call whose head is there now."""
        self._barrier = barrier
        self._journal = journal
        self._rules = rules
        self._caller = caller
        self._at = time_ns()
        self._arrived = perf_counter_ns()
        self._opening: Opening | None = None
        self._bare: BareEvents | BareBody | None = None
        self._picks = False
        self._closed = False
        self._request: list[bytes] = []
        self._request_copied = 0
        self._response: list[bytes] = []
        self._copied = 0
        self._since_progress = 0
        self._last_progress_us = 0
        self._marks = array("I")
        self._ticket = 0
        self.id = call_id
        self.key: ApiKey | None = None
        self.keeps_bodies = True
        self.attempts: list[Attempt] = []
        self.changes: tuple[str, ...] = ()
        self.response_headers: list[Header] = []
        self.response_trailers: list[Header] = []
        self.request_bytes = 0
        self.response_bytes = 0
        self.status: int | None = None
        self.error: OwnError | None = None
        self.withheld = 0
        self.held: tuple[int, ...] = ()
        self.ready_us: int | None = None
        self.sent_us: int | None = None
        self.first_byte_us: int | None = None
        self.passed_us: int | None = None

    def known(  # noqa: PLR0913 - what an opening says
        self,
        common: tuple[str, str, str, Dialect, str, str, str],
        labels: Labels,
        model: str | None,
        stream: bool | None,
        capture: Capture,
        *,
        websocket: bool,
        picks: bool = True,
    ) -> None:
        """Know what the call is; `common` are the fields of `Opening` from `method` to `project`.

        `picks`: where no content may be kept, pick out of the answer what it cost.
        """
        self._opening = Opening(self.id, self._at, *common, labels, model, stream, capture, websocket)
        self.keeps_bodies = capture != "none"
        self._picks = picks and not self.keeps_bodies

    @property
    def opening(self) -> Opening:
        """What is known of the call."""
        return self._opening or self._refused()

    @property
    def opened(self) -> bool:
        """Whether it was written down that the call goes upstream."""
        return self._ticket > 0

    def elapsed_us(self) -> int:
        """Return the microseconds since the call arrived."""
        return (perf_counter_ns() - self._arrived) // 1000

    def open(self) -> None:
        """Write down that the call goes upstream now."""
        if self._opening is not None:
            self._ticket = self._journal.opened(self._opening)

    @property
    def begun(self) -> bool:
        """Whether the answer may begin: the opening is safe on disk, or nobody waits for that."""
        return self._journal.synced >= self._ticket or self._rules.barrier == "off"

    async def synced(self) -> None:
        """Wait until what was written down last, the opening or the closing, is safe on disk, at most as long as the barrier allows."""
        await self._barrier.passed(self._ticket)

    @property
    def exact(self) -> bool:
        """Whether the end of the answer waits for the record."""
        return self._rules.barrier == "exact"

    def request_came(self, piece: bytes) -> None:
        """Copy a piece of the request."""
        self.request_bytes += len(piece)
        if self.keeps_bodies and self._request_copied < self._rules.copy_bytes:
            piece = piece[: self._rules.copy_bytes - self._request_copied]
            self._request_copied += len(piece)
            self._request.append(piece)

    def response_came(self, piece: bytes) -> None:
        """Copy a piece of the answer."""
        size = len(piece)
        self.response_bytes += size
        if self._bare is not None:
            self._keep_bare(self._bare.came(piece))
        elif self.keeps_bodies and self._copied < self._rules.copy_bytes:
            if self._copied + size > self._rules.copy_bytes:
                piece = piece[: self._rules.copy_bytes - self._copied]
                size = len(piece)
            self._copied += size
            self._since_progress += size
            self._response.append(piece)

    def bare(self, *, events: bool) -> None:
        """Keep of the answer only what it cost, if its content may not be kept; `events`: it is a stream of them."""
        if self._picks:
            self._bare = BareEvents() if events else BareBody(self._rules.copy_bytes)

    def _keep_bare(self, kept: bytes) -> None:
        if kept:
            self._response.append(kept)
            self._copied = self.response_bytes  # what is kept is not the beginning of a whole

    def read_done(self) -> None:
        """Mark the time of a read, and now and then write down what came since."""
        now = (perf_counter_ns() - self._arrived) // 1000
        marks = self._marks
        if len(marks) < 2 * MOST_MARKS:
            marks.append(now & 0xFFFFFFFF)
            marks.append(self.response_bytes & 0xFFFFFFFF)
        if self._since_progress >= self._rules.progress_bytes or (
            now - self._last_progress_us > PROGRESS_US and self._since_progress and self._last_progress_us
        ):
            self._write_progress(now)
        elif not self._last_progress_us:
            self._last_progress_us = now

    def _write_progress(self, now: int) -> None:
        self._journal.progress(self.id, self._response, self._request)
        self._response, self._request = [], []
        self._since_progress = 0
        self._last_progress_us = now

    def close(self, ending: Ending, error: OwnError | None = None) -> None:
        """Write down how the call ended; only the first time counts."""
        if self._closed:
            return
        self._closed = True
        if self._bare is not None:
            self._keep_bare(self._bare.rest())
        caller, opening = self._caller, self.opening
        closing = Closing(
            at=time_ns(),
            ending=ending,
            status=self.status,
            request_headers=caller.head.recorded_with(caller.length),
            response_headers=recorded(self.response_headers),
            attempts=tuple(self.attempts),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            request_cut=self._request_copied < self.request_bytes,
            response_cut=self._copied < self.response_bytes,
            sent_us=self.sent_us,
            first_byte_us=self.first_byte_us,
            overhead_us=self._overhead_us(),
            marks=self._marks.tobytes(),
            changes=self.changes,
            withheld=self.withheld,
            error=error or self.error,
            response_trailers=recorded(self.response_trailers) if self.response_trailers else (),
        )
        self._ticket = self._journal.closed(opening, closing, self._request, self._response)
        self._response, self._request = [], []

    def _refused(self) -> Opening:
        """Return the opening of a call that was refused before it was known whole."""
        key, caller = self.key or UNKNOWN_KEY, self._caller
        method, path = caller.method.decode("latin-1"), caller.head.path
        return Opening(self.id, self._at, method, path, "", "openai", key.id, key.name, key.project, NO_LABELS)

    def _overhead_us(self) -> int | None:
        """Return our own time: from the whole request to its sending, and from the answer's first byte to its passing on.

        Upstreams that failed before the last one, and pauses between tries, are not ours.
        """
        if self.sent_us is None or self.ready_us is None:
            return None
        own = self.sent_us - self.ready_us
        if len(self.attempts) > 1:
            own -= max(0, self.attempts[-1].at - self.attempts[0].at) // 1000
        own = max(0, own)
        if self.first_byte_us is not None and self.passed_us is not None:
            own += max(0, self.passed_us - self.first_byte_us)
        return own
