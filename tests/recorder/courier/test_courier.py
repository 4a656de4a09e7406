"""The courier as the office sees it: threads, tests, what would be sent, and that it never ends."""

import asyncio
import importlib
import threading
from random import Random

import pytest

from destinations.otlp import OtlpConfig
from domain.deliveries import Owed
from domain.destinations import Misconfigured, Receipt, Rejected, Unavailable
from domain.errors import StoreUnavailable
from recorder.courier import Configured, Courier, TestResult, configured, transform_called, transforms
from recorder.courier.configured import Made
from recorder.courier.trial import TAG
from storage.database import open_database
from storage.deliveries import DeliveryStore
from storage.spans import SpanStore
from tests.destinations.sink import Reply, Sink
from tests.recorder.courier.world import Fake, FakeOfEvents, World
from tests.storage.samples import a_content, a_span

TAKEN = Reply(200, content_type="application/x-protobuf")


def result_of(world, seconds=60.0):
    """Run `Courier.test` in a thread, as the desk does, while the virtual time goes on."""
    results: list[TestResult | Exception] = []

    def work():
        try:
            results.append(world.courier.test("d", seconds=seconds))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        world.run(0.01)
        thread.join(0.005)
    return results[0]


def world_of(fake, **more):
    world = World({"d": fake}, owe=lambda span, content, owed: world.queue.owe(owed.destination, span, content), **more)
    return world


def test_a_test_call_goes_through_the_queue_and_says_where_to_look():
    fake = Fake()
    with world_of(fake) as world:
        world.run(1)
        result = result_of(world)
        assert (result.ok, result.status, result.message) == (True, 200, "it was taken")
        assert fake.taken == [result.call_id]
        assert result.trace_id in result.look_at
        assert TAG in result.look_at
        assert world.queue.delivered["d"] == 1


def test_where_to_look_may_be_a_query_with_braces_of_its_own():
    with world_of(Fake(), d={"look_at": 'Search for {trace:id = "{trace}"}.'}) as world:
        world.run(1)
        result = result_of(world)
        assert result.look_at == f'Search for {{trace:id = "{result.trace_id}"}}.'


def test_a_test_does_not_wait_behind_a_backlog_or_a_pause():
    failing = [True]

    def answer(request):
        if failing:
            raise Unavailable("busy", status=429, retry_after=3000.0, throttled=True)
        return Receipt(200)

    with world_of(Fake(answer)) as world:
        world.owe("d", 500)
        world.run(10)
        failing.clear()
        assert result_of(world).ok
        assert world.queue.delivered["d"] == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Rejected("what is this", status=400), "rejected: what is this"),
        (Misconfigured("wrong key", status=401), "wrong key; it is tried again"),
        (Unavailable("no answer"), "no answer; it is tried again"),
    ],
)
def test_a_test_says_what_the_destination_said(error, said):
    def answer(request):
        raise error

    with world_of(Fake(answer)) as world:
        world.run(1)
        result = result_of(world)
        assert (result.ok, result.message, result.status) == (False, said, error.status)


def test_a_test_of_a_destination_that_hangs_ends_in_time():
    async def hangs(request):
        await asyncio.sleep(1e9)

    with world_of(Fake(hangs, timeout=1e9)) as world:
        world.run(1)
        result = result_of(world, seconds=0.1)
        assert not result.ok
        assert result.message == "no answer within 0.1 s; it stays in the queue"
        assert world.queue.counts()["d"].pending == 1


def test_where_only_events_are_taken_a_test_is_an_event():
    fake = FakeOfEvents()
    with World({"d": fake}, d={"takes": "events"}) as world:
        world.run(1)
        result = result_of(world)
        assert result.ok
        assert b"This is a test" in fake.requests[0].body
        world.queue.owe("d", a_span())
        world.run(20)
        assert list(world.queue.died("d").values()) == ["rejected"]


def test_a_test_of_nobody_or_without_a_store_says_so():
    with world_of(Fake()) as world:
        with pytest.raises(ValueError, match="nobody"):
            world.courier.test("nobody")
        world.run(1)
        world.queue.away = True

        def owe(span, content, owed):
            raise StoreUnavailable("away")

        world.courier._owe = owe
        assert isinstance(result_of(world), StoreUnavailable)


def test_what_would_be_sent_can_be_seen_without_sending():
    fake = Fake(item_bytes=5000)
    with world_of(fake) as world:
        world.run(1)
        payload = world.courier.encoded("d", a_span(), a_content(text="hello"), Owed("d"))
        assert b"hello" in payload.body
        assert len(world.courier.encoded("d", a_span(), a_content(text="long " * 9000), Owed("d")).body) <= 5000
        assert b"hello" not in world.courier.encoded("d", a_span(), a_content(text="hello"), Owed("d", "none")).body
        fake.transform = None
        with pytest.raises(ValueError, match="nobody"):
            world.courier.encoded("nobody", a_span(), None, Owed("nobody"))
        assert fake.requests == []


