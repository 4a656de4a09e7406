"""What the courier does when a destination fails, row by row of the table in the reference (reliability 3.4)."""

import asyncio
from itertools import pairwise

import pytest
from sqlalchemy import text

from domain.deliveries import Owed
from domain.destinations import Limits, Misconfigured, Receipt, Rejected, Unavailable
from domain.errors import StoreUnavailable
from recorder.courier.books import Books
from recorder.courier.clock import Clock
from recorder.courier.configured import Configured, Made
from recorder.courier.trial import trial_event
from recorder.courier.upkeep import buried
from storage.database import open_database
from tests.recorder.courier.memory_queue import MemoryQueue
from tests.recorder.courier.virtual import Inline
from tests.recorder.courier.world import DAY, Fake, FakeOfEvents, World
from tests.storage.owed import NOW, a_store, claim, ids, save
from tests.storage.samples import SECOND, a_span


def always(error):
    def answer(request):
        raise error

    return answer


def until(moment, error):
    """Fail before a moment of the virtual clock, take everything from then on."""

    def answer(request):
        if request.at < moment:
            raise error
        return Receipt(200)

    return answer


@pytest.mark.parametrize("status", [500, 502, 504, None])
def test_an_unavailable_destination_gets_half_the_batch_and_is_left_alone_for_a_while(status):
    fake = Fake(until(3, Unavailable("down", status=status)), items=64)
    with World({"d": fake}) as world:
        owed = world.owe("d", 200)
        world.run(600)
        sizes = [len(request.calls) for request in fake.requests]
        failed = sum(at < 3 for at in fake.times())
        assert sizes[:failed] == [64, 32, 16, 8, 4, 2, 1][:failed]
        assert sorted(fake.taken) == sorted(owed)
        assert world.queue.delivered["d"] == 200


def test_batches_grow_again_once_it_is_well():
    fake = Fake(until(3, Unavailable("down")), items=64, flush=0.1)
    with World({"d": fake}) as world:
        world.owe("d", 2000)
        world.run(600)
        sizes = [len(request.calls) for request in fake.requests]
        assert min(sizes) < 32
        assert 64 in sizes[-12:]


def test_after_five_failures_the_breaker_opens_and_lets_one_through_now_and_then():
    fake = Fake(always(Unavailable("refused")), parallel=8)
    with World({"d": fake}) as world:
        world.owe("d", 500)
        world.run(3600)
        assert world.status().state == "open"
        probes = fake.requests[5:]
        gaps = [later - earlier for earlier, later in pairwise(fake.times()[4:])]
        assert all(len(request.calls) == 1 for request in probes)
        assert min(gaps) >= 1.0
        assert gaps[:6] == sorted(gaps[:6])
        assert max(gaps) <= 31.0
        assert len(probes) <= 3600 / 30 + 10
        assert fake.most_running == 1


def test_probes_that_hang_never_run_side_by_side():
    async def hangs(request):
        await asyncio.sleep(1e6)

    fake = Fake(hangs, parallel=8, timeout=15.0)
    with World({"d": fake}) as world:
        world.owe("d", 500)
        world.run(3600)
        assert world.status().breaker in {"open", "half-open"}
        assert all(later - earlier >= 15.0 for earlier, later in pairwise(fake.times()[8:]))


def test_the_breaker_closes_when_a_probe_is_taken_and_nobody_rushes_in():
    async def recovering(request):
        if request.at < 1000:
            raise Unavailable("down")
        await asyncio.sleep(0.5)
        return Receipt(200)

    fake = Fake(recovering, items=50, parallel=8)
    with World({"d": fake}) as world:
        owed = world.owe("d", 3000)
        world.run(1000)
        assert world.status().state == "open"
        world.run(29)
        first = [request for request in fake.requests if request.at >= 1000]
        assert len(first[0].calls) == 1
        assert len([request for request in first if request.at < first[0].at + 1.0]) <= 4
        world.run(300)
        assert sorted(fake.taken) == sorted(owed)
        assert world.status().state == "idle"


