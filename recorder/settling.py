"""Settling: the office's side of the ledger, a thread beside the recorder.

The recorder saves what calls owe in the transaction that saves them; this takes it from there to the ledger, again and again until it is there, so
that neither a ledger nor a store that is away holds up recording, and nothing is lost or counted twice. It also charges holds whose lease
ran out, compares the ledger with the store, and makes a lost ledger anew.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from domain.errors import StoreUnavailable
from domain.exchange import Opening
from domain.holds import read_hold
from domain.ledger import Claim, LedgerLost, LedgerUnavailable, SettlingLedger, Standing

log = logging.getLogger(__name__)

LEASE = 60.0
AT_ONCE = 200
COUNTERS_AT_ONCE = 500
EXPIRE_EVERY, LOOK_EVERY, RECONCILE_EVERY = 2.0, 2.0, 60.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0


class Waiting(Protocol):
    """The hold of a saved call that the ledger has not settled (`storage.spending.Unsettled`)."""

    @property
    def hold(self) -> str:
        """Its name."""

    @property
    def amounts(self) -> tuple[int, ...]:
        """The true amounts, in the order of the hold's claims."""

    @property
    def at_hold(self) -> tuple[bool, ...]:
        """Which of the amounts nobody knows: they are what is held."""

    @property
    def counters(self) -> tuple[str, ...]:
        """The claims' counters."""


class SpendingStore(Protocol):
    """What the store knows of spending (`storage.spending.Spending`). Each method may raise `StoreUnavailable`."""

    def unsettled(self, most: int = ..., /) -> Sequence[Waiting]:
        """Return some holds that the ledger has not settled."""

    def settled(self, holds: Sequence[str], /) -> None:
        """Forget that these holds wait."""

    def correct(self, hold: str, amounts: Sequence[int], /) -> None:
        """Put other amounts in the place of those that a hold waits with."""

    def sums(self, counters: Sequence[str] | None = ..., /) -> list[Claim]:
        """Return what is spent, part by part."""

    def settled_sums(self, counters: Sequence[str] | None = ..., /) -> list[Claim]:
        """Return what of it the ledger must know by now."""

    def forget(self, *, now: float) -> int:
        """Delete the sums of windows that are long over."""


@dataclass(frozen=True, slots=True)
class SettlingProgress:
    """What was done so far. Amounts are in the budgets' own units.

    `drift_low` and `drift_high` are what the last comparison found the ledger to be too low and too high by; `raised` and `lowered` what
    was put right in all.
    """

    settled: int = 0
    strangers: int = 0
    expired: int = 0
    rebuilt: int = 0
    raised: int = 0
    lowered: int = 0
    drift_low: int = 0
    drift_high: int = 0
    compared_at: float | None = None
    failures: int = 0
    last_error: str | None = None


def _nobody(_standings: Mapping[str, Standing]) -> None:
    """Tell nobody."""


