"""The courier on the real stores, SQLite and PostgreSQL, in virtual time: what it relies on in a queue is what they do."""

import asyncio
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from domain.destinations import Misconfigured, Receipt, Rejected, Unavailable
from domain.errors import StoreUnavailable
from recorder.courier.condition import REFUSED_IN_A_ROW
from storage.deliveries import DeliveryStore
from tests.recorder.courier.store_queue import StoreWorld
from tests.recorder.courier.test_any_trouble import MOODS, Moody
from tests.recorder.courier.test_failing import always, until
from tests.recorder.courier.world import DAY, Fake
from tests.storage.samples import SECOND, a_content

TABLES = ("deliveries", "delivery_totals", "dead_payloads", "events", "offices", "calls", "contents")


def test_what_is_owed_is_delivered_once_and_in_order(database):
    fake = Fake(items=20)
    with StoreWorld(database, {"d": fake}) as world:
        owed = world.owe("d", 95, content=a_content())
        world.run(60)
        assert fake.taken == owed
        assert world.counts() == (95, 95, 0, 0)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moods=st.lists(st.sampled_from(MOODS), max_size=8),
    poison=st.sets(st.integers(0, 19), max_size=6),
    limits=st.fixed_dictionaries({"items": st.integers(1, 15), "parallel": st.integers(1, 4), "keeps_batches": st.booleans()}),
    seed=st.integers(0, 99),
)
def test_nothing_is_lost_whatever_happens(database, moods, poison, limits, seed):
    with database.writing() as connection:
        for table in TABLES:
            connection.execute(text(f"DELETE FROM {table}"))
    fake = Moody(moods, **limits)
    with StoreWorld(database, {"d": fake}, seed=seed) as world:
        owed = world.owe("d", 20)
        fake.poison = {owed[place] for place in poison}
        while world.queue.counts_now()["d"].pending and world.loop.time() < DAY:
            world.run(60)
        assert sorted(fake.taken) == sorted(set(owed) - fake.poison)
        assert world.died() == dict.fromkeys(fake.poison, "rejected")
        assert fake.rude == []


@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_poison_dies(database, seed):
    fake = Fake(items=50)
    with StoreWorld(database, {"d": fake}) as world:
        owed = world.owe("d", 100)
        poison = set(Random(seed).sample(owed, 12))

        def answer(request):
            if poison & set(request.calls):
                raise Rejected("bad span", status=400)
            return Receipt(200)

        fake.answer = answer
        world.run(60)
        assert world.died() == dict.fromkeys(poison, "rejected")
        assert fake.taken == [call for call in owed if call not in poison]


def test_a_destination_that_is_down_gets_everything_in_order_when_it_is_back(database):
    fake = Fake(until(600, Unavailable("down")), items=20, parallel=1)
    with StoreWorld(database, {"d": fake}) as world:
        owed = world.owe("d", 60)
        world.run(300)
        owed += world.owe("d", 60)
        world.run(290)
        assert world.counts() == (120, 0, 120, 0)
        world.run(120)
        assert fake.taken == owed
        assert world.counts() == (120, 120, 0, 0)


@pytest.mark.parametrize(
    "error", [Unavailable("later", status=429, retry_after=900.0, throttled=True), Misconfigured("no", status=401)]
)
def test_what_waits_for_a_pause_or_for_somebody_does_not_age(database, error):
    fake = Fake(until(1000, error), items=20)
    with StoreWorld(database, {"d": fake}) as world:
        owed = world.owe("d", 50)
        world.run(3000)
        assert fake.taken == owed
        assert {record.tries for records in world.queue.of_calls(owed).values() for record in records} == {1}


def test_a_destination_that_refuses_everything_keeps_its_queue(database):
    fake = Fake(until(900, Rejected("bad request", status=400)), items=100)
    with StoreWorld(database, {"d": fake}) as world:
        owed = world.owe("d", 300)
        world.run(900)
        assert world.counts() == (300, 0, 300 - REFUSED_IN_A_ROW, REFUSED_IN_A_ROW)
        world.run(3700)
        assert sorted(fake.taken) == sorted(owed[REFUSED_IN_A_ROW:])
        assert world.queue.retry_dead("d") == REFUSED_IN_A_ROW
        world.courier.retry("d")
        world.run(60)
        assert world.counts() == (300, 300, 0, 0)


