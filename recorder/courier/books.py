"""The courier's side of the store of deliveries: one thread for all its calls, what ends at the same time in one transaction, and patience."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from domain.deliveries import Claimed, Counts, DeliveryQueue, Lane, Outcome
from domain.errors import StoreUnavailable
from recorder.courier.worker import Runs

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
MOST_AT_ONCE = 2000

Result = TypeVar("Result")
_Claims = TypeVar("_Claims", list[Claimed], Claimed | None)
_Waiting = tuple[Sequence[Outcome], "asyncio.Future[None]"]


class Books:
    """The queue, for coroutines of one loop."""

    def __init__(self, queue: DeliveryQueue, worker: Runs) -> None:
        self._queue = queue
        self._worker = worker
        self._waiting: list[_Waiting] = []
        self._filled = asyncio.Event()
        self._giving_back: set[asyncio.Task[None]] = set()

    async def claim(  # noqa: PLR0913 - as the queue's
        self, destination: str, lane: Lane, *, now: int, most: int, most_bytes: int, keep_batches: bool, batch: str
    ) -> list[Claimed]:
        """Take what is due.

        Raises:
            StoreUnavailable: the store is away.

        """
        claim = partial(self._queue.claim, destination, lane, now=now, most=most, most_bytes=most_bytes)
        return await self._claimed(self._worker.run(partial(claim, keep_batches=keep_batches, batch=batch)))

    async def claim_one(self, destination: str, id_: str, now: int) -> Claimed | None:
        """Take one delivery, due or not."""
        return await self._claimed(self._worker.run(partial(self._queue.claim_one, destination, id_, now=now)))

    async def _claimed(self, job: Awaitable[_Claims]) -> _Claims:
        """Return what was claimed. It is given back where nobody waits for it any more, since the store thinks that we have it."""
        claiming = asyncio.ensure_future(job)
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._give_back)
            raise

    def _give_back(self, claiming: "asyncio.Future[_Claims]") -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        found = claiming.result()
        claims = found if isinstance(found, list) else [found] if found is not None else []
        giving = asyncio.ensure_future(self.put_back(claims))
        self._giving_back.add(giving)
        giving.add_done_callback(self._giving_back.discard)

    async def next_due(self, destination: str, lane: Lane, now: int) -> int | None:
        """Return when something will be due."""
        return await self._worker.run(partial(self._queue.next_due, destination, lane, now=now))

    async def beat(self, now: int) -> None:
        """Say that we live."""
        await self._worker.run(partial(self._queue.beat, now=now))

    async def counts(self) -> Mapping[str, Counts]:
        """Return how everything stands."""
        return await self._worker.run(self._queue.counts)

    async def divert(self, destination: str, to: Sequence[str], now: int, most: int) -> int:
        """Owe what waits for a destination that stays down to others."""
        return await self._worker.run(partial(self._queue.divert, destination, to=to, now=now, most=most))

    async def do(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Do something else with the store, in its thread."""
        return await self._worker.run(function, *arguments)

    async def put_back(self, claims: Sequence[Claimed]) -> None:
        """Give claims back. While the store is away it is tried again: they are nobody's else till then."""
        if claims:
            await self.do_patiently(self._queue.put_back, claims)

    async def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of claims, with what ends elsewhere in the meantime. While the store is away it is tried again."""
        if outcomes:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((outcomes, future))
            self._filled.set()
            await future

    async def write(self) -> None:
        """Write what `finish` is given, for ever. Somebody must run this for `finish` to end."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                await self._write(self._taken())

    def close(self) -> None:
        """Take no more."""
        self._worker.close()

    def _taken(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0][0]) <= MOST_AT_ONCE):
            taken.append(self._waiting.pop(0))
            count += len(taken[-1][0])
        return taken

    async def _write(self, taken: Sequence[_Waiting]) -> None:
        outcomes = [outcome for some, _ in taken for outcome in some]
        try:
            await self.do_patiently(self._queue.finish, outcomes)
        except Exception as error:  # noqa: BLE001 - whoever it belongs to gets it
            if len(taken) > 1:
                for one in taken:
                    await self._write([one])
            elif not taken[0][1].done():
                taken[0][1].set_exception(error)
            return
        for _, future in taken:
            if not future.done():
                future.set_result(None)

    async def do_patiently(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Do something with the store, and again for as long as it is away."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._worker.run(function, *arguments)
            except StoreUnavailable as error:
                log.debug("deliveries: %s; trying again", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
