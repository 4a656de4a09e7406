"""The Redis ledger when Redis is paused, killed, emptied or slow: unavailable within milliseconds, and whole again without a restart."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import monotonic

import pytest
import redis

from domain.ledger import Claim, Held, LedgerLost, LedgerUnavailable, Refused, Standing
from gateway.budgets.holding import LEASE_SECONDS, RENEW_SECONDS
from storage.ledger import begin_ledger, open_ledger, open_settling_ledger
from storage.ledger.hearing_time import MOST_STEPS, HearingTime
from storage.ledger.redis import YOUNG_SECONDS, RedisHolding, RedisSettling
from storage.ledger.redis_client import CONNECTIONS, DEADLINE, FIRST_PROBE, LAST_PROBE, AsyncRedis, WaitingRedis
from tests.storage.ledger.conftest import LEASE, NOW, PATIENT, RedisServer, a_claim

TIME = {"now": NOW, "lease": LEASE}
COUNTER = "b1@usd:total"


class Naps:
    """Sleeps of the probe: each ends when the test says so."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self._go_on = asyncio.Semaphore(0)
        self.begun = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.begun.release()
        await self._go_on.acquire()

    async def end_one(self) -> None:
        self._go_on.release()
        await self.begun.acquire()

    def end_all(self) -> None:
        for _ in range(10_000):
            self._go_on.release()


@asynccontextmanager
async def gate_of(url: str, **values):
    gate = RedisHolding(url, own_clock=False, **values)
    yield gate
    await gate.close()


def office_of(url: str) -> RedisSettling:
    office = RedisSettling(url, deadline=PATIENT, own_clock=False, young_seconds=0)
    office.rebuild([], {}, **TIME)
    return office


def test_the_deadlines_are_milliseconds_and_there_are_no_retries() -> None:
    """Redis' own client would wait for 5 s, ten times."""
    waiting, gate = WaitingRedis("redis://localhost:1"), AsyncRedis("redis://localhost:1")
    for pool in (waiting._client.connection_pool, gate._client.connection_pool):
        assert pool.connection_kwargs["retry"]._retries == 0
    settings = waiting._client.connection_pool.connection_kwargs
    assert (settings["socket_timeout"], settings["socket_connect_timeout"]) == (DEADLINE, DEADLINE)
    assert DEADLINE <= 0.05
    assert gate._deadline == DEADLINE