class Settling:
    """The loop. `run` belongs to one thread; everything else may be called from any."""

    def __init__(  # noqa: PLR0913 - its collaborators; each is replaced in some test
        self,
        ledger: SettlingLedger,
        spending: SpendingStore,
        *,
        running: Callable[[], Iterable[Opening]] = tuple,
        caught_up: Callable[[], bool] = lambda: True,
        told: Callable[[Mapping[str, Standing]], None] = _nobody,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take what it works with; nothing runs yet.

        `running` are the calls that were opened and have not ended, and `caught_up` says whether that is all of them yet. `told` hears what
        counters hold after they were settled.
        """
        self._ledger = ledger
        self._spending = spending
        self._running = running
        self._caught_up = caught_up
        self._told = told
        self._now = now
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._progress = SettlingProgress()
        self._expire_at = self._look_at = self._reconcile_at = 0.0

    @property
    def progress(self) -> SettlingProgress:
        """What was done so far."""
        return self._progress

    def wake(self) -> None:
        """Tell that calls were saved that have to be settled."""
        self._woken.set()

    def stop(self) -> None:
        """Make `run` return after the step it is at."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Settle until `stop`, for ever: what is away is tried again."""
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - the loop must go on
                self._failed(error)
                self._stopping.wait(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
                continue
            backoff = FIRST_BACKOFF
            self._woken.wait(EXPIRE_EVERY)

    def step(self) -> None:
        """Do what there is to do now.

        Raises:
            StoreUnavailable: the store is away.
            LedgerUnavailable: the ledger is away. Nothing is lost in either case: the same is done again.
        """
        now = self._now()
        woken = self._woken.is_set()
        self._woken.clear()
        try:
            if woken or now >= self._look_at:
                self._look_at = now + LOOK_EVERY
                self._settle()
            if now >= self._expire_at:
                self._expire_at = now + EXPIRE_EVERY
                self._expire()
            if now >= self._reconcile_at:
                self._reconcile_at = now + RECONCILE_EVERY
                self.reconcile()
                self._forget(now)
        except LedgerLost:
            self._look_at = self._reconcile_at = 0.0
            self.rebuild()
        except BaseException:
            # The ledger is asked again in the next step, so that what was wrong is over only when it answers.
            self._look_at = self._expire_at = 0.0
            raise
        self._progress = replace(self._progress, last_error=None)

    def rebuild(self) -> None:
        """Make a lost ledger anew: what was spent from the store, what is held from the journal.

        Running calls are asked for first: one that ends in between is then in both, and its end is settled like any other. Several
        offices may do this at once; one does, and the holds of the others' calls are made again when their gates renew them, which
        a ledger in Redis waits for before it holds anything new.

        Raises:
            LedgerLost: it cannot be done yet, since the journal was not read far enough.
        """
        if not self._caught_up():
            raise LedgerLost("the ledger is made anew as soon as the journal was read")
        holds = holds_of(self._running())
        sums = self._spending.settled_sums()
        if self._ledger.rebuild(sums, holds, now=self._now(), lease=LEASE):
            tell = log.warning if sums or holds else log.info
            tell("The ledger was made anew: %d sums, %d holds of running calls.", len(sums), len(holds))
            self._progress = replace(self._progress, rebuilt=self._progress.rebuilt + 1)
        self.wake()

    def reconcile(self) -> None:
        """Compare the ledger with the store. What is too low is raised at once; what is too high is lowered only where that is proved.

        A call is saved before it is settled. So what the store had seen settled before we looked at the ledger must be in it, and what is in the
        ledger must be in the store afterwards, whoever settles meanwhile.
        """
        least = self._spending.settled_sums()
        raised = lowered = too_low = too_high = 0
        now = self._now()
        for start in range(0, len(least), COUNTERS_AT_ONCE):
            some = [claim for claim in least[start : start + COUNTERS_AT_ONCE] if not _is_past(claim, now)]
            counters = sorted({claim.counter for claim in some})
            found = {key: tally.settled for key, tally in self._ledger.tallies(counters).items()}
            low = [claim for claim in some if found.get((claim.counter, claim.part), 0) < claim.amount]
            high = [
                replace(claim, amount=excess)
                for claim in self._spending.sums(counters)
                if (excess := found.get((claim.counter, claim.part), 0) - claim.amount) > 0
            ]
            too_low += sum(claim.amount - found.get((claim.counter, claim.part), 0) for claim in low)
            too_high += sum(claim.amount for claim in high)
            raised += self._ledger.raise_to(low, now=now) if low else 0
            seen = [found[claim.counter, claim.part] for claim in high]
            lowered += self._ledger.lower(high, seen, now=now) if high else 0
        if too_low or too_high:
            log.warning("The ledger was not what the store says: %d too low, %d too high.", too_low, too_high)
        done = self._progress
        self._progress = replace(
            done,
            raised=done.raised + raised,
            lowered=done.lowered + lowered,
            drift_low=too_low,
            drift_high=too_high,
            compared_at=now,
        )

    def _settle(self) -> None:
        """Settle all that waits, a few calls at a time."""
        while waiting := self._spending.unsettled(AT_ONCE):
            self._settle_some(waiting)
            if len(waiting) < AT_ONCE or self._stopping.is_set():
                return

    def _settle_some(self, waiting: Sequence[Waiting]) -> None:
        amounts = self._with_what_is_held(waiting)
        strangers = frozenset(self._ledger.settle(amounts, now=self._now()))
        self._spending.settled(list(amounts))
        counters = sorted({counter for call in waiting if call.hold in strangers for counter in call.counters})
        raised = 0
        if counters:
            # Settled before and not noted, or the ledger was lost, or away when the call began: in each case this makes it right.
            raised = self._ledger.raise_to(self._spending.settled_sums(counters), now=self._now())
        done = self._progress
        self._progress = replace(
            done,
            settled=done.settled + len(waiting),
            strangers=done.strangers + len(strangers),
            raised=done.raised + raised,
        )
        if self._told is not _nobody:
            self._told(self._ledger.standings(sorted({counter for call in waiting for counter in call.counters})))

    def _with_what_is_held(self, waiting: Sequence[Waiting]) -> dict[str, tuple[int, ...]]:
        """Return the amounts to settle calls with; where nobody knows, what the ledger holds now, and the store is told so first."""
        unknown = [call for call in waiting if any(call.at_hold)]
        held = self._ledger.held([call.hold for call in unknown]) if unknown else {}
        amounts = {call.hold: call.amounts for call in waiting}
        for call in unknown:
            now_held = held.get(call.hold, ())
            if len(now_held) != len(call.amounts):
                continue
            triples = zip(call.amounts, now_held, call.at_hold, strict=True)
            known = tuple(now_ if at_hold else amount for amount, now_, at_hold in triples)
            if known != call.amounts:
                self._spending.correct(call.hold, known)
                amounts[call.hold] = known
        return amounts

    def _expire(self) -> None:
        """Charge what was not renewed in time. What keeps a key's pace is never renewed, so this is nothing odd."""
        expired = AT_ONCE
        while expired == AT_ONCE and not self._stopping.is_set():
            expired = len(self._ledger.expire(now=self._now(), most=AT_ONCE))
            self._progress = replace(self._progress, expired=self._progress.expired + expired)

    def _forget(self, now: float) -> None:
        forgotten = AT_ONCE
        while forgotten >= AT_ONCE and not self._stopping.is_set():
            forgotten = self._ledger.forget(now=now, most=AT_ONCE)
        self._spending.forget(now=now)

    def _failed(self, error: Exception) -> None:
        """Remember what went wrong, and log it once for as long as it stays the same."""
        if isinstance(error, LedgerUnavailable | StoreUnavailable):
            message = str(error)
            if message != self._progress.last_error:
                log.warning("What calls have cost cannot be settled now: %s; trying again", message)
        else:
            message = f"settling failed: {type(error).__name__}"
            log.error("settling failed", exc_info=error)
        self._progress = replace(self._progress, failures=self._progress.failures + 1, last_error=message)


def holds_of(openings: Iterable[Opening]) -> dict[str, list[Claim]]:
    """Return the holds of calls, as claims that nothing refuses."""
    found: dict[str, list[Claim]] = {}
    for opening in openings:
        if opening.hold is None:
            continue
        try:
            hold = read_hold(opening.hold)
        except ValueError:
            log.warning("the hold of call %s cannot be read", opening.id)
            continue
        found[hold.id] = [claim.claim() for claim in hold.claims]
    return found


def _is_past(claim: Claim, now: float) -> bool:
    """Return whether the ledger may have forgotten a counter."""
    return claim.forget_at is not None and claim.forget_at <= now