@pytest.mark.parametrize("status", [429, 503])
def test_nothing_is_sent_before_the_time_that_the_destination_asked_for(status):
    asked = []

    def answer(request):
        if len(asked) < 5:
            asked.append(request.at)
            raise Unavailable("later", status=status, retry_after=100.0, throttled=status == 429)
        return Receipt(200)

    fake = Fake(answer, items=10, parallel=4)
    with World({"d": fake}) as world:
        owed = world.owe("d", 100)
        world.run(50)
        world.owe("d", 1)
        assert world.status().state == "waiting"
        assert world.status().paused_until == world.wall() + 50 * SECOND
        world.run(2000)
        assert all(later - earlier >= 100.0 for earlier, later in pairwise(fake.times()[:6]))
        assert {len(request.calls) for request in fake.requests[:5]} == {10}, "the batch is not shrunk"
        assert fake.taken[:100] == owed


@pytest.mark.parametrize(
    ("wish", "least", "most"), [(0.0, 0.0, 1.5), (7200.0, 3600.0, 3601.0), (-5.0, 0.0, 1.5), (float("nan"), 0.5, 2)]
)
def test_wishes_are_believed_within_reason(wish, least, most):
    failures = [Unavailable("later", status=429, retry_after=wish, throttled=True)]

    def answer(request):
        if failures:
            raise failures.pop()
        return Receipt(200)

    fake = Fake(answer)
    with World({"d": fake}) as world:
        world.owe("d", 1)
        world.run(4000)
        assert least <= fake.times()[1] - fake.times()[0] <= most


def test_a_destination_that_only_says_429_is_asked_less_and_less_often():
    fake = Fake(always(Unavailable("too many", status=429, throttled=True)), items=20)
    with World({"d": fake}) as world:
        world.owe("d", 100)
        world.run(3600)
        assert 12 <= len(fake.requests) <= 60
        assert {len(request.calls) for request in fake.requests} == {20}
        assert world.status().breaker == "closed"
        assert world.queue.died("d") == {}


@pytest.mark.parametrize("status", [401, 403, 404, 402])
def test_a_misconfigured_destination_waits_and_nothing_dies(status):
    fake = Fake(until(4000, Misconfigured("no", status=status)), items=20)
    with World({"d": fake}) as world:
        owed = world.owe("d", 100)
        world.run(3999)
        assert world.status().state == "misconfigured"
        assert len(fake.requests) <= 3999 / 180 + 2
        assert {row.attempts for row in world.queue.rows["d"].values()} == {0}, "it was not about them"
        assert {len(request.calls) for request in fake.requests[1:]} == {1}
        assert [event.type for event in world.events] == ["destination.misconfigured"]
        assert world.queue.died("d") == {}
        world.run(3600)
        assert fake.taken == owed
        assert [event.type for event in world.events] == ["destination.misconfigured", "destination.recovered"]


def test_what_is_used_up_is_probed_less_often():
    fake = Fake(always(Misconfigured("plan", status=402)))
    with World({"d": fake}) as world:
        world.owe("d", 10)
        world.run(3599)
        assert len(fake.requests) == 4


def test_a_destination_that_is_gone_is_left_alone_until_somebody_says_so():
    gone = [True]

    def answer(request):
        if gone:
            raise Misconfigured("gone", status=410, gone=True)
        return Receipt(200)

    fake = Fake(answer)
    with World({"d": fake}) as world:
        owed = world.owe("d", 10)
        world.run(DAY)
        assert len(fake.requests) == 1
        assert world.status().state == "disabled"
        assert world.queue.counts()["d"].pending == 10
        gone.clear()
        world.courier.retry("d")
        world.run(10)
        assert fake.taken == owed
        assert world.status().state == "idle"


def test_somebody_who_asks_does_not_wait_for_the_next_probe():
    fake = Fake(until(50, Unavailable("down")))
    with World({"d": fake}) as world:
        world.owe("d", 10)
        world.run(51)
        asked = len(fake.requests)
        world.courier.retry("d")
        world.run(1)
        assert len(fake.requests) > asked
        assert world.queue.delivered["d"] == 10


def test_a_destination_that_cannot_be_made_is_misconfigured_and_tried_again():
    fake = Fake()
    broken = [OSError("no such file")] * 2

    def make():
        if broken:
            raise broken.pop()
        return Made(fake)

    with World({"d": fake}, d={"make": make}) as world:
        owed = world.owe("d", 10)
        world.run(170)
        assert world.status().state == "misconfigured"
        world.run(400)
        assert fake.taken == owed


def test_somebody_who_asks_has_a_destination_made_at_once_that_could_not_be_made():
    fake = Fake()
    broken = [OSError("no such file")]

    def make():
        if broken:
            raise broken[0]
        return Made(fake)

    with World({"d": fake}, d={"make": make}) as world:
        owed = world.owe("d", 10)
        world.run(20)
        world.owe("d", 1)
        broken.clear()
        world.run(20)
        assert world.status().state == "misconfigured", "to owe something is not to ask"
        world.courier.retry("d")
        world.run(5)
        assert fake.taken[:10] == owed
        assert world.status().state == "idle"


