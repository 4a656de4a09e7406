"""A destination that refuses everything: the destination is the reason, and not each delivery; so the queue waits, and does not die one by one."""

import asyncio

import pytest

from domain.destinations import Misconfigured, Receipt, Rejected, TooLarge, Unavailable
from recorder.courier.condition import PROBE_MISCONFIGURED, REFUSED_IN_A_ROW
from tests.recorder.courier.world import DAY, Fake, FakeOfEvents, World
from tests.storage.samples import a_content

LONG = 6 * 3600.0


def refusing_until(moment, error=None):
    """Refuse everything before a moment of the virtual clock, take everything from then on."""

    def answer(request):
        if request.at < moment:
            raise error or Rejected("bad request", status=400)
        return Receipt(200)

    return answer


def each_refused(request):
    return Receipt(207, rejected=dict.fromkeys(request.calls, "no such project"))


def none_kept(request):
    return Receipt(200, refused=len(request.calls))


@pytest.mark.parametrize("error", [Rejected("bad request", status=400), TooLarge("too large", status=413)])
@pytest.mark.parametrize("limits", [{"items": 100, "parallel": 8}, {"items": 1}, {"items": 100, "keeps_batches": True}])
def test_a_destination_that_refuses_everything_is_misconfigured_and_its_queue_waits(limits, error):
    fake = Fake(refusing_until(LONG, error), **limits)
    with World({"d": fake}) as world:
        owed = world.owe("d", 300, content=a_content(text="hello"))
        world.run(LONG - 1)
        status = world.status()
        assert status.state == "misconfigured"
        assert "in a row" in status.why
        assert len(world.queue.dead["d"]) == REFUSED_IN_A_ROW
        assert world.queue.counts()["d"].pending == 300 - REFUSED_IN_A_ROW
        assert [event.type for event in world.events].count("destination.misconfigured") == 1
        world.run(2 * 3600)
        assert sorted(fake.taken) == sorted(set(owed) - set(world.queue.dead["d"]))
        assert world.status().state == "idle"
        assert [event.type for event in world.events].count("destination.recovered") == 1


def test_while_it_refuses_everything_it_is_asked_now_and_then_with_another_each_time():
    fake = Fake(refusing_until(DAY), items=100)
    with World({"d": fake}) as world:
        world.owe("d", 1000)
        world.run(600)
        before = len(fake.requests)
        world.run(3000)
        probes = fake.requests[before:]
        assert len(probes) <= 3000 / PROBE_MISCONFIGURED + 1
        assert {len(request.calls) for request in probes} == {1}
        assert len({request.calls for request in probes}) == len(probes) > 10


@pytest.mark.parametrize("answer", [each_refused, none_kept])
def test_refused_one_by_one_within_an_answer_is_refused_all_the_same(answer):
    fake = Fake(answer, items=20)
    with World({"d": fake}) as world:
        world.owe("d", 500)
        world.run(1000)
        counts = world.queue.counts()["d"]
        assert world.status().state == "misconfigured"
        assert counts.dead <= REFUSED_IN_A_ROW
        assert counts.pending > 400


def test_one_that_is_taken_in_between_says_that_the_others_were_poison():
    fake = Fake(items=100, parallel=1)
    with World({"d": fake}) as world:
        owed = world.owe("d", 1000)
        good = set(owed[:: REFUSED_IN_A_ROW - 1])

        def answer(request):
            if set(request.calls) - good:
                raise Rejected("bad span", status=400)
            return Receipt(200)

        fake.answer = answer
        world.run(600)
        assert world.queue.died("d") == dict.fromkeys(set(owed) - good, "rejected")
        assert set(fake.taken) == good
        assert world.status().state == "idle"
        assert [event.type for event in world.events] == ["deliveries.dead"]


def test_what_is_poison_is_passed_by_when_others_are_taken_again():
    fake = Fake(items=10, flush=0.1)
    with World({"d": fake}) as world:
        poison = set(world.owe("d", REFUSED_IN_A_ROW + 5))

        def answer(request):
            if poison & set(request.calls):
                raise Rejected("bad span", status=400)
            return Receipt(200)

        fake.answer = answer
        world.run(60)
        good = world.owe("d", 200)
        world.run(7 * PROBE_MISCONFIGURED)
        assert sorted(fake.taken) == sorted(good)
        world.run(3 * 3600)
        assert world.queue.died("d") == dict.fromkeys(poison, "rejected")
        assert world.status().state == "idle"


def test_somebody_who_asks_has_one_tried_at_once_and_nothing_dies_of_it():
    fake = Fake(refusing_until(1000), items=100)
    with World({"d": fake}) as world:
        world.owe("d", 200)
        world.run(995)
        asked = len(fake.requests)
        world.courier.retry("d")
        world.run(1)
        assert len(fake.requests) == asked + 1
        assert len(world.queue.dead["d"]) == REFUSED_IN_A_ROW
        world.run(5)
        world.courier.retry("d")
        world.run(10)
        assert world.status().state == "idle"


def test_a_test_of_it_says_what_the_destination_said_and_waits_with_the_others():
    fake = FakeOfEvents(refusing_until(DAY))
    with World({"d": fake}) as world:
        world.owe("d", REFUSED_IN_A_ROW)
        world.run(60)
        lane = world.courier._lanes["d"]
        id_, _, owe = world.courier._test_of(lane, "d")
        outcome = world.ask(lane.test(id_, owe))
        assert (outcome.status, outcome.error) == (400, "bad request")
        assert id_ not in world.queue.dead["d"]


@pytest.mark.parametrize("other", [Misconfigured("no", status=401), Unavailable("down", status=502), Unavailable("refused")])
def test_other_trouble_in_between_does_not_make_it_well(other):
    def answer(request):
        if 1000 < request.at < 5000:
            raise other
        raise Rejected("bad request", status=400)

    with World({"d": Fake(answer, items=20)}) as world:
        world.owe("d", 500)
        world.run(DAY)
        assert len(world.queue.dead["d"]) == REFUSED_IN_A_ROW
        assert world.status().state == "misconfigured"
        assert "destination.recovered" not in [event.type for event in world.events]


def test_what_is_under_way_when_the_limit_is_reached_waits_too():
    async def slowly(request):
        await asyncio.sleep(1)
        raise Rejected("bad request", status=400)

    fake = Fake(slowly, items=1, parallel=8)
    with World({"d": fake}) as world:
        fake.answer = lambda _: Receipt(200)
        world.owe("d", 100)
        world.run(30)
        fake.answer = slowly
        world.owe("d", 300)
        world.run(300)
        assert fake.most_running == 8
        assert len(world.queue.dead["d"]) == REFUSED_IN_A_ROW


def test_what_may_go_elsewhere_goes_there_while_it_refuses_everything():
    refusing, other = Fake(refusing_until(DAY)), Fake()
    with World({"d": refusing, "other": other}) as world:
        world.owe("d", 500, otherwise="other")
        world.run(3600)
        assert len(other.taken) == 500 - REFUSED_IN_A_ROW