async def test_a_hold_is_one_round_trip(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)), redis.Redis.from_url(redis_server.url) as watcher:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            await gate.hold("first", [a_claim(1)], **TIME)
            before = watcher.info("commandstats")
            for number in range(5):
                await gate.hold(str(number), [a_claim(1), a_claim(1, "key"), a_claim(1, "all")], **TIME)
            after = watcher.info("commandstats")
            sent = watcher.info("stats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 5
    assert after.get("cmdstat_eval", {"calls": 0}) == before.get("cmdstat_eval", {"calls": 0})
    assert sent["total_connections_received"] <= 6


async def test_a_redis_that_is_paused_fails_once_by_its_deadline_and_then_at_once(redis_server: RedisServer) -> None:
    naps = Naps()
    with closing(office_of(redis_server.url)) as office:
        async with gate_of(redis_server.url, sleep=naps) as gate, gate_of(redis_server.url, deadline=PATIENT) as patient:
            await patient.hold("one", [a_claim(1)], **TIME)
            redis_server.pause()
            with pytest.raises(LedgerUnavailable, match="does not answer: "):
                await gate.hold("two", [a_claim(1)], **TIME)
            for number in range(100):
                with pytest.raises(LedgerUnavailable, match="asked again and again"):
                    await gate.hold(f"more-{number}", [a_claim(1)], **TIME)
            with pytest.raises(LedgerUnavailable, match="asked again and again"):
                await gate.release("one", now=NOW)
            await naps.begun.acquire()
            for _ in range(7):
                await naps.end_one()
            assert naps.taken[:3] == [FIRST_PROBE, FIRST_PROBE * 2, FIRST_PROBE * 4]
            assert naps.taken[-1] == LAST_PROBE
            redis_server.resume()
            naps.end_all()
            await gate._redis._probing
            assert not gate._redis.is_open
            # What was to be released meanwhile is, and what may have been held stays out.
            assert office.held(["one", "two"]) == {}
            with pytest.raises(LedgerUnavailable, match="released before"):
                await patient.hold("two", [a_claim(1)], **TIME)
            assert isinstance(await patient.hold("three", [a_claim(1)], **TIME), Held)
            assert office.standings([COUNTER]) == {COUNTER: Standing(0, 1)}


async def test_a_loop_that_is_busy_with_something_else_does_not_take_a_healthy_redis_for_away(redis_server: RedisServer) -> None:
    """The answer lies in the socket while the deadline passes: it is heard all the same, whether the call was warm or one of many cold ones."""
    deadline = 0.01
    with closing(office_of(redis_server.url)):
        async with gate_of(redis_server.url, deadline=deadline) as gate:
            for some in (["cold"], ["warm"], [f"h{number}" for number in range(3 * CONNECTIONS)]):
                holds = [asyncio.ensure_future(gate.hold(name, [a_claim(1, limit=1000)], **TIME)) for name in some]
                while not all(hold.done() for hold in holds):
                    await asyncio.sleep(0)
                    _stall(deadline * 2)
                assert {type(hold.result()) for hold in holds} == {Held}
            assert not gate._redis.is_open


def _stall(seconds: float) -> None:
    """Keep the thread busy for so long, as a large body or another program would."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass


async def test_a_loop_that_is_late_in_every_turn_still_gives_up_at_last() -> None:
    loop = asyncio.get_running_loop()
    turns = 0

    def stall() -> None:
        nonlocal turns, timer
        turns += 1
        _stall(0.001)
        timer = loop.call_soon(stall)

    timer = loop.call_soon(stall)
    with pytest.raises(TimeoutError):
        async with HearingTime(0.001):
            await asyncio.Event().wait()
    timer.cancel()
    assert turns >= MOST_STEPS


async def test_a_hold_whose_caller_left_while_redis_was_paused_is_given_back(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)) as office:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            await gate.hold("one", [a_claim(1)], **TIME)
            redis_server.pause()
            leaving = asyncio.create_task(gate.hold("two", [a_claim(50)], **TIME))
            for _ in range(20):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            redis_server.resume()
            await gate._release_uncertain()
            assert set(office.held(["one", "two"])) == {"one"}
            assert office.standings([COUNTER]) == {COUNTER: Standing(0, 1)}


async def test_a_redis_that_was_killed_is_lost_when_it_is_back(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)) as office:
        async with gate_of(redis_server.url, deadline=PATIENT, sleep=lambda _seconds: asyncio.sleep(0.001)) as gate:
            await gate.hold("one", [a_claim(1)], **TIME)
            redis_server.kill()
            with pytest.raises(LedgerUnavailable):
                await gate.hold("two", [a_claim(1)], **TIME)
            with pytest.raises(LedgerUnavailable):
                office.settle({"one": [1]}, now=NOW)
            redis_server.start()
            await gate._redis._probing
            for _ in range(2):
                with pytest.raises(LedgerLost):
                    await gate.hold("three", [a_claim(1)], **TIME)
            with pytest.raises(LedgerLost):
                office.settle({"one": [1]}, now=NOW)
            assert office.rebuild([a_claim(70)], {"one": [a_claim(1)]}, **TIME)
            assert await gate.hold("four", [a_claim(1)], **TIME) == Held((Standing(70, 2),))


async def test_an_emptied_redis_refuses_everybody_until_it_is_made_anew(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)) as office:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            await gate.hold("one", [a_claim(60)], **TIME)
            redis_server.empty()
            for name in ("two", "three"):
                with pytest.raises(LedgerLost):
                    await gate.hold(name, [a_claim(60)], **TIME)
            assert not gate._redis.is_open
            office.rebuild([a_claim(30)], {"one": [a_claim(60)]}, **TIME)
            assert await gate.hold("four", [a_claim(11)], **TIME) == Refused(a_claim(11), Standing(30, 60))
            await gate.resume("one", [a_claim(65)], **TIME)
            assert office.standings([COUNTER]) == {COUNTER: Standing(30, 65)}


async def test_a_ledger_that_was_made_anew_holds_nothing_new_until_other_gates_brought_what_they_hold(
    redis_server: RedisServer,
) -> None:
    """The office that makes it anew knows the calls of its own gates only: what it let in meanwhile could be spent twice."""
    office = RedisSettling(redis_server.url, deadline=PATIENT, own_clock=False, young_seconds=3600)
    with closing(office), redis.Redis.from_url(redis_server.url) as other:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            office.rebuild([a_claim(30)], {"one": [a_claim(10)]}, **TIME)
            assert await gate.renew(["one", "of another gate"], **TIME) == ["one", "of another gate"]
            await gate.resume("of another gate", [a_claim(50)], **TIME)
            for again in (lambda: gate.hold("new", [a_claim(1)], **TIME), lambda: gate.top_up("one", [1], **TIME)):
                with pytest.raises(LedgerLost):
                    await again()
            office.settle({"one": [5]}, now=NOW)
            assert office.standings([COUNTER]) == {COUNTER: Standing(35, 50)}
            assert 0 < other.pttl("{faregate}:young") <= 3_600_000
            other.delete("{faregate}:young")
            assert await gate.hold("new", [a_claim(16)], **TIME) == Refused(a_claim(16), Standing(35, 50))
            assert await gate.hold("new", [a_claim(15)], **TIME) == Held((Standing(35, 65),))


async def test_many_more_calls_at_once_than_there_are_connections_are_all_answered(redis_server: RedisServer) -> None:
    """To wait for a connection is no sign that Redis is away."""
    with closing(office_of(redis_server.url)):
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            holds = [gate.hold(f"h{number}", [a_claim(1, limit=600)], **TIME) for number in range(20 * CONNECTIONS)]
            # However long the last of them waits: no connection is ever waited for in the pool, which would be timed.
            gate._redis._client.connection_pool.timeout = 0
            answers = await asyncio.gather(*holds)
            assert {type(answer) for answer in answers} == {Held}
            assert not gate._redis.is_open


async def test_a_ledger_of_which_nothing_was_ever_spent_holds_at_once(redis_server: RedisServer) -> None:
    with closing(RedisSettling(redis_server.url, deadline=PATIENT, own_clock=False)) as office:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            office.rebuild([], {}, **TIME)
            assert await gate.hold("one", [a_claim(1)], **TIME) == Held((Standing(0, 1),))


def test_every_gate_renews_several_times_while_a_ledger_is_young() -> None:
    assert RENEW_SECONDS * 3 < YOUNG_SECONDS < LEASE_SECONDS


async def test_a_redis_that_lost_only_its_mark_is_swept_and_made_anew(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)) as office, redis.Redis.from_url(redis_server.url) as other:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            await gate.hold("old", [a_claim(60)], **TIME)
            other.set("somebody-elses", "1")
            other.delete("{faregate}:epoch")
            office.rebuild([a_claim(30)], {}, **TIME)
            assert office.standings([COUNTER]) == {COUNTER: Standing(30, 0)}
            assert office.held(["old"]) == {}
            assert other.get("somebody-elses") == b"1"


async def test_leases_run_by_the_clock_of_redis(redis_server: RedisServer) -> None:
    with closing(RedisSettling(redis_server.url, deadline=PATIENT)) as office:
        office.rebuild([], {}, **TIME)
        gate = RedisHolding(redis_server.url, deadline=PATIENT)
        await gate.hold("long", [a_claim(1)], now=0, lease=3600)
        await gate.hold("over", [a_claim(1)], now=NOW, lease=-1)
        assert office.expire(now=0) == ["over"]
        await gate.close()


async def test_redis_forgets_counters_by_itself(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)) as office, redis.Redis.from_url(redis_server.url) as other:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            ends = int(NOW) + 500
            claims = [a_claim(1, "window", forget_at=ends), a_claim(1, "total")]
            claims.append(Claim("rolling", 1, None, ends, 3600, 100))
            await gate.hold("one", claims, now=NOW, lease=1)
            office.expire(now=NOW + 2)
            later = Claim("rolling", 1, None, ends + 60, 3600, 101)
            await gate.hold("two", [later], **TIME)
            # Redis 6 has no command that tells the time itself.
            left = {name: other.pttl("{faregate}:c:" + name) for name in ("window", "total", "rolling")}
            seconds = other.time()[0]
            assert left["total"] == -1
            assert abs(left["window"] / 1000 + seconds - ends) < 30
            assert abs(left["rolling"] / 1000 + seconds - ends - 60) < 30
            charged = other.pttl("{faregate}:h:one") / 1000 + seconds
            assert charged > ends
            await gate.release("never came", now=NOW)
            assert 0 < other.pttl("{faregate}:h:never came") <= 3_600_000
            assert office.forget(now=NOW) == 0


async def test_limits_beyond_what_lua_counts_exactly_are_refused(redis_server: RedisServer) -> None:
    async with gate_of(redis_server.url, deadline=PATIENT) as gate:
        with pytest.raises(ValueError, match="9000000000000000"):
            await gate.hold("one", [a_claim(1, limit=9 * 10**15 + 1)], **TIME)


async def test_all_keys_are_in_one_slot_of_a_cluster(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server.url)) as office, redis.Redis.from_url(redis_server.url) as other:
        async with gate_of(redis_server.url, deadline=PATIENT) as gate:
            await gate.hold("one", [a_claim(1), a_claim(1, "{another}tag")], **TIME)
            office.charge("entry", [a_claim(1)], now=NOW)
            assert {key.partition(b":")[0] for key in other.keys("*")} == {b"{faregate}"}


def test_opening_a_ledger_says_what_is_wrong_with_its_address(tmp_path) -> None:
    with pytest.raises(ValueError, match="redis://"):
        open_ledger(tmp_path / "ledger.db", "http://nothing")
    assert isinstance(open_settling_ledger(tmp_path / "ledger.db", "redis://localhost:1"), RedisSettling)


WITHOUT_REDIS = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "redis":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotInstalled())
from storage.ledger import foreign_ledger, note_store_of, open_ledger, open_settling_ledger

path = Path(sys.argv[1]) / "ledger.db"
note_store_of(path, "a" * 32)
for opening in (open_ledger, open_settling_ledger, foreign_ledger):
    try:
        opening(path, "redis://localhost:1")
    except ValueError as error:
        print(error)
"""


def test_a_redis_without_its_client_installed_says_what_to_install(tmp_path) -> None:
    """In a process of its own, where the package is not to be found: it is an extra."""
    command = [sys.executable, "-c", WITHOUT_REDIS, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]).stdout
    assert said.splitlines() == ["a ledger in Redis needs one more package: pip install 'faregate[redis]'"] * 3


def test_a_ledger_in_a_file_needs_no_redis(tmp_path) -> None:
    begin_ledger(tmp_path / "ledger.db")
    with closing(open_settling_ledger(tmp_path / "ledger.db")) as office:
        assert office.standings([COUNTER]) == {}