def test_what_a_destination_should_not_raise_counts_as_no_answer():
    fake = Fake(until(100, ZeroDivisionError("a bug")))
    with World({"d": fake}) as world:
        owed = world.owe("d", 10)
        world.run(1000)
        assert sorted(fake.taken) == sorted(owed)


def test_a_call_that_always_fails_alone_steps_back_behind_the_others():
    with World({"d": Fake(items=10)}, d={"retry_for": DAY / 4}) as world:
        fake = world.fakes["d"]
        owed = world.owe("d", 100)
        bad = owed[3]

        def answer(request):
            if bad in request.calls:
                raise Unavailable("crashed", status=500)
            return Receipt(200)

        fake.answer = answer
        world.run(3600)
        assert set(fake.taken) == set(owed) - {bad}
        assert world.queue.counts()["d"].pending == 1
        world.run(DAY / 4)
        assert world.queue.died("d") == {bad: "gave_up"}


def test_what_is_too_old_for_a_destination_is_not_sent_and_counted():
    fake = Fake(max_age=DAY)
    with World({"d": fake}) as world:
        old = a_span(started_at=world.wall() - int(25 * 3600 * SECOND))
        young = a_span(started_at=world.wall() - int(23 * 3600 * SECOND))
        world.queue.owe("d", old)
        world.queue.owe("d", young)
        world.run(10)
        assert fake.taken == [young.id]
        assert world.queue.died("d") == {old.id: "expired"}


def test_what_was_owed_for_too_long_is_given_up_while_the_destination_is_still_down():
    fake = Fake(always(Unavailable("down")))
    with World({"d": fake}, d={"retry_for": DAY}) as world:
        first = world.owe("d", 250)
        world.run(DAY / 2)
        second = world.owe("d", 10)
        world.run(DAY / 2 + 60)
        assert world.queue.died("d") == dict.fromkeys(first, "gave_up")
        assert sorted(world.queue.rows["d"]) == sorted(second)
        assert "deliveries.dead" in [event.type for event in world.events]


def test_what_is_looked_at_for_its_age_stays_in_no_batch(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'faregate.db'}")
    database.upgrade()
    store = a_store(database)
    old = save(database, 1, "d")
    young = save(database, 3, "d", first=1)
    with database.writing() as connection:
        connection.execute(text("UPDATE deliveries SET owed_at = :at WHERE number = 1"), {"at": NOW - 2 * int(DAY) * SECOND})
    one = Configured("d", lambda: None, Limits(keeps_batches=True), retry_for=DAY)
    books = Books(store, Inline())

    async def bury():
        writing = asyncio.create_task(books.write())
        dead = await buried(books, one, Clock(lambda: NOW, lambda: 0.0), NOW - 2 * int(DAY) * SECOND)
        writing.cancel()
        return dead

    assert ids(outcome.claim for outcome in asyncio.run(bury())) == [old[0].id]
    assert ids(claim(store, "d", most=2, keep_batches=True, batch="b1")) == [young[0].id, young[1].id]
    database.close()


def test_what_may_go_elsewhere_goes_there_when_a_destination_stays_down():
    down, other = Fake(always(Unavailable("down"))), Fake()
    with World({"d": down, "other": other}) as world:
        staying = world.owe("d", 5)
        moving = world.owe("d", 700, otherwise="other")
        world.run(200)
        assert other.taken == []
        world.run(200)
        assert other.taken == moving
        assert sorted(world.queue.rows["d"]) == sorted(staying)
        assert world.queue.delivered["other"] == 700


def test_an_office_says_that_it_lives_however_much_goes_elsewhere():
    beats = []

    class Queue(MemoryQueue):
        def beat(self, *, now):
            beats.append(now)

    class SlowToDivert(Inline):
        async def run(self, function, *arguments):
            if getattr(getattr(function, "func", None), "__name__", "") == "divert":
                await asyncio.sleep(9)
            return function(*arguments)

    down, other = Fake(always(Unavailable("down"))), Fake()
    queue = Queue(None)
    with World({"d": down, "other": other}, queue=queue, make_worker=SlowToDivert) as world:
        queue._now = world.wall
        world.owe("d", 5000, otherwise="other")
        world.run(600)
        assert world.queue.delivered["other"] == 5000
        assert max(later - earlier for earlier, later in pairwise(beats)) < 10 * SECOND


