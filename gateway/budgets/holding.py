"""Holds: before a call of a key under a budget is sent, the most that it can cost is set aside in the ledger; or the call is refused.

    match ─ bound ─ hold ─ (clamp, or count tokens) ─ send ─ top up for each further try, or as a stream runs ─ end

What was held is settled by the office, when it knows what the call cost. Only a call that provably was never sent is given back here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from domain.budgets import Subject, Unit
from domain.errors import GatewayError
from domain.keys import ApiKey
from domain.ledger import Claim, Held, HoldingLedger, LedgerUnavailable, Refused, Standing
from domain.upstreams import Upstream
from gateway.budgets.amounts import amount_of, refusal_of_unbounded
from gateway.budgets.bounding import Bounding
from gateway.budgets.clamping import clamp_edit, least_output
from gateway.budgets.emergency import Emergency
from gateway.budgets.hold import SLICE_TOKENS, Asking, Holding, PastCost, requested_by
from gateway.budgets.in_force import Applied, Budgets
from gateway.budgets.pace import Pace, Permit
from gateway.budgets.refusals import refusal, too_dear, unavailable
from gateway.wire.peek import edited
from pricing.book import PriceBook
from pricing.bounds import Bound, Requested

log = logging.getLogger("faregate.gate")

LEASE_SECONDS = 60.0
NOTHING = Standing(0, 0)
# Often: a ledger that was lost holds nothing new until every gate has had the time to bring what it holds (`storage.ledger.redis.YOUNG_SECONDS`).
RENEW_SECONDS = LEASE_SECONDS / 12
MOST_RENEWED_AT_ONCE = 500
# Nobody else would give it back: a call that was never sent may not be in the journal.
RELEASE_PAUSES = (0.05, 0.2, 0.5, 1.0)
Counting = Callable[[bytes, str], Awaitable[int | None]]


class Holdings:
    """Admits calls of keys under a budget or a limit, and keeps their holds alive. Calls of all others never come here (`concerns`)."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        *,
        budgets: Budgets,
        ledger: HoldingLedger,
        bounding: Bounding,
        pace: Pace,
        clock: Callable[[], float],
        count: Counting | None = None,
        past_cost: PastCost = lambda _key, _model: None,
        emergency: Emergency | None = None,
    ) -> None:
        """Hold in `ledger`.

        Args:
            budgets: all of them.
            ledger: where to hold.
            bounding: works out what a call can cost.
            pace: limits that are about requests in a minute, and calls at once.
            clock: Unix seconds.
            count: asks somebody with a tokenizer for the most tokens of a body, where its bytes alone do not fit; None where nobody is there.
            past_cost: the 99th percentile of what the last calls of a key's id cost that are known as one (`Holding.known_as`), in nano-USD; None where there are too few.
            emergency: what may be spent while the ledger is away; None is nothing.

        """
        self._budgets = budgets
        self._ledger = ledger
        self._bounding = bounding
        self._pace = pace
        self._clock = clock
        self._count = count
        self._past_cost = past_cost
        self._emergency = emergency
        self._open: dict[str, Holding] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def concerns(self, key: ApiKey) -> bool:
        """Return whether a call of `key` must be admitted. Nothing else is done for one that must not."""
        return key.limits is not None or bool(self._budgets.of_key(key))

    @property
    def open(self) -> int:
        """How many calls have something held."""
        return len(self._open)

    def take(self, budgets: Budgets) -> None:
        """Use other budgets from now on."""
        self._budgets = budgets

    def reprice(self, book: PriceBook) -> None:
        """Use other prices from now on."""
        self._bounding.take(book)

    async def close(self) -> None:
        """Give back what is leased for emergencies, and close the ledger."""
        if self._emergency is not None:
            await self._emergency.give_back(self._ledger, self._clock())
        await self._ledger.close()

    async def admit(self, asking: Asking) -> Holding:
        """Hold what a call can cost.

        Raises:
            BudgetExceeded: a budget has no room for it.
            BudgetInFlight: it would fit once running calls are settled.
            BudgetUnavailable: the ledger does not answer, and a budget says that nothing is spent then.
            RateLimited: the key calls too often, or too many of its calls run.
            InvalidRequest: what it asks for can be read in two ways.

        """
        now = self._clock()
        applied = self._budgets.applied(self._budgets.of_key(asking.key), _subject(asking), now)
        wanted = requested_by(asking)
        bound = self._bounding.bound(wanted, asking.upstream, asking.priced, asking.key, now)
        holding = Holding(asking.id, asking.key, wanted, bound, asking.model, applied, stream=asking.stream, asking=asking)
        if asking.key.limits is not None:
            holding.permit = await self._pace.admit(asking.key, asking.id, _paced_tokens(bound, wanted, asking), now)
        try:
            if applied:
                await self._hold(holding, asking, now)
        except BaseException as error:
            self._end_pace(holding, 0)
            if holding.made and not isinstance(error, GatewayError):
                # The caller left while the ledger was asked: the hold may be there.
                self._open.pop(holding.name, None)
                self._later(self._release(holding))
            raise
        return holding

    async def cover(
        self, holding: Holding, upstream: Upstream, model: str | None, *, sent: bool, path: bytes | None = None
    ) -> None:
        """Hold what one more try costs, before it is sent: at `upstream`, by its prices for `model`. `sent`: a try before reached a provider.

        `path` is the one at `upstream`, where that is another than that of the first try. A try that is refused leaves what is held as it was.

        Raises:
            BudgetExceeded: a budget has no room for it.
            BudgetInFlight: it would fit once running calls are settled.
            BudgetUnavailable: the ledger does not answer.
            InvalidRequest: what it asks for there can be read in two ways.

        """
        if not holding.applied or not holding.held:
            return
        was = holding.requested, holding.bound, holding.this_try, holding.earlier, holding.sent_to
        try:
            await self._cover(holding, upstream, model, sent=sent, path=path)
        except GatewayError:
            # The answer of the try before may be passed on after all, or another target be tried.
            holding.requested, holding.bound, holding.this_try, holding.earlier, holding.sent_to = was
            raise

    async def _cover(self, holding: Holding, upstream: Upstream, model: str | None, *, sent: bool, path: bytes | None) -> None:
        now = self._clock()
        before = holding.amounts
        holding.sent_to = upstream.name, model
        holding.requested = _requested_at(holding, upstream, model, path)
        holding.bound = self._bounding.bound(holding.requested, upstream, model, holding.key, now)
        self._set_amounts(holding)
        places = zip(holding.applied, holding.amounts, strict=True)
        wanted = [0 if one.budget.unit == "requests" else amount for one, amount in places]
        holding.amounts = before
        holding.this_try = tuple(wanted)
        if sent:
            holding.earlier = before
        earlier = holding.earlier or [0] * len(before)
        more = [max(was + amount - held, 0) for was, amount, held in zip(earlier, wanted, before, strict=True)]
        for one, amount in zip(holding.applied, more, strict=True):
            if amount and one.budget.id in holding.free_of_limits:
                # It was let in because it cost nothing; now it would, and there was no room even then.
                raise refusal(one, holding.standings[holding.applied.index(one)], amount)
        if any(more):
            await self._top_up(holding, more, now)

    async def more(self, holding: Holding, tokens: int = SLICE_TOKENS) -> None:
        """Hold a further slice of a running stream.

        Raises:
            BudgetExceeded: a budget has no room for it: the answer must end.
            BudgetUnavailable: the ledger does not answer.

        """
        more = holding.more_amounts(tokens)
        if any(more):
            await self._top_up(holding, more, self._clock(), again=False)

    def end(self, holding: Holding, *, sent: bool, output_tokens: int = 0) -> None:
        """End a call. With `sent` False nothing of it reached a provider and the journal has no opening of it: the hold is given back.

        Every other hold is the office's to settle, also one of a call that failed before it was sent. `output_tokens` are for the key's pace.
        """
        self._end_pace(holding, output_tokens)
        self._open.pop(holding.name, None)
        if holding.held and not sent:
            self._later(self._release(holding))

    async def settled(self) -> None:
        """Wait until what ended calls give back is given back: before the gate stops."""
        await asyncio.gather(*self._tasks)

    async def keep(self) -> None:
        """Renew all open holds, for as long as the gate runs: many times in a lease."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.renew()
            except LedgerUnavailable as error:
                log.warning("The ledger did not renew %d holds; it is tried again: %s", len(self._open), error)

    async def renew(self) -> None:
        """Renew all open holds now; what the ledger no longer knows is held again, whatever the limits say: it is being spent."""
        now = self._clock()
        names = list(self._open)
        for start in range(0, len(names), MOST_RENEWED_AT_ONCE):
            some = names[start : start + MOST_RENEWED_AT_ONCE]
            for lost in await self._ledger.renew(some, now=now, lease=LEASE_SECONDS):
                holding = self._open.get(lost)
                if holding is not None:
                    await self._ledger.resume(lost, holding.claims(), now=now, lease=LEASE_SECONDS)
        await self._pace.renew(now)
        if self._emergency is not None:
            await self._emergency.renew(self._ledger, now)

    # How much to hold

    async def _hold(self, holding: Holding, asking: Asking, now: float) -> None:
        self._set_amounts(holding)
        self._keep_to_one_call(holding, asking)
        refused = await self._try(holding, now)
        if refused is not None and self._count is not None and await self._tightened(holding, asking):
            refused = await self._try(holding, now)
        for _ in holding.applied:
            if refused is None or not self._clamped(holding, asking, refused):
                break
            refused = await self._try(holding, now)
        if refused is not None:
            raise _refused(holding, refused)

    def _set_amounts(self, holding: Holding) -> None:
        """Say how much one try holds on each budget; refuse what nothing bounds."""
        refused = refusal_of_unbounded(holding)
        if refused is not None:
            raise refused
        holding.amounts = [amount_of(one, holding, self._past_cost) for one in holding.applied]

    def _keep_to_one_call(self, holding: Holding, asking: Asking) -> None:
        """Keep to what one call may cost at most, by lowering its output if that is allowed."""
        for one in holding.applied:
            most = one.budget.per_call
            if most is None or one.budget.mode == "soft":
                continue
            cost = holding.bound.nano
            if cost is None:
                cost = one.budget.unpriced if isinstance(one.budget.unpriced, int) else None
            if cost is not None and cost <= most:
                continue
            if not one.budget.clamp or cost is None or not self._lowered(holding, asking, most):
                raise too_dear(one, cost if cost is not None else holding.bound.input_nano)

    # Hold, tighten, clamp

    async def _try(self, holding: Holding, now: float) -> Refused | None:
        """Hold the amounts; return what refused them."""
        holding.made = holding.claims()
        try:
            answer = await self._ledger.hold(holding.name, holding.made, now=now, lease=LEASE_SECONDS)
        except LedgerUnavailable as error:
            self._without_ledger(holding, error)
            return None
        if isinstance(answer, Refused):
            return answer if answer.claim.amount else await self._try_free(holding, answer, now)
        self._is_held(holding, answer)
        return None

    async def _try_free(self, holding: Holding, refused: Refused, now: float) -> Refused | None:
        """Hold nothing on a budget that is spent, for a call that costs nothing: that is always admitted."""
        one = _of(holding, refused.claim)
        if one.budget.id in holding.free_of_limits:
            return refused
        holding.free_of_limits.add(one.budget.id)
        return await self._try(holding, now)

    def _is_held(self, holding: Holding, answer: Held) -> None:
        holding.standings = answer.standings
        holding.held = True
        self._open[holding.name] = holding
        if self._emergency is not None:
            self._emergency.note(holding.applied, answer.standings)

    def _without_ledger(self, holding: Holding, error: LedgerUnavailable) -> None:
        """Do what each budget says while the ledger is away.

        Raises:
            BudgetUnavailable: one of them lets nothing pass.

        """
        for one, amount in zip(holding.applied, holding.amounts, strict=True):
            if one.budget.mode == "soft" or one.budget.when_ledger_is_down == "open" or not amount:
                continue
            if one.budget.when_ledger_is_down == "slice" and self._emergency is not None and self._emergency.spend(one, amount):
                continue
            raise unavailable(one) from error
        holding.emergency = holding.held = True
        holding.standings = ()
        self._open[holding.name] = holding

    async def _tightened(self, holding: Holding, asking: Asking) -> bool:
        """Count the tokens of a call whose bytes do not fit; return whether that made its bound lower."""
        if self._count is None or holding.requested.kind not in {"generate", "embed"} or not asking.whole or asking.model is None:
            return False
        if holding.requested.open_input or holding.requested.pictures or holding.requested.audio_bytes:
            return False
        tokens = await self._count(asking.body, asking.priced or asking.model)
        if tokens is None or tokens >= holding.requested.text_bytes:
            return False
        self._rebound(holding, asking, replace(holding.requested, text_bytes=tokens))
        return True

    def _clamped(self, holding: Holding, asking: Asking, refused: Refused) -> bool:
        """Lower the output to what the budget that refused has left; return whether that could be done."""
        one = _of(holding, refused.claim)
        if not one.budget.clamp or one.budget.unit == "requests":
            return False
        return self._lowered(holding, asking, one.limit - refused.standing.spent - refused.standing.held, unit=one.budget.unit)

    def _lowered(self, holding: Holding, asking: Asking, left: int, *, unit: Unit = "usd") -> bool:
        most = least_output(holding.bound, holding.requested, left, unit)
        edit = None if most is None else clamp_edit(asking.body, asking.path, asking.upstream.name, most, whole=asking.whole)
        if most is None or edit is None:
            return False
        holding.clamp, holding.edits = edit
        self._rebound(holding, asking, replace(holding.requested, max_output=most))
        return True

    def _rebound(self, holding: Holding, asking: Asking, wanted: Requested) -> None:
        holding.requested = wanted
        holding.bound = self._bounding.bound(wanted, asking.upstream, asking.priced, asking.key, self._clock())
        self._set_amounts(holding)

    async def _top_up(self, holding: Holding, more: Sequence[int], now: float, *, again: bool = True) -> None:
        try:
            answer = await self._ledger.top_up(holding.name, more, now=now, lease=LEASE_SECONDS)
            if isinstance(answer, Refused) and not answer.claim.amount and answer.standing == NOTHING:
                # It is no longer known as open: the ledger was away, or lost what it knew.
                await self._ledger.resume(holding.name, holding.claims(), now=now, lease=LEASE_SECONDS)
                answer = await self._ledger.top_up(holding.name, more, now=now, lease=LEASE_SECONDS)
        except LedgerUnavailable as error:
            self._more_without_ledger(holding, more, error)
        else:
            if isinstance(answer, Refused):
                place = _place(holding, answer.claim)
                own = holding.amounts[place]
                raise refusal(holding.applied[place], answer.standing, more[place], own=own, again=again)
            holding.standings = answer.standings
        holding.amounts = [amount + added for amount, added in zip(holding.amounts, more, strict=True)]

    def _more_without_ledger(self, holding: Holding, more: Sequence[int], error: LedgerUnavailable) -> None:
        for one, amount in zip(holding.applied, more, strict=True):
            if one.budget.mode == "soft" or one.budget.when_ledger_is_down == "open" or not amount:
                continue
            if self._emergency is None or one.budget.when_ledger_is_down == "closed" or not self._emergency.spend(one, amount):
                raise unavailable(one) from error

    def _end_pace(self, holding: Holding, output_tokens: int) -> None:
        if holding.permit is None:
            return
        if holding.permit.places is not None:
            self._later(self._give_place_back(holding.permit))
        else:
            self._pace.end(holding.permit, output_tokens)

    async def _give_place_back(self, permit: Permit) -> None:
        try:
            await self._pace.give_back(permit, self._clock())
        except LedgerUnavailable as error:
            log.warning("A place of a key could not be given back; it is free again when its lease has run out: %s", error)

    async def _release(self, holding: Holding) -> None:
        for pause in RELEASE_PAUSES:
            try:
                await self._ledger.release(holding.name, now=self._clock())
            except LedgerUnavailable as error:
                reason = error
                await asyncio.sleep(pause)
            else:
                return
        log.warning("A hold could not be given back; it is charged when its lease has run out: %s", reason)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _subject(asking: Asking) -> Subject:
    key, labels = asking.key, asking.labels
    return Subject(key.name, key.project, labels.customer, labels.tags, asking.model, asking.upstream.name)


def _requested_at(holding: Holding, upstream: Upstream, model: str | None, path: bytes | None) -> Requested:
    """Return what of a request decides its price at another upstream: one may pass over a limit of output that the other keeps to."""
    asking = holding.asking
    if asking is None:
        return holding.requested
    if not holding.wanted:
        holding.wanted[asking.upstream.name, asking.priced] = holding.requested
    known = holding.wanted.get((upstream.name, model))
    if known is None:
        body = edited(asking.body, holding.edits)
        there = replace(asking, upstream=upstream, sent_as=model, path=path or asking.path, body=body, asked=None, look=None)
        known = holding.wanted[upstream.name, model] = requested_by(there)
    return known


def _paced_tokens(bound: Bound, wanted: Requested, asking: Asking) -> int:
    """Return what a call counts as for its key's tokens per minute: four bytes are about a token, and a slice of output."""
    if wanted.kind == "free":
        return 0
    return len(asking.body) // 4 + min(SLICE_TOKENS if bound.output_tokens is None else bound.output_tokens, SLICE_TOKENS)


def _of(holding: Holding, claim: Claim) -> Applied:
    return holding.applied[_place(holding, claim)]


def _place(holding: Holding, claim: Claim) -> int:
    counters = [one.counter for one in holding.claims()]
    return counters.index(claim.counter) if claim.counter in counters else 0


def _refused(holding: Holding, refused: Refused) -> GatewayError:
    return refusal(_of(holding, refused.claim), refused.standing, refused.claim.amount)
