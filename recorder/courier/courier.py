"""The courier: takes what is owed to where it is owed. A thread of the office with a loop of its own, and a lane for each destination."""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from domain.deliveries import Claimed, Delivered, DeliveryQueue, Later, Outcome, Owed
from domain.destinations import Payload
from domain.errors import StoreUnavailable
from domain.events import Event
from domain.spans import Content, Span
from recorder.courier.batches import claim_id
from recorder.courier.books import Books
from recorder.courier.clock import Clock
from recorder.courier.configured import Configured
from recorder.courier.lane import Lane
from recorder.courier.packing import Packer, Progress
from recorder.courier.shrinking import shrunk
from recorder.courier.status import DestinationStatus, TestResult
from recorder.courier.trial import trial_event, trial_span
from recorder.courier.worker import Runs, Worker

log = logging.getLogger(__name__)

UPKEEP_EVERY = 5.0
STOP_SECONDS = 10.0
LAST_WORDS = 5.0
AGAIN_AFTER = 1.0
TEST_SECONDS = 30.0
MOST_EVENTS = 1000
# What all lanes together hold of recorded bodies; a lane that hangs keeps its own share, and nothing of another's.
MOST_HELD = 32 * 1024 * 1024
LEAST_SHARE, MOST_SHARE = 1024 * 1024, 8 * 1024 * 1024
# Looking up a name may hang; those of one destination must not keep others from theirs.
_THREADS = 64

OweSpan = Callable[[Span, Content, Owed], object]


def _nobody(_event: Event) -> None:
    """Tell nobody."""