def test_nothing_goes_to_another_that_is_down_too():
    with World({"d": Fake(always(Unavailable("down"))), "other": Fake(always(Misconfigured("no", status=401)))}) as world:
        world.owe("other", 1)
        world.owe("d", 10, otherwise="other")
        world.run(3600)
        assert len(world.queue.rows["d"]) == 10


def test_trouble_is_told_once_for_each_change():
    phases = [(0, "down"), (2000, "well"), (4000, "down"), (6000, "well")]

    def answer(request):
        if [phase for start, phase in phases if request.at >= start][-1] == "down":
            raise Unavailable("down")
        return Receipt(200)

    with World({"d": Fake(answer)}) as world:
        for _ in range(80):
            world.owe("d", 1)
            world.run(100)
        types = [event.type for event in world.events]
        assert types == ["destination.failing", "destination.recovered"] * 2
        assert len({event.id for event in world.events}) == 4


def test_a_flapping_destination_is_not_told_again_and_again():
    with World(
        {"d": Fake(lambda request: (_ for _ in ()).throw(Unavailable("down")) if request.at % 100 < 50 else Receipt(200))}
    ) as world:
        for _ in range(360):
            world.owe("d", 1)
            world.run(10)
        failing = [event for event in world.events if event.type == "destination.failing"]
        assert 1 <= len(failing) <= 5


def test_the_dead_are_told_in_one_event_for_many():
    good = set()

    def answer(request):
        if set(request.calls) - good:
            raise Rejected("bad", status=400)
        return Receipt(200)

    with World({"d": Fake(answer, items=50)}) as world:
        for _ in range(30):
            good.update(world.owe("d", 1))
            world.owe("d", 10)
            world.run(60)
        told = [event for event in world.events if event.type == "deliveries.dead"]
        assert 2 <= len(told) <= 3
        world.run(1000)
        told = [event for event in world.events if event.type == "deliveries.dead"]
        assert sum(event.data["dead"]["rejected"] for event in told) == 300


def test_events_are_told_when_the_store_is_back():
    told = []
    with World({"d": Fake(always(Unavailable("down")))}, events=None) as world:

        def tell(event):
            if world.loop.time() < 500:
                raise StoreUnavailable("away")
            told.append(event.type)

        world.courier._events = tell
        world.owe("d", 1)
        world.run(1000)
        assert told == ["destination.failing"]


def test_events_reach_destinations_that_take_them_and_die_where_not():
    hook, plain = FakeOfEvents(), Fake()
    with World({"hook": hook, "plain": plain}) as world:
        world.owe("hook", 3)
        event = trial_event(world.wall(), "hook")
        world.queue.owe_event(event, [Owed("hook"), Owed("plain")])
        world.run(10)
        assert event.id in hook.taken
        assert (event.id,) in [request.calls for request in hook.requests]
        assert world.queue.died("plain") == {event.id: "rejected"}
        assert len(hook.taken) == 4


@pytest.mark.parametrize("jump", [-3600, -300, 86_400, 3600])
def test_nobody_starves_and_nothing_dies_when_the_wall_clock_jumps(jump):
    fake = Fake(until(40, Unavailable("down", status=500)), items=1, max_age=DAY)
    with World({"d": fake}) as world:
        owed = world.owe("d", 20)
        world.run(30)
        world.shift = jump * SECOND
        owed += world.owe("d", 5)
        world.run(700)
        assert sorted(fake.taken) == sorted(owed)
        assert world.queue.died("d") == {}


def test_what_was_put_off_by_a_clock_that_went_wrong_is_not_waited_for_after_a_restart():
    fake = Fake()
    with World({"d": fake}) as world:
        world.owe("d", 5)
        for row in world.queue.rows["d"].values():
            row.due = world.wall() + 9 * 3600 * SECOND
        world.run(20)
        assert len(fake.taken) == 5


def test_stopping_lets_what_is_in_flight_end_and_gives_the_rest_back():
    async def slowly(request):
        await asyncio.sleep(3)
        return Receipt(200)

    fake = Fake(slowly, items=10)
    world = World({"d": fake})
    with world:
        world.owe("d", 100)
        world.run(1)
    assert world.queue.delivered["d"] == 10
    assert not any(row.claimed for row in world.queue.rows["d"].values())


