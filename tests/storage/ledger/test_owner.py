"""A ledger in Redis belongs to one store: whoever comes with another one is told so, and changes nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from sqlalchemy import insert

from domain.ledger import Held, LedgerForeign, LedgerLost, Standing
from recorder.settling import Settling
from storage.database import Database, open_database
from storage.identity import store_id
from storage.ledger import foreign_ledger, note_store_of
from storage.ledger.owner import AGAIN_SECONDS, FILE, KnownStore
from storage.ledger.redis import RedisHolding, RedisSettling
from storage.spending import SPENDING, Spending
from tests.storage.ledger.conftest import LEASE, NOW, PATIENT, RedisServer, a_claim

TIME = {"now": NOW, "lease": LEASE}
ONE, OTHER = "1" * 32, "2" * 32
COUNTER = "b1@usd:total"
EPOCH = "{faregate}:epoch"


def office_of(server: RedisServer, store: str | None) -> RedisSettling:
    return RedisSettling(server.url, deadline=PATIENT, own_clock=False, young_seconds=0, store=lambda: store)


def gate_of(server: RedisServer, store: str | None) -> RedisHolding:
    return RedisHolding(server.url, deadline=PATIENT, own_clock=False, store=lambda: store)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


async def test_a_gateway_with_another_store_is_refused_and_changes_nothing(
    redis_server: RedisServer, client: redis.Redis
) -> None:
    with closing(office_of(redis_server, ONE)) as office, closing(office_of(redis_server, OTHER)) as other:
        gate, stranger = gate_of(redis_server, ONE), gate_of(redis_server, OTHER)
        office.rebuild([a_claim(30)], {}, **TIME)
        assert await gate.hold("one", [a_claim(1)], **TIME) == Held((Standing(30, 1),))
        before = {key: client.dump(key) for key in client.keys("*")}
        for again in (
            lambda: stranger.hold("two", [a_claim(1)], **TIME),
            lambda: stranger.top_up("one", [1], **TIME),
            lambda: stranger.renew(["one"], **TIME),
            lambda: stranger.resume("one", [a_claim(9)], **TIME),
            lambda: stranger.release("one", now=NOW),
        ):
            with pytest.raises(LedgerForeign, match="must share a PostgreSQL"):
                await again()
        for step in (
            lambda: other.settle({"one": [1]}, now=NOW),
            lambda: other.expire(now=NOW + 10**6),
            lambda: other.charge("x", [a_claim(1)], now=NOW),
            lambda: other.raise_to([a_claim(90)], now=NOW),
            lambda: other.lower([a_claim(9)], [30], now=NOW),
            lambda: other.rebuild([a_claim(70)], {}, **TIME),
            lambda: other.standings([COUNTER]),
        ):
            with pytest.raises(LedgerForeign, match=r"keeps the ledger of another store \(11111111…\)"):
                step()
        assert {key: client.dump(key) for key in client.keys("*")} == before
        # It is not away either: nothing is asked again and again.
        assert not stranger._redis.is_open
        for one in (gate, stranger):
            await one.close()


async def test_after_a_restart_the_ledger_is_the_same_stores(redis_server: RedisServer) -> None:
    with closing(office_of(redis_server, ONE)) as office:
        office.rebuild([a_claim(30)], {}, **TIME)
    with closing(office_of(redis_server, ONE)) as again:
        assert again.standings([COUNTER]) == {COUNTER: Standing(30, 0)}
        assert not again.rebuild([], {}, **TIME)


def test_a_redis_that_was_emptied_belongs_to_the_store_that_makes_it_anew(redis_server: RedisServer, client: redis.Redis) -> None:
    with closing(office_of(redis_server, ONE)) as office, closing(office_of(redis_server, OTHER)) as other:
        office.rebuild([a_claim(30)], {}, **TIME)
        redis_server.empty()
        for one in (office, other):
            with pytest.raises(LedgerLost):
                one.standings([COUNTER])
        office.rebuild([a_claim(30)], {}, **TIME)
        assert client.get(EPOCH) == ONE.encode()
        with pytest.raises(LedgerForeign):
            other.rebuild([], {}, **TIME)


def test_what_the_message_says_lets_another_store_take_over(redis_server: RedisServer, client: redis.Redis) -> None:
    with closing(office_of(redis_server, ONE)) as office, closing(office_of(redis_server, OTHER)) as other:
        office.rebuild([a_claim(30)], {"one": [a_claim(5)]}, **TIME)
        with pytest.raises(LedgerForeign, match=f"redis-cli DEL '{EPOCH}'"):
            other.standings([COUNTER])
        client.delete(EPOCH)
        assert other.rebuild([a_claim(7)], {}, **TIME)
        assert other.standings([COUNTER]) == {COUNTER: Standing(7, 0)}
        with pytest.raises(LedgerForeign):
            office.standings([COUNTER])


def test_a_ledger_of_an_earlier_version_is_that_of_the_first_store_that_comes(
    redis_server: RedisServer, client: redis.Redis
) -> None:
    with closing(office_of(redis_server, None)) as nobody, closing(office_of(redis_server, ONE)) as office:
        nobody.rebuild([a_claim(30)], {}, **TIME)
        assert client.get(EPOCH) == b"1"
        assert office.standings([COUNTER]) == {COUNTER: Standing(30, 0)}
        assert client.get(EPOCH) == ONE.encode()
        # Who does not know its store yet is not asked for it.
        assert nobody.standings([COUNTER]) == {COUNTER: Standing(30, 0)}
        with closing(office_of(redis_server, OTHER)) as other, pytest.raises(LedgerForeign):
            other.standings([COUNTER])


def test_the_office_of_another_store_neither_raises_nor_lowers_what_was_spent(redis_server: RedisServer, tmp_path: Path) -> None:
    """Before, each took the other's store for wrong, and put the counters right for ever."""
    said = {}
    for name, spent in (("a", 500), ("b", 7)):
        with closing(open_database(f"sqlite:///{tmp_path}/{name}.db")) as database:
            database.upgrade()
            with database.writing() as connection:
                row = {"counter": COUNTER, "part": 0, "amount": spent, "rolling": 0, "forget_at": None}
                connection.execute(insert(SPENDING).values(**row))
            with closing(office_of(redis_server, store_id(database))) as office:
                settling = Settling(office, Spending(database), now=lambda: NOW)
                if name == "a":
                    settling.step()
                else:
                    with pytest.raises(LedgerForeign):
                        settling.step()
                    with pytest.raises(LedgerForeign):
                        settling.reconcile()
                said[name] = settling.progress
    with closing(office_of(redis_server, None)) as anybody:
        assert anybody.standings([COUNTER]) == {COUNTER: Standing(500, 0)}
    assert (said["a"].rebuilt, said["b"].raised, said["b"].lowered) == (1, 0, 0)


