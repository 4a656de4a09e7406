"""What the courier does when all is well: gathering, order, lanes, batches."""

import asyncio
from random import Random

from domain.destinations import Limits, Receipt, Unavailable
from recorder.courier.batches import HOUR
from recorder.courier.books import Books
from recorder.courier.clock import Clock
from recorder.courier.gathering import Gathering
from recorder.courier.pace import Pace
from tests.recorder.courier.memory_queue import MemoryQueue
from tests.recorder.courier.virtual import Inline
from tests.recorder.courier.world import Fake, World
from tests.storage.samples import BEGIN, SECOND, a_content, a_span


def test_what_is_owed_is_delivered_once_and_in_order():
    fake = Fake(items=10)
    with World({"d": fake}) as world:
        owed = world.owe("d", 95)
        world.run(60)
        assert fake.taken == owed
        assert world.queue.delivered["d"] == 95
        assert len(fake.requests) == 10


def test_calls_are_gathered_for_as_long_as_the_destination_wants():
    fake = Fake(items=100, flush=2.0)
    with World({"d": fake}) as world:
        world.run(10)
        for _ in range(5):
            world.owe("d", 3)
            world.run(0.2)
        world.run(10)
        assert [len(request.calls) for request in fake.requests] == [15]
        assert fake.times() == [12.0]


def test_a_full_batch_does_not_wait():
    fake = Fake(items=20, flush=60.0)
    with World({"d": fake}) as world:
        world.run(100)
        world.owe("d", 20)
        world.run(1)
        assert [len(request.calls) for request in fake.requests] == [20]


def test_a_batch_holds_no_more_than_the_bytes_allowed():
    fake = Fake(items=100, body_bytes=10_000)
    with World({"d": fake}) as world:
        owed = world.owe("d", 40, content=a_content(text="x" * 2000))
        world.run(100)
        assert sorted(fake.taken) == sorted(owed)
        assert max(len(request.body) for request in fake.requests) <= 10_000
        assert len(fake.requests) < 25


def test_live_deliveries_come_before_replays_which_keep_to_their_rate():
    fake = Fake(items=10, flush=0.0)
    with World({"d": fake}) as world:
        world.run(1)
        world.courier.replay_rate("d", 20.0)
        world.run(1)
        replayed = world.owe("d", 100, lane="replay")
        live = world.owe("d", 10)
        world.run(1)
        assert set(fake.taken[:10]) == set(live)
        world.run(2)
        assert 40 <= len(set(fake.taken) & set(replayed)) <= 80
        live += world.owe("d", 10)
        before = len(fake.taken)
        world.run(0.5)
        assert set(live[10:]) <= set(fake.taken[before : before + 20])
        world.run(10)
        assert world.queue.delivered["d"] == 120


def test_requests_run_side_by_side_up_to_the_limit_and_start_with_one():
    async def slowly(request):
        await asyncio.sleep(2)
        return Receipt(200)

    fake = Fake(slowly, items=5, parallel=4)
    with World({"d": fake}) as world:
        world.owe("d", 1000)
        world.run(1)
        assert fake.running == 1
        world.run(30)
        assert fake.most_running == 4
        world.run(100)
        assert world.queue.delivered["d"] == 1000


def test_a_batch_that_is_kept_together_has_the_same_name_when_it_is_tried_again():
    failures = [Unavailable("busy", status=503)] * 3

    def answer(request):
        if failures:
            raise failures.pop()
        return Receipt(200)

    fake = Fake(answer, items=10, keeps_batches=True)
    with World({"d": fake}) as world:
        first = world.owe("d", 10)
        world.run(2)
        world.owe("d", 15)
        world.run(100)
        tries = [request for request in fake.requests if request.calls == tuple(first)]
        assert len(tries) == 4
        assert len({request.name for request in tries}) == 1
        names = {request.calls: request.name for request in fake.requests}
        assert len(set(names.values())) == len(names)
        assert max(map(len, names)) == 10
        assert world.queue.delivered["d"] == 25


def test_a_batch_of_calls_of_two_hours_is_two():
    fake = Fake(items=10, by_hour=True)
    with World({"d": fake}) as world:
        for number in range(6):
            world.queue.owe("d", a_span(started_at=488_890 * HOUR + number * HOUR // 2))
        world.run(10)
        assert [len(request.calls) for request in fake.requests] == [2, 2, 2]


def test_what_another_office_owes_is_found_without_being_told():
    fake = Fake()
    with World({"d": fake}) as world:
        world.run(60)
        world.queue.owe("d", a_span())
        world.run(6)
        assert len(fake.taken) == 1


def test_doing_nothing_costs_next_to_nothing():
    with World({"d": Fake()}) as world:
        world.run(600)
        assert world.queue.claims <= 2 * 600 / 5 + 5


def test_the_store_may_be_away_for_a_while():
    fake = Fake()
    with World({"d": fake}) as world:
        world.run(5)
        world.queue.away = True
        world.run(120)
        world.queue.away = False
        owed = world.owe("d", 30)
        world.run(20)
        assert fake.taken == owed


def test_what_was_taken_while_the_store_is_away_is_written_down_later_and_not_sent_again():
    with World({"d": Fake()}) as world:

        def answer(request):
            world.queue.away = True
            return Receipt(202)

        fake = world.fakes["d"]
        fake.answer = answer
        world.run(1)
        owed = world.owe("d", 5)
        world.run(100)
        world.queue.away = False
        world.run(10)
        assert fake.taken == owed
        assert world.queue.delivered["d"] == 5


def test_status_tells_what_was_done():
    with World({"d": Fake()}) as world:
        world.owe("d", 100)
        world.run(20)
        status = world.status()
        assert (status.state, status.delivered, status.pending, status.accepted) == ("idle", 100, 0, 100)
        assert status.outcomes == {"delivered": 1}
        assert status.attempts == 1
        assert status.sent_bytes == sum(len(request.body) for request in world.fakes["d"].requests)
        assert status.lag.count == 100
        assert status.lag.buckets[-1][1] == 100
        assert status.last_ok_at is not None
        assert status.last_error is None


def test_replays_go_on_beside_live_traffic_that_leaves_room():
    fake = Fake(items=100, flush=1.0)
    with World({"d": fake}) as world:
        world.run(1)
        replayed = world.owe("d", 1000, lane="replay")
        for _ in range(20):
            world.owe("d", 10)
            world.run(0.5)
        assert set(replayed) <= set(fake.taken)
        assert len(fake.requests) <= 40


def test_a_slow_replay_is_gathered_too():
    fake = Fake(items=100, flush=0.1)
    with World({"d": fake}) as world:
        world.run(1)
        world.courier.replay_rate("d", 20.0)
        world.owe("d", 200, lane="replay")
        world.run(11)
        assert len(fake.taken) == 200
        assert len(fake.requests) <= 14


def test_what_a_wrong_clock_put_off_and_may_not_go_yet_is_not_looked_for_without_a_pause():
    queue = MemoryQueue(lambda: BEGIN)
    span = a_span()
    queue.owe("d", span, lane="replay")
    queue.rows["d"][span.id].due = BEGIN + 3600 * SECOND
    limits = Limits()
    clock = Clock(lambda: BEGIN, lambda: 0.0)
    gathering = Gathering("d", limits, Books(queue, Inline()), Pace(limits), clock=clock, random=Random(1))
    for _ in range(3):
        assert asyncio.run(gathering.claimed(narrow=False, most_bytes=1000)) == []
        assert gathering.ready_in() > 0
