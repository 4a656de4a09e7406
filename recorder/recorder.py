"""The recorder: reads the journal, works out what each exchange meant, and saves it. A thread of the office, for as long as that lives."""

import hashlib
import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from domain.calls import Call, Outcome
from domain.decisions import Decision
from domain.deliveries import Owed
from domain.errors import StoreUnavailable
from domain.exchange import Capture, Exchange, Labels
from domain.holds import Settlement
from domain.rulings import Ruling
from domain.spans import Content, Span
from recorder.interpret import call_of
from recorder.owing import settlement_of
from recorder.profiles import STANDARD, Redaction
from recorder.spans import Price, record_of
from storage.retention import Pruned

log = logging.getLogger(__name__)

NANOSECONDS = 10**9
# A batch costs as much as some ten calls, so calls are gathered: the longer, the longer they have come without a pause. After a pause the first
# ones are shown soon. With a whole batch waiting already, the next one is read at once. Where holds wait to be settled, it is done sooner.
SETTLING_WAIT, IDLE_WAIT, LONGEST_WAIT = 0.05, 0.2, 0.5
MORE_PATIENT = 1.5
WHOLE_BATCH = 256
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0
FIRST_ERROR = 400
PRUNE_EVERY, PRUNE_AGAIN, PRUNE_MOST = 60.0, 1.0, 500


# A call's content may be packed already, as the store keeps it.
Record = tuple[Span, Content | bytes | None]


class Source(Protocol):
    """The journal as the recorder reads it (`storage.journal.JournalReader`)."""

    def read(self) -> list[Exchange]:
        """Return the next exchanges, none if there are none yet."""

    def saved(self) -> None:
        """Forget what was read: it is safe."""

    def rewind(self) -> None:
        """Read again what was read and is not safe."""


