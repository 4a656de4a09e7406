"""The lane of one destination: it claims what is due there, sends it, and waits where there is reason to. No lane waits for another."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from random import Random

from domain.deliveries import Claimed, Outcome
from domain.destinations import Misconfigured
from domain.errors import StoreUnavailable
from domain.events import Event
from recorder.courier.books import FIRST_PAUSE, LONGEST_PAUSE, Books
from recorder.courier.clock import Clock
from recorder.courier.condition import STUMBLE, Condition
from recorder.courier.configured import Configured, Made
from recorder.courier.gathering import Gathering
from recorder.courier.pace import Pace
from recorder.courier.packing import Packer, bug_of, recorded_bytes
from recorder.courier.sending import Kit, Round
from recorder.courier.standing import Standing
from recorder.courier.upkeep import DIVERT_AFTER, buried, divert
from recorder.courier.worker import Runs
from recorder.courier.workroom import Workroom

log = logging.getLogger(__name__)


class Lane:
    """One destination. Everything but `standing.status` belongs to the courier's loop. `kit` is there once it has been made."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        configured: Configured,
        books: Books,
        *,
        clock: Clock,
        random: Random,
        make_worker: Callable[[str], Runs],
        say: Callable[[Event], None],
        most_held: int,
    ) -> None:
        """Take what it works with. `say` takes events and does not wait; `most_held` bounds the recorded bytes it holds at a time."""
        self.configured = configured
        self.condition = Condition(random)
        self.pace = Pace(configured.limits)
        self.standing = Standing(configured.name, self.condition, self.pace, clock, say)
        self.kit: Kit | None = None
        self._books = books
        self._clock = clock
        self._random = random
        self._make_worker = make_worker
        self._most_held = most_held
        self._gathering = Gathering(configured.name, configured.limits, books, self.pace, clock=clock, random=random)
        self._bell = asyncio.Event()
        self._stopping = False
        self._held = 0
        self._rounds: set[asyncio.Task[None]] = set()
        self._store_pause = FIRST_PAUSE

    # What others may ask of it.

    def wake(self, owed: int = 0) -> None:
        """Hear that deliveries were owed; 0 where it is not known how many."""
        if self._gathering.owed(owed):
            self._bell.set()

    def try_now(self) -> None:
        """Try again at once, whatever was in the way."""
        self.condition.try_now()
        self._gathering.look_now()
        self._bell.set()

    def replay_at(self, rate: float | None) -> None:
        """Send replays at so many a second, at the usual rate without one."""
        self._gathering.replay_at(rate)
        self._gathering.look_now()
        self._bell.set()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what is in flight has ended."""
        self._stopping = True
        self._bell.set()

    async def test(self, id_: str, owe: Callable[[], object]) -> Outcome:
        """Owe a delivery, try it at once whatever is in the way, and return what became of it."""
        told = self.standing.watch(id_)
        try:
            await self._books.do(owe)
            claim = await self._books.claim_one(self.configured.name, id_, self._clock.now())
            if claim is not None:
                await self._round([claim], probe=self.condition.narrow, asked=True)
            return await told
        finally:
            told.cancel()
            # It held room and perhaps the probe, and what it heard may be the end of a wait.
            self._bell.set()

    async def upkeep(self, others: Sequence[str]) -> None:
        """Do what is to be done now and then, and while it is down. `others` are well.

        Raises:
            StoreUnavailable: the store is away.

        """
        self.standing.tell_of_dead()
        down_for = self.condition.down_for(self._clock.monotonic())
        if down_for >= DIVERT_AFTER:
            await divert(self._books, self.configured.name, others, self._clock.now())
        if down_for > 0:
            self.standing.ended(await buried(self._books, self.configured, self._clock, self.standing.counts.oldest))

    # The loop.

    async def run(self) -> None:
        """Deliver until `stop`, for ever: what fails is tried again."""
        made = await self._made()
        if made is None:
            return
        room = Workroom(lambda: self._make_worker(f"courier-{self.configured.name}"))
        self.kit = self._kit_for(made, room)
        try:
            async with asyncio.TaskGroup() as group:
                while not self._stopping:
                    await self._safe_turn(group)
        finally:
            room.close()
            await made.close()

    async def _made(self) -> Made | None:
        """Make the destination. Where that fails its settings want looking at, and it is tried again now and then, or when asked; None after `stop`."""
        while not self._stopping:
            try:
                return self.configured.make()
            except Misconfigured as error:
                self._not_made(error)
            except Exception as error:  # noqa: BLE001 - it may be anything: a third party's, a file that is not there
                log.warning("the destination %r could not be made: %s", self.configured.name, bug_of(error))
                self._not_made(Misconfigured(f"it could not be made ({type(error).__name__}); look at its settings, and restart"))
            await self._pause()
        return None

    def _not_made(self, error: Misconfigured) -> None:
        self.standing.tally.note("misconfigured", None, error.message, self._clock.now())
        if self.condition.misconfigured(self._clock.monotonic(), status=None, gone=False):
            self.standing.troubled(error)

    def _kit_for(self, made: Made, room: Workroom) -> Kit:
        return Kit(
            configured=self.configured,
            destination=made.destination,
            packer=Packer(self.configured, made),
            room=room,
            books=self._books,
            condition=self.condition,
            pace=self.pace,
            standing=self.standing,
            clock=self._clock,
            random=self._random,
            stopping=lambda: self._stopping,
        )

    async def _safe_turn(self, group: asyncio.TaskGroup) -> None:
        try:
            await self._turn(group)
        except StoreUnavailable as error:
            log.debug("deliveries to %r: %s", self.configured.name, error)
            await self._rest(self._store_pause)
            self._store_pause = min(self._store_pause * 2, LONGEST_PAUSE)
        except Exception:  # a bug of ours must not end the lane
            log.exception("the lane of the destination %r failed; it goes on", self.configured.name)
            await self._rest(STUMBLE)
        else:
            self._store_pause = FIRST_PAUSE

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Begin one round if something may be sent and is due; otherwise wait for whichever comes first."""
        self._bell.clear()
        wait = self.condition.wait(self._clock.monotonic())
        narrow = self.condition.narrow
        if wait is None or wait > 0:
            await self._nap(wait)
        elif len(self._rounds) >= (1 if narrow else self.pace.parallel) or self._held >= self._most_held:
            await self._nap(None)
        elif (ready_in := self._gathering.ready_in()) > 0:
            await self._nap(ready_in)
        elif claims := await self._gathering.claimed(narrow=narrow, most_bytes=self._most_held - self._held):
            task = group.create_task(self._round(claims, probe=narrow))
            self._rounds.add(task)
            task.add_done_callback(self._ended)

    async def _round(self, claims: Sequence[Claimed], *, probe: bool, asked: bool = False) -> None:
        """Deliver what was claimed. After `stop` that is given back at once."""
        if self.kit is None:
            await self._books.put_back(claims)
            return
        size = sum(map(recorded_bytes, claims))
        self._held += size
        self.standing.in_flight += len(claims)
        one = Round(self.kit, claims, probe=probe, asked=asked)
        try:
            await one.run()
        except Exception:  # what it held is lost to us: the store gives it out again when this office has ended
            log.exception("deliveries to %r could not be given back", self.configured.name)
            self.condition.stumbled(self._clock.monotonic())
        finally:
            if one.waits:
                self._gathering.look_now()
            self._held -= size
            self.standing.in_flight -= len(claims)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)
        self._bell.set()

    async def _nap(self, seconds: float | None) -> None:
        """Wait for so long, or until the bell rings."""
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _pause(self) -> None:
        """Wait until something may be tried, or for `stop`. Somebody who asks for it ends the wait; what is owed meanwhile does not."""
        while not self._stopping and (wait := self.condition.wait(self._clock.monotonic())) != 0:
            self._bell.clear()
            await self._nap(wait)

    async def _rest(self, seconds: float) -> None:
        """Wait for so long, whoever rings, but for `stop`."""
        end = self._clock.monotonic() + seconds
        while not self._stopping and (left := end - self._clock.monotonic()) > 0:
            self._bell.clear()
            await self._nap(left)
