"""Deadlines of many connections, at the price of one timer."""

import asyncio
from time import monotonic

import pytest

from gateway.wire.deadlines import Deadlines

PATIENCE = 30


class Something:
    """Has a deadline, and says when it was told."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.told = 0
        self.event = asyncio.Event()

    def expired(self) -> None:
        self.told += 1
        self.event.set()

    async def over(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.event.wait()


class Broken(Something):
    """Fails when it is told."""

    def expired(self) -> None:
        super().expired()
        raise LookupError("broken")


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines(asyncio.get_running_loop())


async def test_what_is_over_is_told_once(deadlines):
    first, second = Something(monotonic() - 1), Something(monotonic() + 0.25)
    deadlines.add(first)
    deadlines.add(second)

    await first.over()
    await second.over()

    assert (first.told, second.told) == (1, 1)


async def test_what_moves_on_is_not_told(deadlines):
    moving, mark = Something(monotonic() + 0.15), Something(monotonic() + 0.3)
    deadlines.add(moving)
    deadlines.add(mark)
    moving.deadline = monotonic() + 60

    await mark.over()

    assert moving.told == 0


async def test_what_is_discarded_is_not_told(deadlines):
    gone, mark = Something(monotonic() - 1), Something(monotonic() - 1)
    deadlines.add(gone)
    deadlines.add(mark)
    deadlines.discard(gone)
    deadlines.discard(gone)

    await mark.over()

    assert gone.told == 0


async def test_it_goes_on_after_a_pause(deadlines):
    first = Something(monotonic() - 1)
    deadlines.add(first)
    await first.over()
    deadlines.discard(first)

    later = Something(monotonic() - 1)
    deadlines.add(later)
    await later.over()

    assert later.told == 1


async def test_whoever_discards_itself_and_others_when_told_disturbs_nobody(deadlines):
    first, second, third = (Something(monotonic() - 1) for _ in range(3))
    first.expired = lambda: (deadlines.discard(first), deadlines.discard(second), first.event.set())
    for each in (first, second, third):
        deadlines.add(each)

    await first.over()
    await third.over()


async def test_one_that_fails_when_told_does_not_end_the_others_deadlines_and_is_logged(deadlines, caplog):
    broken = Broken(monotonic() - 1)
    deadlines.add(broken)
    await broken.over()

    other = Something(monotonic() - 1)
    deadlines.add(other)
    await other.over()

    assert [record.exc_info[0] for record in caplog.records] == [LookupError]