class Store(Protocol):
    """Where spans go (`storage.spans.SpanStore`)."""

    def save(
        self, recorded: Sequence[Record], owed: Mapping[str, Settlement], deliveries: Mapping[str, Sequence[Owed]], /
    ) -> int:
        """Save all or nothing, with what calls owe to budgets and to destinations, by their ids; what is there already is left as it is."""

    def prune(self, *, content_before: int, spans_before: int, most: int) -> Pruned:
        """Delete a little of what is older than these times (Unix nanoseconds); say what it was, nothing if there was none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the recorder did so far. Times are Unix seconds; `waiting_since` is the age of the oldest call not yet saved.

    `caught_up` says whether the journal has been read to its end, for the first time at least.
    """

    recorded: int = 0
    unreadable: int = 0
    failures: int = 0
    pruned: int = 0
    last_saved_at: float | None = None
    last_error: str | None = None
    waiting_since: float | None = None
    caught_up: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept, and how long (seconds). `redaction` says what is taken out of contents that are kept redacted; the key is for what is hashed."""

    capture: Capture = "full"
    keep_content: float = 30 * 86_400
    keep_spans: float = 90 * 86_400
    redaction: Redaction = STANDARD
    redaction_key: bytes = b""


def patience_after(before: float, recorded: int) -> float:
    """Return for how many seconds calls are gathered now: longer than `before` if some came meanwhile."""
    return min(before * MORE_PATIENT, LONGEST_WAIT) if recorded else IDLE_WAIT


def _nothing(_spans: Sequence[Span]) -> None:
    """Tell nobody."""


def _as_it_is(content: Content) -> Content:
    return content


def _nobody() -> None:
    """Tell nobody."""


def _no_deliveries(_owed: Mapping[str, int]) -> None:
    """Tell nobody."""


class Recorder:
    """The loop. `run` belongs to one thread; everything else may be called from any.

    `pack` makes of a content what the store keeps of it. That is done call by call, since what a body meant is many small values: those of a
    whole batch would crowd each other out of the processor's cache.
    `rules` say of each span what is owed to whom; None where nobody is to hear of any.
    `told` hears of each batch after it was saved; it must not take long. Whatever happens in here, nothing of it reaches an app: a store
    that is away is waited for while the journal grows.
    """

    def __init__(  # noqa: PLR0913 - its collaborators; each is replaced in some test
        self,
        source: Source,
        store: Store,
        policy: Policy,
        *,
        interpret: Callable[[Exchange], Call] = call_of,
        price: Price | None = None,
        rules: Callable[[Span], Ruling] | None = None,
        pack: Callable[[Content], Content | bytes] = _as_it_is,
        told: Callable[[Sequence[Span]], None] = _nothing,
        owing: Callable[[], None] = _nobody,
        delivering: Callable[[Mapping[str, int]], None] = _no_deliveries,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take what it works with; nothing runs yet.

        `owing` hears that calls were saved whose holds are to be settled, `delivering` how many calls are owed to each destination now.
        """
        self._source = source
        self._store = store
        self._policy = policy
        self._interpret = interpret
        self._price = price
        self._rules = rules
        self._pack = pack
        self._told = told
        self._owing = owing
        self._delivering = delivering
        self._owes = False
        self._now = now
        self._stopping = threading.Event()
        self._progress = Progress()
        self._prune_at = 0.0

    @property
    def progress(self) -> Progress:
        """What was done so far."""
        return self._progress

    def stop(self) -> None:
        """Make `run` return after the batch it is at."""
        self._stopping.set()

    def run(self) -> None:
        """Record until `stop`. It looks for calls five times a second, down to twice while they keep coming, and again at once when there were many."""
        patience = IDLE_WAIT
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            try:
                recorded = self.step()
                self._prune_when_due()
            except Exception as error:  # noqa: BLE001 - the loop must go on
                self._failed(error)
                self._stopping.wait(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
                continue
            backoff = FIRST_BACKOFF
            patience = patience_after(patience, recorded)
            if recorded < WHOLE_BATCH:
                self._stopping.wait(SETTLING_WAIT if self._owes else patience)

    def step(self) -> int:
        """Record one batch, and return how many calls were in it.

        Raises:
            StoreUnavailable: the store is away. Nothing was lost: the same batch is read again.
        """
        exchanges = self._source.read()
        if not exchanges:
            self._progress = replace(self._progress, waiting_since=None, caught_up=True)
            return 0
        oldest = min(exchange.opening.at for exchange in exchanges) / NANOSECONDS
        self._progress = replace(self._progress, waiting_since=oldest)
        deliveries: dict[str, Sequence[Owed]] = {}
        records = [self._ruled(self._record(exchange), deliveries) for exchange in exchanges]
        try:
            owed = _owed(exchanges, records)
            self._save(records, owed, deliveries)
        except BaseException:
            self._source.rewind()
            raise
        self._source.saved()
        done = self._progress.recorded + len(records)
        self._progress = replace(self._progress, recorded=done, last_saved_at=self._now(), last_error=None, waiting_since=None)
        if len(records) < WHOLE_BATCH:
            self._progress = replace(self._progress, caught_up=True)
        self._tell([span for span, _ in records], deliveries)
        self._owes = bool(owed)
        if owed:
            self._owing()
        return len(records)

    def _save(self, records: Sequence[Record], owed: Mapping[str, Settlement], deliveries: Mapping[str, Sequence[Owed]]) -> None:
        """Save a batch; where the store will not have it, find the one that it will not have, and save the others."""
        try:
            self._store.save(records, owed, deliveries)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other calls must be saved
            if len(records) > 1:
                middle = len(records) // 2
                self._save(records[:middle], owed, deliveries)
                self._save(records[middle:], owed, deliveries)
                return
            self._save_bare(records[0][0], owed, deliveries, error)

    def _save_bare(
        self, span: Span, owed: Mapping[str, Settlement], deliveries: Mapping[str, Sequence[Owed]], error: Exception
    ) -> None:
        """Save of a span that the store refused what it surely takes: ids, times, how the call ended, and who is to hear of it."""
        bug = _bug_of(error)
        log.warning("call %s could not be stored whole: %s", span.id, bug)
        self._progress = replace(self._progress, unreadable=self._progress.unreadable + 1)
        bare = replace(
            span,
            trace_id=span.id,
            parent_span_id=None,
            path="",
            model=None,
            served_model=None,
            error=None,
            usage=None,
            labels=Labels(),
            tool_calls=(),
            finish_reasons=(),
            content="none",
            notes=(f"could not be stored whole: {bug}",),
            decisions=(),
            params={},
        )
        # Fields that rules made of the call may be what the store refused.
        plain = {id_: [replace(one, extra={}) for one in deliveries[id_]] for id_ in (span.id,) if id_ in deliveries}
        self._store.save([(bare, None)], owed, plain)

    def _record(self, exchange: Exchange) -> Record:
        """Return what is saved of an exchange: where it cannot be understood, everything but its meaning."""
        try:
            policy = self._policy
            span, content = record_of(
                exchange,
                self._interpret(exchange),
                capture=policy.capture,
                price=self._price,
                redaction=policy.redaction,
                key=policy.redaction_key,
            )
            return span, None if content is None else self._pack(content)
        except Exception as error:  # noqa: BLE001 - one exchange must never hold up the others
            bug = _bug_of(error)
            log.warning("call %s could not be interpreted: %s", exchange.opening.id, bug)
            self._progress = replace(self._progress, unreadable=self._progress.unreadable + 1)
            bare = Call(
                "unknown", _outcome_of(exchange), model=exchange.opening.model, notes=(f"could not be interpreted: {bug}",)
            )
            # What may have to be redacted is not kept at all, since redaction may be what failed.
            whole = self._policy.capture == "full" and exchange.opening.capture == "full"
            return record_of(exchange, bare, capture="full" if whole else "none")

    def _ruled(self, record: Record, deliveries: dict[str, Sequence[Owed]]) -> Record:
        """Return a record with what rules decided about it, and note in `deliveries` what is owed to whom."""
        if self._rules is None:
            return record
        span, content = record
        try:
            ruling = self._rules(span)
        except Exception as error:  # noqa: BLE001 - a rule must never cost a call its record
            bug = _bug_of(error)
            log.warning("the rules could not be asked about call %s: %s", span.id, bug)
            ruling = Ruling([Decision("rules", matched=False, why=f"the rules failed, and nobody was told: {bug}")])
        if ruling.owed:
            deliveries[span.id] = ruling.owed
        # The recorder made this span a moment ago; nobody else has it yet.
        span.decisions = (*span.decisions, *ruling.decisions)
        return span, content

    def _tell(self, spans: Sequence[Span], deliveries: Mapping[str, Sequence[Owed]]) -> None:
        try:
            self._told(spans)
            if deliveries:
                self._delivering(Counter(one.destination for owed in deliveries.values() for one in owed))
        except Exception:  # what listens must not stop what records
            log.exception("somebody who listens to the recorder failed")

    def _prune_when_due(self) -> None:
        """Delete a little of what is too old, now and then, and soon again while there is more."""
        now = self._now()
        if now < self._prune_at:
            return
        content_before = int((now - self._policy.keep_content) * NANOSECONDS)
        spans_before = int((now - self._policy.keep_spans) * NANOSECONDS)
        self._prune_at = now + PRUNE_EVERY
        pruned = self._store.prune(content_before=content_before, spans_before=spans_before, most=PRUNE_MOST)
        if pruned:
            self._prune_at = now + PRUNE_AGAIN
        self._progress = replace(self._progress, pruned=self._progress.pruned + pruned.contents + pruned.spans)

    def _failed(self, error: Exception) -> None:
        """Remember what went wrong, and log it once for as long as it stays the same."""
        message = f"the store is away: {error}" if isinstance(error, StoreUnavailable) else f"recording failed: {_bug_of(error)}"
        if message != self._progress.last_error:
            log.warning("%s; trying again", message)
        self._progress = replace(self._progress, failures=self._progress.failures + 1, last_error=message)


def _owed(exchanges: Sequence[Exchange], records: Sequence[Record]) -> dict[str, Settlement]:
    """Return what the calls that were held on budgets owe to them, by their ids."""
    pairs = zip(exchanges, records, strict=True)
    return {span.id: owed for exchange, (span, _) in pairs if exchange.opening.hold and (owed := settlement_of(exchange, span))}


def _bug_of(error: Exception) -> str:
    """Return an error's class and a short hash of where it came from: enough to find it again, nothing of what it was about."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "|".join(f"{frame.filename.rpartition('/')[2]}:{frame.name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} {hashlib.sha256(places.encode()).hexdigest()[:12]}"


def _outcome_of(exchange: Exchange) -> Outcome:
    """Return how a call ended, from its closing alone."""
    closing = exchange.closing
    if closing is None:
        return "interrupted"
    if closing.ending == "refused":
        return "denied"
    if closing.ending == "client_gone":
        return "cancelled"
    return "ok" if closing.ending == "complete" and (closing.status or 0) < FIRST_ERROR else "error"
