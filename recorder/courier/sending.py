"""Sending: what becomes of the deliveries that were claimed together, from packing to the last outcome. Poison is found by halving."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from domain.deliveries import Claimed, Dead, Delivered, Later, Outcome
from domain.destinations import Destination, Limits, Misconfigured, Payload, Receipt, Rejected, TooLarge, Unavailable
from recorder.courier.backoff import full_jitter
from recorder.courier.batches import Batch, batches_of, halves, without
from recorder.courier.books import Books
from recorder.courier.clock import NANOSECONDS, Clock
from recorder.courier.condition import REFUSED_IN_A_ROW, STEP_BACK, Condition
from recorder.courier.configured import Configured
from recorder.courier.expiry import expired
from recorder.courier.pace import Pace
from recorder.courier.packing import Item, Packer, Progress, bug_of, recorded_bytes
from recorder.courier.shrinking import shrunk
from recorder.courier.standing import Standing
from recorder.courier.workroom import STEP_SECONDS, Stuck, Workroom

log = logging.getLogger(__name__)

MOST_PAYLOAD = 256 * 1024
MOST_ERROR = 500
# No request holds more, whatever an answer says; the store has no room for any number.
MOST_REFUSED = 1_000_000
# The destination's own time limit comes first, so that its words are the ones that are kept.
GRACE = 1.0
_NEARLY = 0.8
_STUCK = ("transform", f"did not end within {STEP_SECONDS:g} s")


@dataclass(frozen=True, slots=True)
class Kit:
    """What the rounds of one destination share."""

    configured: Configured
    destination: Destination
    packer: Packer
    room: Workroom
    books: Books
    condition: Condition
    pace: Pace
    standing: Standing
    clock: Clock
    random: Random
    stopping: Callable[[], bool]

    @property
    def limits(self) -> Limits:
        """How the destination wants to be served: as the settings say, within what it learned of its server."""
        return self.destination.limits


class Round:
    """Claims that were taken together. Whatever happens, each is finished or given back by the end of `run`; `waits` says that some wait again."""

    def __init__(self, kit: Kit, claims: Sequence[Claimed], *, probe: bool, asked: bool = False) -> None:
        """Take claims. `probe`: the destination is known to be in trouble; `asked`: somebody wants it tried whatever is in the way."""
        self._kit = kit
        self._claims = claims
        self._probe = probe
        self._asked = asked
        self._open = {claim.number: claim for claim in claims}
        self._sent = False
        self.waits = False

    async def run(self) -> None:
        """Bring them to an end."""
        kit = self._kit
        try:
            await self._run()
        except Misconfigured as error:  # of our own making: the workroom
            self._note_misconfigured(error)
        except Exception:  # a bug of ours must not stop the others, nor this one for ever
            log.exception("delivering to %r failed; its deliveries are tried again", kit.configured.name)
            kit.condition.stumbled(kit.clock.monotonic())
        finally:
            if self._probe:
                kit.condition.breaker.abandoned()
            if self._open:
                self.waits = True
                await kit.books.put_back(list(self._open.values()))

    async def _run(self) -> None:
        if self._kit.stopping():
            return
        items = await self._items(await self._without_expired())
        await self._bury([item for item in items if item.failed is not None])
        good = [item for item in items if item.failed is None]
        limits = self._kit.limits
        todo = batches_of(good, by_hour=limits.by_hour, most=min(self._kit.pace.batch, limits.items))[::-1]
        while todo:
            following = await self._deliver(todo.pop())
            if following is None:
                return
            todo.extend(reversed(following))

    async def _without_expired(self) -> list[Claimed]:
        kit = self._kit
        now = kit.clock.now()
        if not kit.clock.trusted():
            return list(self._claims)
        old: list[Outcome] = []
        fresh = []
        for claim in self._claims:
            why = expired(claim, now, max_age=kit.limits.max_age, retry_for=kit.configured.retry_for)
            if why is None:
                fresh.append(claim)
            else:
                old.append(Dead(claim, now, why.kind, None, why.error))
        await self._settle(old)
        return fresh

    async def _items(self, claims: Sequence[Claimed]) -> list[Item]:
        """Return the claims as the destination may have them; what does not end is marked, like what fails."""
        stuck: list[Item] = []
        todo = list(claims)
        while todo:
            try:
                return stuck + await self._kit.room.run(self._kit.packer.items, tuple(todo))
            except Stuck as error:
                stuck.append(Item(todo.pop(error.at or 0), failed=_STUCK))
        return stuck

    async def _deliver(self, batch: Batch) -> list[Batch] | None:
        """Try a batch. Return what is to be tried next instead of it, None if nothing more is to be tried now."""
        kit = self._kit
        try:
            payload = await kit.room.run(kit.packer.payload, batch.items, batch.id)
        except Stuck:
            if len(batch.items) > 1:
                return halves(batch)
            batch.items[0].failed = _STUCK
            payload = None
        bad = [item for item in batch.items if item.failed is not None]
        await self._bury(bad)
        batch = without(batch, bad) if bad else batch
        if payload is None or not batch.items:
            return [batch] if batch.items else []
        kit.pace.encoded(sum(recorded_bytes(item.claim) for item in batch.items), len(payload.body))
        if len(payload.body) > self._most_bytes(batch):
            return await self._smaller(batch, payload, TooLarge("larger than the destination's limit"))
        return await self._try(batch, payload) if self._may_send() else None

    def _may_send(self) -> bool:
        """Return whether nothing came in the way since this was claimed: another request's failure, a wish to be left alone, the end."""
        kit = self._kit
        if self._asked and not self._sent:
            return True
        return not kit.stopping() and kit.condition.wait(kit.clock.monotonic()) == 0.0

    def _most_bytes(self, batch: Batch) -> int:
        limits = self._kit.limits
        if len(batch.items) == 1 and limits.item_bytes is not None:
            return limits.item_bytes
        return limits.body_bytes

    async def _try(self, batch: Batch, payload: Payload) -> list[Batch] | None:
        kit = self._kit
        began = kit.clock.monotonic()
        self._sent = True
        # The breaker may have opened, or closed, since this was claimed.
        self._probe = kit.condition.narrow
        kit.condition.breaker.probing()
        kit.standing.tally.trying(len(payload.body))
        try:
            receipt = await self._send(payload)
        except TooLarge as error:
            self._answered(taken=False)
            kit.standing.tally.note("too_large", error.status, _said(error.message), kit.clock.now())
            kit.pace.too_large()
            return await self._smaller(batch, payload, error)
        except Rejected as error:
            self._answered(taken=False)
            kit.standing.tally.note("rejected", error.status, _said(error.message), kit.clock.now())
            if len(batch.items) > 1:
                return halves(batch)
            await self._settle([self._refused(batch.items[0], "rejected", error.status, error.message, payload)])
            return []
        except Unavailable as error:
            slow = kit.clock.monotonic() - began >= kit.limits.timeout * _NEARLY
            await self._unavailable(batch, error, blamed=len(batch.items) == 1 and (error.status is not None or slow))
            return None
        except Misconfigured as error:
            self._note_misconfigured(error)
            await self._later(batch.items, error.status, error.message)
            return None
        await self._taken(batch, payload, receipt)
        return []

    async def _send(self, payload: Payload) -> Receipt:
        """Send, once.

        Raises:
            DeliveryFailed: as the destination says; what it should not have raised counts as no answer.

        """
        try:
            async with asyncio.timeout(self._kit.limits.timeout + GRACE):
                return await self._kit.destination.send(payload)
        except (TooLarge, Rejected, Unavailable, Misconfigured):
            raise
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error
        except Exception as error:
            # A status, so that it counts against what was sent and not against the others: see `_unavailable`.
            bug = bug_of(error)
            log.warning("sending to %r failed in an unexpected way: %s", self._kit.configured.name, bug)
            raise Unavailable(f"sending failed: {bug}", status=0) from error

    async def _taken(self, batch: Batch, payload: Payload, receipt: Receipt) -> None:
        """Heed what the destination said of each. An answer that takes nothing is a refusal, however friendly it is."""
        refused = min(max(receipt.refused, 0), MOST_REFUSED)
        named = receipt.rejected.keys() | receipt.again.keys()
        left = sum(item.id not in named for item in batch.items)
        taken = left > refused
        self._answered(taken=taken)
        self._kit.pace.succeeded()
        now = self._kit.clock.now()
        self._note_receipt(receipt, now, refused=0 if taken else left)
        outcomes: list[Outcome] = []
        for item in batch.items:
            if item.id in receipt.rejected:
                own = payload if len(batch.items) == 1 else await self._alone(item, batch.id)
                end = self._dead if taken else self._refused
                outcomes.append(end(item, "rejected", receipt.status, receipt.rejected[item.id], own))
            elif item.id in receipt.again:
                outcomes.append(self._again(item.claim, now, receipt.status, receipt.again[item.id]))
            else:
                shortened = None if item.parcel is None else item.parcel.shortened
                outcomes.append(Delivered(item.claim, now, receipt.status, _said(receipt.note), shortened, refused))
                refused = 0
        await self._settle(outcomes)

    def _note_receipt(self, receipt: Receipt, now: int, *, refused: int) -> None:
        """Count an answer. `refused`: how many it kept none of, without saying why of each."""
        self._kit.standing.tally.note("delivered", receipt.status, None, now)
        if refused:
            self._may_die(refused, receipt.status, receipt.note or "it kept nothing")

    async def _alone(self, item: Item, batch: str) -> Payload | None:
        """Return what one item of a batch looks like alone, for whoever wants to see why it was rejected."""
        try:
            return await self._kit.room.run(self._kit.packer.payload, [item], batch)
        except Stuck:
            return None

    async def _smaller(self, batch: Batch, payload: Payload, error: TooLarge) -> list[Batch]:
        """Return what to try instead of a batch that is too large: its halves, or its one item with less in it."""
        if len(batch.items) > 1:
            return halves(batch)
        item = batch.items[0]
        try:
            less = await self._kit.room.run(_shrunk, item)
        except Stuck:
            less = replace(item, failed=_STUCK)
        if less is None:
            end = self._dead if error.status is None else self._refused
            await self._settle([end(item, "too_large", error.status, error.message, payload)])
            return []
        if less.failed is not None:
            await self._bury([less])
            return []
        return [Batch(batch.id, (less,))]

    async def _unavailable(self, batch: Batch, error: Unavailable, *, blamed: bool) -> None:
        """Wait: for as long as it asks, or for as long as it takes. What failed alone steps back behind the others: it may be the reason."""
        kit = self._kit
        now = kit.clock.monotonic()
        message = _said(error.message)
        if error.throttled or error.retry_after is not None:
            kit.standing.tally.note("throttled", error.status, message, kit.clock.now())
            kit.pace.throttled()
            kit.condition.throttled(now, error.retry_after)
            await self._later(batch.items, error.status, message)
            return
        kit.standing.tally.note("unavailable", error.status, message, kit.clock.now())
        kit.pace.failed()
        if kit.condition.failed(now, probe=self._probe):
            kit.standing.troubled(error)
        if blamed:
            await self._settle([self._again(item.claim, kit.clock.now(), error.status, message) for item in batch.items])
        else:
            await self._later(batch.items, error.status, message)

    def _answered(self, *, taken: bool) -> None:
        if self._kit.condition.answered(taken=taken):
            self._kit.standing.well()

    def _refused(self, item: Item, kind: str, status: int | None, error: str, payload: Payload | None) -> Outcome:
        """Return what becomes of a delivery that was refused: it dies, or steps back where the destination is the reason."""
        if self._may_die(1, status, error):
            return self._dead(item, kind, status, error, payload)
        # Out of its batch, which would come back whole, and with this one first.
        item.claim.batch = None
        now = self._kit.clock.now()
        return Later(item.claim, now, now + int(STEP_BACK * NANOSECONDS), _status(status), _said(error))

    def _may_die(self, count: int, status: int | None, error: str) -> bool:
        """Note that deliveries were refused; return whether that is about them. Where none was taken for long, it is about the destination."""
        condition = self._kit.condition
        if not condition.refused(self._kit.clock.monotonic(), count):
            return False
        if condition.refuses_all:
            many = f"it refused {REFUSED_IN_A_ROW} deliveries in a row, and took none: {error}"
            self._note_misconfigured(Misconfigured(_said(many), status=status))
        return True

    def _note_misconfigured(self, error: Misconfigured) -> None:
        kit = self._kit
        kit.standing.tally.note("misconfigured", error.status, _said(error.message), kit.clock.now())
        kit.pace.throttled()
        if kit.condition.misconfigured(kit.clock.monotonic(), status=error.status, gone=error.gone):
            kit.standing.troubled(error)

    async def _later(self, items: Sequence[Item], status: int | None, error: str) -> None:
        """Keep deliveries due, in their place: it was not about them."""
        now = self._kit.clock.now()
        await self._settle([Later(item.claim, now, now, _status(status), _said(error), counts=False) for item in items])

    def _again(self, claim: Claimed, now: int, status: int | None, error: str) -> Later:
        wait = full_jitter(claim.attempts + 1, self._kit.random)
        return Later(claim, now, now + int(wait * NANOSECONDS), _status(status), _said(error))

    def _dead(self, item: Item, kind: str, status: int | None, error: str, payload: Payload | None) -> Dead:
        body = b"" if payload is None else payload.body[:MOST_PAYLOAD]
        content_type = "" if payload is None else payload.content_type
        return Dead(item.claim, self._kit.clock.now(), kind, status, _said(error), body, content_type)

    async def _bury(self, items: Sequence[Item]) -> None:
        """Bury what could not even be prepared."""
        now = self._kit.clock.now()
        await self._settle([Dead(item.claim, now, *_reason(item)) for item in items])

    async def _settle(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        await self._kit.books.finish(outcomes)
        for outcome in outcomes:
            self._open.pop(outcome.claim.number, None)
            self.waits = self.waits or isinstance(outcome, Later)
        self._kit.standing.ended(outcomes)


def _shrunk(item: Item, progress: Progress) -> Item | None:
    """Return an item with less in it, None if there is nothing left to take out. One that cannot be shrunk is marked."""
    progress.begin(0)
    try:
        parcel = None if item.parcel is None else shrunk(item.parcel)
    except Exception as error:  # noqa: BLE001 - one call must never hold up the others
        return replace(item, failed=("transform", f"could not be shortened: {bug_of(error)}"))
    return None if parcel is None else replace(item, parcel=parcel)


def _reason(item: Item) -> tuple[str, None, str]:
    kind, error = item.failed or ("transform", "")
    return kind, None, _said(error)


def _status(status: int | None) -> int | None:
    return status or None


def _said(message: str) -> str:
    """Return a message as it is stored and shown: one line, bounded, without control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in message[:MOST_ERROR])