def test_batches_that_are_kept_come_back_as_they_were_and_one_that_is_refused_leaves_its_batch(database):
    fake = Fake(items=10, keeps_batches=True)
    refusing = [Unavailable("busy", status=503)] * 3

    def answer(request):
        if refusing:
            raise refusing.pop()
        return Receipt(200)

    fake.answer = answer
    with StoreWorld(database, {"d": fake}) as world:
        first = world.owe("d", 10)
        world.run(2)
        rest = world.owe("d", 15)
        world.run(100)
        tries = [request for request in fake.requests if request.calls == tuple(first)]
        assert len(tries) == 4
        assert len({request.name for request in tries}) == 1
        assert sorted(fake.taken) == sorted(first + rest)
        fake.answer = always(Rejected("bad request", status=400))
        more = world.owe("d", REFUSED_IN_A_ROW + 10)
        world.run(600)
        bad = {call for request in fake.requests[-2:] for call in request.calls}
        fake.answer = lambda request: (
            Receipt(200) if not bad & set(request.calls) else always(Rejected("bad", status=400))(request)
        )
        world.run(4000)
        assert world.counts()[2] == 0
        assert set(fake.taken) >= set(more) - set(world.died())


def test_what_was_owed_for_too_long_is_given_up_and_what_may_go_elsewhere_goes_there(database):
    down, other = Fake(always(Unavailable("down"))), Fake()
    with StoreWorld(database, {"d": down, "other": other}, d={"retry_for": 1200.0}) as world:
        staying = world.owe("d", 20)
        moving = world.owe("d", 120, otherwise="other")
        world.run(600)
        assert other.taken == moving
        world.run(900)
        assert world.died() == dict.fromkeys(staying, "gave_up")
        assert world.counts() == (20, 0, 0, 20)
        assert world.counts("other") == (120, 120, 0, 0)


def test_live_deliveries_come_before_replays(database):
    fake = Fake(items=10, flush=0.0)
    with StoreWorld(database, {"d": fake}) as world:
        world.run(1)
        world.courier.replay_rate("d", 20.0)
        world.run(1)
        replayed = world.owe("d", 60, lane="replay")
        live = world.owe("d", 10)
        world.run(1)
        assert set(fake.taken[:10]) == set(live)
        world.run(10)
        assert sorted(fake.taken) == sorted(live + replayed)


def test_a_store_that_goes_away_for_a_while_loses_and_doubles_nothing(database):
    fake = Fake(items=5, parallel=4)
    with StoreWorld(database, {"d": fake}) as world:
        owed = []
        for step in range(40):
            world.queue.away = StoreUnavailable("away") if step % 4 == 1 else None
            owed += world.owe("d", 5)
            world.run(1)
        world.queue.away = None
        world.run(60)
        assert sorted(fake.taken) == sorted(owed)
        assert world.counts() == (200, 200, 0, 0)


def test_an_office_that_ends_gives_back_what_it_has_and_the_next_one_goes_on(database):
    hanging = []

    async def hangs(request):
        hanging.extend(request.calls)
        await asyncio.sleep(1e6)

    fake = Fake(hangs, items=5, parallel=1)
    with StoreWorld(database, {"d": fake}) as world:
        owed = world.owe("d", 20)
        world.run(5)
        assert hanging == owed[:5]
    after = DeliveryStore(database, office="office-2", now=world.wall)
    claims = after.claim("d", "live", now=world.wall() + SECOND, most=100, most_bytes=10**9)
    assert [claim.span.id for claim in claims] == owed


def test_a_wall_clock_that_jumps_starves_nobody(database):
    fake = Fake(items=5)
    with StoreWorld(database, {"d": fake}) as world:
        (bad,) = world.owe("d", 1)
        fake.answer = lambda request: always(Unavailable("crashed", status=500))(request) if request.at < 20 else Receipt(200)
        world.run(10)
        world.shift = -7200 * SECOND
        owed = world.owe("d", 20)
        world.run(1200)
        assert sorted(fake.taken) == sorted([bad, *owed])