def test_stopping_does_not_wait_for_one_that_hangs():
    async def hangs(request):
        await asyncio.sleep(1e6)

    world = World({"d": Fake(hangs, items=10, timeout=60.0)})
    with world:
        world.owe("d", 100)
        world.run(1)
        before = world.loop.time()
        world.stop()
        assert world.loop.time() - before <= 15
    assert world.queue.counts()["d"].pending == 100
    assert not any(row.claimed for row in world.queue.rows["d"].values())


def test_a_restart_goes_on_from_the_queue_alone():
    first = World({"d": Fake(until(1e9, Unavailable("down")))})
    with first:
        first.owe("d", 50)
        first.run(300)
    fake = Fake()
    with World({"d": fake}, queue=first.queue) as second:
        second.shift = 300 * SECOND
        second.run(10)
        assert len(fake.taken) == 50


def test_one_that_hangs_one_that_refuses_and_one_that_throttles_delay_nobody_else():
    async def hangs(request):
        await asyncio.sleep(1e6)

    def lags(**others):
        with World({"d": Fake(), **others}, seed=3) as world:
            for name in others:
                world.owe(name, 200)
            for _ in range(100):
                world.owe("d", 10)
                world.run(1)
            world.run(10)
            assert world.queue.delivered["d"] == 1000
            return world.status().lag

    alone = lags()
    beside = lags(
        hung=Fake(hangs, parallel=8),
        refusing=Fake(always(Unavailable("refused"))),
        throttled=Fake(always(Unavailable("later", status=429, retry_after=1.0, throttled=True))),
    )
    assert beside == alone


def test_many_that_failed_together_do_not_come_back_together():
    fakes = {f"d{number}": Fake(until(10, Unavailable("down"))) for number in range(20)}
    with World(fakes) as world:
        for name in fakes:
            world.owe(name, 1)
        world.run(100)
        seconds = [fake.times()[1] for fake in fakes.values()]
        assert len(set(seconds)) == 20
        assert all(fake.taken for fake in fakes.values())


def test_one_that_always_asks_to_come_back_at_once_is_not_asked_without_end():
    fake = Fake(always(Unavailable("now", status=429, retry_after=0.0, throttled=True)))
    with World({"d": fake}) as world:
        world.owe("d", 10)
        world.run(3600)
        assert len(fake.requests) <= 5 + 3600 / 30 + 10


def test_what_was_claimed_before_a_wish_to_be_left_alone_is_given_back_unsent():
    wished = []

    async def answer(request):
        await asyncio.sleep(1)
        if request.at > 20 and not wished:
            wished.append(request.at + 1)
            raise Unavailable("later", status=429, retry_after=100.0, throttled=True)
        return Receipt(200)

    fake = Fake(answer, items=1, parallel=4)
    with World({"d": fake}) as world:
        world.owe("d", 400)
        world.run(400)
        assert fake.most_running == 4
        assert [at for at in fake.times() if wished[0] < at < wished[0] + 100] == []
        assert world.queue.delivered["d"] == 400


def test_what_was_put_off_before_the_clock_went_back_does_not_wait_for_it_under_steady_traffic():
    with World({"d": Fake(items=1)}) as world:
        fake = world.fakes["d"]
        (bad,) = world.owe("d", 1)

        def answer(request):
            if bad in request.calls and request.at < 100:
                raise Unavailable("crashed", status=500)
            return Receipt(200)

        fake.answer = answer
        for quarter in range(1600):
            if quarter == 397:
                world.shift = -7200 * SECOND
            world.owe("d", 1)
            world.run(0.25)
        assert bad in fake.taken


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a row that nobody can read")])
def test_what_was_claimed_goes_out_though_the_store_goes_away_before_replays_are_looked_for(error):
    """It would stay claimed by an office that does nothing with it, for as long as that lives."""

    class Queue(MemoryQueue):
        went_away = False

        def claim(self, destination, lane, **wanted):
            if lane == "replay" and not self.went_away and any(row.claimed for row in self.rows[destination].values()):
                self.went_away = True
                raise error
            return super().claim(destination, lane, **wanted)

    fake, queue = Fake(items=1), Queue(None)
    with World({"d": fake}, queue=queue) as world:
        queue._now = world.wall
        world.run(10)
        owed = world.owe("d", 3)
        world.run(60)
        assert queue.went_away
        assert sorted(fake.taken) == sorted(owed)
        assert not queue.rows["d"]