class Courier:
    """Its methods may be called from any thread. Where it was ended is no matter: what it has to do next is in the queue alone.

    `events` saves an event for whom rules say; it may wait, and raise `StoreUnavailable`. `owe` saves a call that is owed to a destination, for `test`.
    """

    def __init__(  # noqa: PLR0913 - its collaborators; each is replaced in some test
        self,
        queue: DeliveryQueue,
        destinations: Mapping[str, Configured],
        *,
        events: Callable[[Event], object] = _nobody,
        owe: OweSpan | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        make_worker: Callable[[str], Runs] = Worker,
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        """Take what it works with; nothing runs yet. Without `make_loop` the loop is uvloop's, where there is one."""
        self._queue = queue
        self._destinations = dict(destinations)
        self._events = events
        self._owe = owe
        self._clock = clock or Clock()
        self._random = random or Random()  # noqa: S311 - jitter is no secret
        self._make_worker = make_worker
        self._make_loop = make_loop or _usual_loop
        self._lanes: dict[str, Lane] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopping = threading.Event()
        self._said: asyncio.Queue[Event] | None = None
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Start the thread. Without destinations there is nothing to do, and none is started."""
        if self._destinations:
            self._thread.start()

    def stop(self) -> None:
        """Claim nothing more, wait for what is in flight within a bound, give the rest back, and end the thread. It is waited for once only."""
        told_before = self._stopping.is_set()
        self._stopping.set()
        self._in_loop(self._end)
        if self._thread.is_alive() and not told_before:
            self._thread.join(STOP_SECONDS + LAST_WORDS + AGAIN_AFTER)

    def is_alive(self) -> bool:
        """Return whether the thread runs; it does from `start` to `stop`."""
        return self._thread.is_alive()

    def wake(self, owed: Mapping[str, int] | None = None) -> None:
        """Hear that deliveries were owed: how many to whom, where that is known. Takes microseconds."""
        self._in_loop(lambda: self._wake(owed))

    def retry(self, name: str) -> None:
        """Try a destination again at once, whatever is in its way: its settings were changed, or its dead deliveries are to be tried again."""
        lane = self._lanes.get(name)
        if lane is not None:
            self._in_loop(lane.try_now)

    def replay_rate(self, name: str, rate: float | None) -> None:
        """Send replays to a destination at so many deliveries a second from now on, behind what is live; None is the usual rate.

        Raises:
            ValueError: that is no rate.

        """
        if rate is not None and not rate > 0:
            raise ValueError("a replay's rate is more than 0 deliveries a second")
        lane = self._lanes.get(name)
        if lane is not None:
            self._in_loop(lambda: lane.replay_at(rate))

    def status(self) -> Mapping[str, DestinationStatus]:
        """Return how each destination stands."""
        lanes = dict(self._lanes)
        return {
            name: lanes[name].standing.status()
            if name in lanes
            else DestinationStatus(name, "idle", why="It has not started yet.")
            for name in self._destinations
        }

    def test(self, name: str, *, seconds: float = TEST_SECONDS) -> TestResult:
        """Send a call that is marked as a test (or an event, where only those are taken) through the queue, and return what the destination said.

        Raises:
            ValueError: there is no such destination, or it does not run.
            StoreUnavailable: the store is away, so that nothing could be owed.

        """
        lane, loop = self._lanes.get(name), self._loop
        if lane is None or loop is None or loop.is_closed():
            raise ValueError(f"there is no destination {name!r} at work; look at `faregate destinations list`")
        began = time.monotonic()
        id_, trace_id, owe = self._test_of(lane, name)
        told = asyncio.run_coroutine_threadsafe(lane.test(id_, owe), loop)
        look_at = self._destinations[name].look_at.replace("{trace}", trace_id) if trace_id else ""
        try:
            outcome = told.result(seconds)
        except concurrent.futures.TimeoutError:
            told.cancel()
            error = lane.standing.tally.last_error
            message = f"no answer within {seconds:g} s; it stays in the queue" + (f" (last error: {error})" if error else "")
            return TestResult(False, message, None, time.monotonic() - began, id_, trace_id, look_at)
        ok, message, status = _verdict(outcome)
        return TestResult(ok, message, status, time.monotonic() - began, id_, trace_id, look_at)

    def encoded(self, name: str, span: Span, content: Content | None, owed: Owed) -> Payload:
        """Return what would be sent of one call. Nothing is sent.

        Raises:
            ValueError: there is no such destination, or the call cannot be encoded for it.

        """
        lane = self._lanes.get(name)
        if lane is None or lane.kit is None:
            raise ValueError(f"there is no destination {name!r} at work; look at `faregate destinations list`")
        return encoded_alone(lane.kit.packer, lane.configured, Claimed(0, "live", owed, 0, 0, span, content))

    def _test_of(self, lane: Lane, name: str) -> tuple[str, str, Callable[[], object]]:
        now = self._clock.now()
        if lane.configured.takes == "events" or self._owe is None:
            event = trial_event(now, name)
            return event.id, "", lambda: self._queue.owe_event(event, [Owed(name)])
        span, content = trial_span(now)
        owe = self._owe
        return span.id, span.trace_id, lambda: owe(span, content, Owed(name))

    def _in_loop(self, function: Callable[[], Any]) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:  # it is closed: the courier has ended, or starts again
            log.debug("the courier's loop is closed")

    def _end(self) -> None:
        if self._stop is not None:
            self._stop.set()

    def _wake(self, owed: Mapping[str, int] | None) -> None:
        for name in self._lanes if owed is None else owed:
            lane = self._lanes.get(name)
            if lane is not None:
                lane.wake(0 if owed is None else owed[name])

    # In the thread.

    def _run(self) -> None:
        """Deliver until `stop`. Whatever happens, it goes on."""
        while not self._stopping.is_set():
            try:
                with asyncio.Runner(loop_factory=self._make_loop) as runner:
                    runner.run(self.deliver())
            except BaseException:
                log.exception("the courier failed; it starts again")
                self._stopping.wait(AGAIN_AFTER)

    async def deliver(self) -> None:
        """Run all lanes until `stop`."""
        self._loop = loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, "courier-names"))
        self._stop = asyncio.Event()
        self._said = asyncio.Queue(MOST_EVENTS)
        self._queue.start_over()
        books = Books(self._queue, self._make_worker("courier-store"))
        share = max(LEAST_SHARE, min(MOST_SHARE, MOST_HELD // max(len(self._destinations), 1)))
        self._lanes = {name: self._lane(one, books, share) for name, one in self._destinations.items()}
        if self._stopping.is_set():
            return
        try:
            await self._run_lanes(books)
        finally:
            books.close()

    async def _run_lanes(self, books: Books) -> None:
        assert self._stop is not None  # noqa: S101 - `deliver` makes it first
        async with asyncio.TaskGroup() as group:
            jobs = books.write(), self._beat(books), self._look_after(books), self._tell(books)
            around = [group.create_task(job) for job in jobs]
            lanes = [group.create_task(self._kept(lane)) for lane in self._lanes.values()]
            await self._stop.wait()
            for lane in self._lanes.values():
                lane.stop()
            await _ended(lanes, STOP_SECONDS)
            for task in around:
                task.cancel()

    async def _kept(self, lane: Lane) -> None:
        """Run a lane until it is stopped. One that fails must not take the others with it."""
        while not self._stopping.is_set():
            try:
                await lane.run()
            except Exception:  # the loop must go on
                log.exception("the lane of the destination %r ended; it begins again", lane.configured.name)
                await asyncio.sleep(AGAIN_AFTER)

    def _lane(self, one: Configured, books: Books, share: int) -> Lane:
        return Lane(
            one, books, clock=self._clock, random=self._random, make_worker=self._make_worker, say=self._say, most_held=share
        )

    async def _beat(self, books: Books) -> None:
        """Say that we live, again and again, however long anything else takes: other offices take over what a silent one had."""
        while True:
            try:
                await books.beat(self._clock.now())
            except StoreUnavailable as error:
                log.debug("deliveries: %s; trying again", error)
            except Exception:  # the loop must go on
                log.exception("this office could not say that it lives; it tries again")
            await asyncio.sleep(UPKEEP_EVERY)

    async def _look_after(self, books: Books) -> None:
        """Count, and see to what is down, again and again."""
        while True:
            try:
                counts = await books.counts()
                for name, lane in self._lanes.items():
                    lane.standing.counts = counts.get(name, lane.standing.counts)
                well = {name for name, lane in self._lanes.items() if not lane.condition.narrow}
                for name, lane in self._lanes.items():
                    await lane.upkeep(sorted(well - {name}))
            except StoreUnavailable as error:
                log.debug("deliveries: %s; trying again", error)
            except Exception:  # the loop must go on
                log.exception("looking after destinations failed; it is done again")
            await asyncio.sleep(UPKEEP_EVERY)

    def _say(self, event: Event) -> None:
        if self._said is None:
            return
        try:
            self._said.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("the event %s could not be kept: too many wait", event.type)

    async def _tell(self, books: Books) -> None:
        """Save what lanes say, one after the other."""
        assert self._said is not None  # noqa: S101 - `deliver` makes it first
        while True:
            event = await self._said.get()
            try:
                await books.do_patiently(self._events, event)
            except Exception:  # what listens must not stop what delivers
                log.exception("the event %s could not be told", event.type)


def encoded_alone(packer: Packer, configured: Configured, claim: Claimed) -> Payload:
    """Return what a claim looks like, sent alone, with as much in it as the destination takes.

    Raises:
        ValueError: it cannot be prepared or encoded.

    """
    item = packer.items([claim], Progress())[0]
    most = configured.limits.item_bytes or configured.limits.body_bytes
    while item.failed is None:
        payload = packer.payload([item], claim.batch or claim_id(claim), Progress())
        if payload is None or len(payload.body) <= most or item.parcel is None:
            break
        smaller = shrunk(item.parcel)
        if smaller is None:
            break
        item.parcel = smaller
    if item.failed is not None or payload is None:
        raise ValueError(f"this call cannot be sent there: {item.failed[1] if item.failed else 'it cannot be encoded'}")
    return payload


async def _ended(tasks: list["asyncio.Task[None]"], seconds: float) -> None:
    """Wait for tasks for so long, then cancel those that go on, and wait for them to give back what they hold."""
    _, going_on = await asyncio.wait(tasks, timeout=seconds)
    for task in going_on:
        task.cancel()
    if going_on:
        await asyncio.wait(going_on, timeout=LAST_WORDS)


def _verdict(outcome: Outcome) -> tuple[bool, str, int | None]:
    if isinstance(outcome, Delivered):
        refused = outcome.refused > 0
        return not refused, outcome.note or ("it refused it" if refused else "it was taken"), outcome.status
    if isinstance(outcome, Later):
        return False, f"{outcome.error}; it is tried again", outcome.status
    return False, f"{outcome.kind}: {outcome.error}", outcome.status


def _usual_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not there on every system
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