def test_the_store_is_looked_up_again_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "ledger.db"
    known = KnownStore(tmp_path / FILE, clock=lambda: now[0])
    seen = [known()]
    for store in (ONE, OTHER):
        note_store_of(path, store)
        note_store_of(path, store)
        seen.append(known())
        now[0] += AGAIN_SECONDS
        seen.append(known())
    assert seen == [None, None, ONE, ONE, OTHER]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"x" * 32, b"\xff" * 40, ONE.encode() + b"\n"])
def test_a_file_that_holds_no_id_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert KnownStore(tmp_path / FILE)() is None


def test_what_is_known_before_anything_starts(redis_server: RedisServer, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    found = [foreign_ledger(path, redis_server.url)]
    note_store_of(path, ONE)
    found += [foreign_ledger(path, None), foreign_ledger(path, redis_server.url)]
    for store in (None, ONE):
        with closing(office_of(redis_server, store)) as office:
            office.rebuild([], {}, **TIME)
            office.standings([COUNTER])
        found.append(foreign_ledger(path, redis_server.url))
    note_store_of(path, OTHER)
    wrong = foreign_ledger(path, redis_server.url)
    redis_server.kill()
    found.append(foreign_ledger(path, redis_server.url))
    redis_server.start()
    assert found == [None] * 6
    assert wrong is not None
    assert "set storage.database_url to that store, or storage.redis_url" in wrong


def test_a_store_keeps_its_id_wherever_it_goes(database: Database, tmp_path: Path) -> None:
    own = store_id(database)
    database.upgrade()
    assert store_id(database) == own
    assert len(own) == 32
    with closing(open_database(f"sqlite:///{tmp_path}/another.db")) as another:
        another.upgrade()
        assert store_id(another) != own
        if database.is_sqlite:
            database.backup(tmp_path / "copy.db")
            another.restore(tmp_path / "copy.db")
            assert store_id(another) == own
