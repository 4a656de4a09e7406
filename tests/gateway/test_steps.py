"""A call's coroutine without a task: it goes on where a signal is given, becomes a task where it must, and can be cancelled anywhere."""

import asyncio

import pytest

from gateway.wire.steps import Signal, Steps, in_task


class Run:
    """A coroutine in steps, and what it did."""

    def __init__(self, make) -> None:
        self.loop = asyncio.get_running_loop()
        self.did: list[object] = []
        self.steps = Steps(make(self), self.loop)

    def signal(self) -> Signal:
        return Signal(self.loop)


async def test_it_goes_on_within_the_signal_and_not_a_turn_later():
    async def work(run):
        run.did.append("begun")
        await first
        run.did.append("first")
        await second
        run.did.append("second")

    run = Run(work)
    first, second = run.signal(), run.signal()
    run.steps.begin()
    assert run.did == ["begun"]
    first.set_result(None)
    assert run.did == ["begun", "first"]
    second.set_result(None)
    assert run.did == ["begun", "first", "second"]


async def test_a_signal_that_was_given_already_is_not_waited_for():
    async def work(run):
        await given
        run.did.append("done")

    run = Run(work)
    given = run.signal()
    given.set_result(None)
    run.steps.begin()
    assert run.did == ["done"]


async def test_a_failure_is_raised_where_the_signal_is_awaited():
    async def work(run):
        try:
            await failing
        except OSError as error:
            run.did.append(str(error))

    run = Run(work)
    failing = run.signal()
    run.steps.begin()
    failing.set_exception(OSError("gone"))
    assert run.did == ["gone"]


@pytest.mark.parametrize("first", ["signal", "nothing"])
async def test_it_becomes_a_task_for_what_needs_one_and_still_hears_signals(first):
    over = asyncio.Event()

    async def work(run):
        if first == "signal":
            await before
        await in_task()
        async with asyncio.timeout(5):
            await future
        run.did.append(asyncio.current_task() is not None)
        await after
        over.set()

    run = Run(work)
    before, after, future = run.signal(), run.signal(), run.loop.create_future()
    run.steps.begin()
    if first == "signal":
        before.set_result(None)
    future.set_result(None)
    run.loop.call_soon(run.loop.call_soon, after.set_result, None)
    await asyncio.wait_for(over.wait(), 5)
    assert run.did == [True]


async def test_waiting_for_a_future_makes_it_a_task_too():
    async def work(run):
        run.did.append(await future)
        over.set()

    over = asyncio.Event()
    run = Run(work)
    future = run.loop.create_future()
    run.steps.begin()
    future.set_result("there")
    await asyncio.wait_for(over.wait(), 5)
    assert run.did == ["there"]


@pytest.mark.parametrize("where", ["at a signal", "in a task", "in a task at a signal"])
async def test_it_can_be_cancelled_wherever_it_waits(where):
    ended = asyncio.Event()

    async def work(run):
        try:
            if where != "at a signal":
                await in_task()
            await (run.loop.create_future() if where == "in a task" else signal)
        except asyncio.CancelledError:
            run.did.append("cancelled")
            raise
        finally:
            ended.set()

    run = Run(work)
    signal = run.signal()
    run.steps.begin()
    if where != "at a signal":
        for _ in range(3):
            await asyncio.sleep(0)
    run.steps.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert run.did == ["cancelled"]
    if not signal.done():
        signal.set_result(None)  # nobody goes on any more
    run.steps.cancel()
    assert run.did == ["cancelled"]


@pytest.mark.parametrize("waits", ["for nothing", "for a future"])
@pytest.mark.parametrize("by", ["itself", "the end of the gate", "within"])
async def test_it_can_be_cancelled_before_its_task_has_begun(by, waits):
    """The caller leaves in the very turn of the loop in which its call becomes a task."""
    ended = asyncio.Event()

    async def work(run):
        try:
            if by == "within":
                run.steps.cancel()
            await (in_task() if waits == "for nothing" else run.loop.create_future())
            await run.loop.create_future()
        except asyncio.CancelledError:
            run.did.append("cancelled")
            raise
        finally:
            ended.set()

    run = Run(work)
    run.steps.begin()
    if by == "itself":
        run.steps.cancel()
    elif by == "the end of the gate":
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert run.did == ["cancelled"]


async def test_cancelled_from_within_it_ends_where_it_waits_next():
    async def work(run):
        run.steps.cancel()
        run.did.append("goes on")
        try:
            await run.signal()
        except asyncio.CancelledError:
            run.did.append("cancelled")

    run = Run(work)
    run.steps.begin()
    assert run.did == ["goes on", "cancelled"]


async def test_what_catches_the_cancelling_may_wait_once_more():
    async def work(run):
        try:
            await first
        except asyncio.CancelledError:
            await second
            run.did.append("tidied")

    run = Run(work)
    first, second = run.signal(), run.signal()
    run.steps.begin()
    run.steps.cancel()
    assert run.did == []
    second.set_result(None)
    assert run.did == ["tidied"]


async def test_a_bug_in_one_call_does_not_reach_whoever_gave_the_signal():
    async def work(run):
        await signal
        raise ValueError("a bug")

    run = Run(work)
    signal = run.signal()
    run.loop.set_exception_handler(lambda _, context: run.did.append(str(context["exception"])))
    run.steps.begin()
    signal.set_result(None)
    assert run.did == ["a bug"]


async def test_a_task_can_wait_for_a_signal_and_be_cancelled_at_it():
    signal, other = Signal(asyncio.get_running_loop()), Signal(asyncio.get_running_loop())

    async def wait(for_what):
        await for_what
        return "told"

    told, cancelled = asyncio.create_task(wait(signal)), asyncio.create_task(wait(other))
    await asyncio.sleep(0)
    signal.set_result(None)
    cancelled.cancel()
    assert await told == "told"
    with pytest.raises(asyncio.CancelledError):
        await cancelled
