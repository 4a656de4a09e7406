"""A probe always ends: whatever comes between, the lane of a destination that is well again goes on."""

import asyncio

from domain.destinations import Misconfigured, Receipt, Unavailable
from tests.recorder.courier.virtual import Inline
from tests.recorder.courier.world import Fake, World
from tests.storage.samples import a_span


def asked(world, span):
    """Ask for a test in the loop, as `Courier.test` does from its thread."""
    lane = world.courier._lanes["d"]
    return world.loop.create_task(lane.test(span.id, lambda: world.queue.owe("d", span)))


def test_what_was_being_packed_while_the_breaker_opened_is_a_probe_like_any_other():
    slow = []

    class Packing(Inline):
        async def run(self, function, *arguments):
            if slow and getattr(function, "__name__", "") == "payload":
                await asyncio.sleep(slow.pop())
            return function(*arguments)

    async def answer(request):
        await asyncio.sleep(0.5)
        if 29.9 <= request.at < 60:
            raise Unavailable("down")
        return Receipt(200)

    fake = Fake(answer, items=16, parallel=8)
    with World({"d": fake}, make_worker=Packing) as world:
        world.owe("d", 2000)
        world.run(29.9)
        assert world.status().parallel == 8
        owed = world.owe("d", 16 * 8)
        slow.append(5.0)
        world.run(5)
        assert world.status().breaker != "closed"
        world.run(300)
        assert set(owed) <= set(fake.taken)
        assert world.status().state == "idle"


def test_a_test_that_is_given_up_on_its_way_leaves_room_for_the_next_probe():
    async def answer(request):
        if request.at > 100:
            return Receipt(200)
        if request.at > 50:
            await asyncio.sleep(40)
        raise Unavailable("down")

    fake = Fake(answer, timeout=60.0)
    with World({"d": fake}) as world:
        owed = world.owe("d", 10)
        world.run(50)
        assert world.status().breaker == "open"
        while world.status().breaker != "open" or world.loop.time() <= 50:
            world.run(1)
        test = asked(world, a_span())
        world.run(1)
        assert world.status().breaker == "half-open"
        test.cancel()
        world.run(200)
        assert set(owed) <= set(fake.taken)


def test_a_test_that_succeeds_wakes_the_lane():
    async def answer(request):
        if request.at < 50:
            raise Unavailable("down")
        await asyncio.sleep(40)
        return Receipt(200)

    fake = Fake(answer, timeout=60.0)
    with World({"d": fake}) as world:
        owed = world.owe("d", 10)
        world.run(50)
        asked(world, a_span())
        world.run(150)
        assert world.status().breaker == "closed"
        assert set(owed) <= set(fake.taken)


def test_a_test_that_succeeds_ends_the_wait_for_settings_to_be_changed():
    wrong = [True]

    def answer(request):
        if wrong:
            raise Misconfigured("its plan is used up", status=402)
        return Receipt(200)

    fake = Fake(answer)
    with World({"d": fake}) as world:
        owed = world.owe("d", 10)
        world.run(10)
        assert world.status().state == "misconfigured"
        wrong.clear()
        asked(world, a_span())
        world.run(5)
        assert set(owed) <= set(fake.taken)


def test_a_test_that_is_given_up_while_its_call_is_claimed_gives_it_back():
    class SlowToClaim(Inline):
        async def run(self, function, *arguments):
            result = function(*arguments)
            if getattr(getattr(function, "func", None), "__name__", "") == "claim_one":
                await asyncio.sleep(50)
            return result

    fake = Fake()
    with World({"d": fake}, make_worker=SlowToClaim) as world:
        world.run(1)
        span = a_span()
        test = asked(world, span)
        world.run(1)
        test.cancel()
        world.run(100)
        assert fake.taken == [span.id]