def test_a_rate_is_more_than_nothing():
    with world_of(Fake()) as world, pytest.raises(ValueError, match="more than 0"):
        world.courier.replay_rate("d", 0)


def test_a_lane_that_fails_begins_again_and_takes_nobody_with_it():
    fake, other = Fake(), Fake()
    closes = []

    async def close():
        closes.append(1)
        if len(closes) == 1:
            raise RuntimeError("a bug")

    broken = [True]

    def make():
        return Made(fake, close)

    with World({"d": fake, "other": other}, d={"make": make}) as world:
        world.run(1)
        lane = world.courier._lanes["d"]
        turn = lane._safe_turn

        async def bad_turn(group):
            if broken:
                broken.clear()
                raise RuntimeError("a bug")
            await turn(group)

        lane._safe_turn = bad_turn
        owed = world.owe("d", 3)
        world.owe("other", 3)
        world.run(30)
        assert fake.taken == owed
        assert len(other.taken) == 3


def test_the_thread_goes_on_whatever_happens_and_ends_when_it_is_told_to(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    database.upgrade()
    spans = SpanStore(database)
    with Sink(TAKEN) as sink:
        config = OtlpConfig(url=sink.url, allow_private=True, flush=0.0)
        made = []

        def make_loop():
            made.append(1)
            if len(made) == 1:
                raise OSError("no more files")
            return asyncio.new_event_loop()

        courier = Courier(
            DeliveryStore(database, office="a"),
            {"otel": configured("otel", config, servers={"openai": ("api.openai.com", 443)})},
            owe=lambda span, content, owed: spans.save([(span, content)], {}, {span.id: [owed]}),
            random=Random(1),
            make_loop=make_loop,
        )
        assert courier.status()["otel"].state == "idle"
        courier.wake()
        courier.start()
        span = a_span()
        spans.save([(span, a_content())], {}, {span.id: [Owed("otel")]})
        courier.wake({"otel": 1})
        sink.wait_for(1)
        courier.replay_rate("otel", 50.0)
        courier.retry("otel")
        result = courier.test("otel")
        assert result.ok, result
        assert courier.is_alive()
        courier.stop()
        assert not courier.is_alive()
        counts = DeliveryStore(database, office="b").counts()["otel"]
        assert (counts.accepted, counts.delivered) == (2, 2)
    database.close()


def test_a_claim_that_nobody_has_any_more_is_delivered_when_the_courier_has_started_again():
    fake = Fake()
    with world_of(fake) as world:
        world.run(1)
        owed = world.owe("d", 3)
        world.queue.claim("d", "live", now=world.wall(), most=2, most_bytes=1)
        world.run(100)
        assert fake.taken == owed[2:]
        world._task.cancel()
        world.ask(asyncio.wait({world._task}))
        world._task = None
        world.run(100)
        assert sorted(fake.taken) == sorted(owed)


def test_without_destinations_nothing_runs():
    courier = Courier(None, {})
    courier.start()
    courier.wake()
    courier.stop()
    assert courier.status() == {}
    assert not courier.is_alive()


def test_a_transformation_is_found_by_its_name(tmp_path, monkeypatch):
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    offered = f"[{transforms.GROUP}]\nupper = operator:neg\nbroken = no_such_module:f\nnumber = math:pi\n"
    (info / "entry_points.txt").write_text(offered)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert callable(transform_called("upper"))
    with pytest.raises(ValueError, match="did you mean 'upper'"):
        transform_called("uper")
    with pytest.raises(ValueError, match="cannot be loaded: ModuleNotFoundError"):
        transform_called("broken")
    with pytest.raises(ValueError, match="not a function"):
        transform_called("number")


def test_a_destination_without_its_transformation_is_misconfigured_and_says_why():
    def make():
        raise Misconfigured("there is no transformation called 'x'")

    with World({"d": Fake()}, d={"make": make}) as world:
        world.run(1)
        status = world.status()
        assert status.state == "misconfigured"
        assert "no transformation called 'x'" in status.why


def test_settings_become_what_the_courier_needs():
    config = OtlpConfig(url="https://collector.example.com", content="none", redact=("secrets",), retry_for="3d", batch_items=7)
    made = configured("otel", config)
    assert isinstance(made, Configured)
    assert (made.name, made.content, made.redact, made.retry_for) == ("otel", "none", ("secrets",), 3 * 86_400.0)
    assert made.limits.items == 7
    assert made.takes == "spans"
