"""Several offices take deliveries side by side, and what a dead one had claimed comes back."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from domain.deliveries import Counts, Owed
from storage.database import Database, open_database
from storage.deliveries.loading import Loader
from storage.deliveries.offices import LONGEST_STEP, SILENCE
from storage.deliveries.store import DeliveryStore
from storage.spans import SpanStore
from tests.storage.owed import NOW, a_desk, a_store, claim, dead, delivered, ids, later, save
from tests.storage.samples import SECOND

# With SQLite there is only one office.
POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
CLAIMS_AND_WAITS = """
import sys
from storage.database import open_database
from tests.storage.owed import NOW, a_store, claim

store = a_store(open_database(sys.argv[1]), sys.argv[2])
store.beat(now=NOW)
print(len(claim(store, most=int(sys.argv[3]))), flush=True)
sys.stdin.readline()
"""
DRAINS = """
import sys
from storage.database import open_database
from tests.storage.owed import NOW, a_store, claim, delivered

store = a_store(open_database(sys.argv[1]), sys.argv[2])
sys.stdin.readline()
while claims := claim(store, most=7):
    print(*(claimed.number for claimed in claims), flush=True)
    store.finish(delivered(claims))
"""


@contextmanager
def an_office(code: str, url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run an office of its own process."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", code, url, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_offices_take_what_no_other_has(database: Database, database_url: str) -> None:
    """Where there can be only one office, its threads and processes go by one name."""
    spans = save(database, 120, "a")
    names = ["one"] * 4 if database.is_sqlite else ["one", "two", "three", "four"]
    with (
        an_office(DRAINS, database_url, names[0]) as one,
        an_office(DRAINS, database_url, names[1]) as two,
        an_office(DRAINS, database_url, names[2]) as three,
        an_office(DRAINS, database_url, names[3]) as four,
    ):
        offices = one, two, three, four
        for office in offices:
            assert office.stdin is not None
            office.stdin.write("go\n")
            office.stdin.flush()
        told = [office.communicate()[0] for office in offices]
    taken = [int(number) for lines in told for number in lines.split()]
    assert sorted(taken) == list(range(min(taken), min(taken) + len(spans)))
    assert a_desk(database).counts() == {"a": Counts(accepted=120, delivered=120)}
    assert a_desk(database).discrepancies() == []


def test_threads_of_one_office_take_what_no_other_has(database: Database) -> None:
    save(database, 200, "a")
    store = a_store(database)
    ready = threading.Barrier(4)

    def drain() -> list[int]:
        ready.wait()
        taken = []
        while claims := claim(store, most=9):
            taken += [claimed.number for claimed in claims]
            store.finish(delivered(claims[::2]) + dead(claims[1::2]))  # type: ignore[operator]
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [number for numbers in pool.map(lambda _: drain(), range(4)) for number in numbers]
    assert len(taken) == len(set(taken)) == 200
    assert store.discrepancies() == []


def test_saving_and_finishing_at_once_keeps_the_totals(database: Database, database_url: str) -> None:
    store = a_store(database)
    with closing(open_database(database_url)) as other, ThreadPoolExecutor(2) as pool:
        saving = pool.submit(lambda: [save(other, 5, "a", "b") for _ in range(20)])
        while not saving.done():
            store.finish(delivered(claim(store, "a")) + later(claim(store, "b", most=3)))  # type: ignore[operator]
        saving.result()
    assert store.discrepancies() == []
    assert store.counts()["a"].accepted == 100


def test_what_a_killed_office_had_is_due_again(database: Database, database_url: str) -> None:
    spans = save(database, 50, "a")
    with an_office(CLAIMS_AND_WAITS, database_url, "killed", "30") as office:
        assert office.stdout is not None
        assert office.stdout.readline() == "30\n"
        office.send_signal(signal.SIGKILL)
        office.wait()
    store = a_store(database, "restarted")
    if database.is_sqlite:
        assert store.next_due("a", "live", now=NOW) == NOW
    else:
        assert len(claim(store)) == 20
        until_it_is_dead(store)
    everything = claim(store, most=50)
    assert ids(everything) == [span.id for span in spans[: len(everything)]]
    assert len(everything) == (50 if database.is_sqlite else 30)
    store.finish(delivered(everything))
    assert store.discrepancies() == []


def until_it_is_dead(store: DeliveryStore) -> None:
    """Let so much time pass that an office that is silent is dead, and not more."""
    now = NOW
    store.beat(now=now)
    while now < NOW + SILENCE:
        assert claim(store, now=now) == []
        now += LONGEST_STEP
        store.beat(now=now)


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[DeliveryStore, DeliveryStore, Database]]:
    """Two offices on one database."""
    with closing(open_database(database_url)) as database:
        yield a_store(database, "one"), a_store(database, "two"), database


@POSTGRES
def test_an_office_that_beats_keeps_what_it_claimed(two: tuple[DeliveryStore, DeliveryStore, Database]) -> None:
    one, other, database = two
    save(database, 5, "a")
    claims = claim(one)
    for second in range(0, 200, 9):
        one.beat(now=NOW + second)
        other.beat(now=NOW + second * SECOND)
        assert claim(other) == []
    one.finish(delivered(claims))
    assert one.counts()["a"] == Counts(accepted=5, delivered=5)


@POSTGRES
def test_a_clock_that_jumps_buries_no_office(two: tuple[DeliveryStore, DeliveryStore, Database]) -> None:
    one, other, database = two
    save(database, 5, "a")
    one.beat(now=NOW)
    claims = claim(one)
    for now in (NOW, NOW + 10**6 * SECOND, NOW, NOW + 10**6 * SECOND, NOW - 10**6 * SECOND):
        other.beat(now=now)
    assert claim(other) == []
    one.finish(delivered(claims))
    assert one.counts()["a"].delivered == 5


@POSTGRES
def test_what_was_taken_over_is_not_finished_by_who_had_it_before(two: tuple[DeliveryStore, DeliveryStore, Database]) -> None:
    one, other, database = two
    save(database, 3, "a")
    one.beat(now=NOW)
    before = claim(one)
    until_it_is_dead(other)
    taken = claim(other)
    assert [claimed.number for claimed in taken] == [claimed.number for claimed in before]
    one.finish([*dead(before[:1]), *delivered(before[1:2]), *later(before[2:])])
    one.put_back(before)
    assert claim(one) == []
    assert one.counts()["a"] == Counts(accepted=3, pending=3, oldest=NOW)
    other.finish(delivered(taken))
    assert one.counts()["a"] == Counts(accepted=3, delivered=3)


@POSTGRES
def test_an_office_that_was_thought_dead_goes_on(two: tuple[DeliveryStore, DeliveryStore, Database]) -> None:
    """What it claims before its next beat must not be lost should it die then."""
    one, other, database = two
    save(database, 6, "a")
    one.beat(now=NOW)
    claim(one)
    until_it_is_dead(other)
    assert len(claim(one, most=2)) == 2
    assert len(claim(other)) == 4
    now = NOW + SILENCE
    for _ in range(4):
        other.beat(now=now)
        now += LONGEST_STEP
    assert len(claim(other)) == 2


@POSTGRES
def test_a_batch_is_never_shared(two: tuple[DeliveryStore, DeliveryStore, Database]) -> None:
    one, other, database = two
    save(database, 60, "a")
    formed = {batch: claim(one, most=6, keep_batches=True, batch=batch) for batch in map(str, range(10))}
    one.finish([outcome for claims in formed.values() for outcome in later(claims)])
    ready = threading.Barrier(2)

    def drain(store: DeliveryStore) -> list[tuple[str | None, list[int]]]:
        ready.wait()
        taken = []
        while claims := claim(store, now=NOW + 5 * SECOND, most=4, keep_batches=True, batch="new"):
            taken.append((claims[0].batch, [claimed.number for claimed in claims]))
        return taken

    with ThreadPoolExecutor(2) as pool:
        taken = [part for parts in pool.map(drain, (one, other)) for part in parts]
    assert sorted(taken) == sorted((batch, [claimed.number for claimed in claims]) for batch, claims in formed.items())


def test_everything_at_once_keeps_the_totals(database: Database, database_url: str) -> None:
    """Offices, the desk, retention and erasing get in each other's way nowhere, and nothing is counted twice or lost."""
    calls = [span.id for span in save(database, 40, "a", "b", bodies=True)]

    def work(seed: int) -> None:
        source = Random(seed)
        with closing(open_database(database_url)) as own:
            store = a_store(own, "one" if own.is_sqlite else f"office-{seed}")
            spans = SpanStore(own, now=lambda: NOW)
            for _ in range(40):
                name = source.choice("abc")
                match source.randrange(8):
                    case 0:
                        calls.extend(span.id for span in save(own, 3, owed=[Owed("a", otherwise="c"), Owed("b")], bodies=True))
                    case 1:
                        store.replay(name, source.sample(calls, 5), Owed(name))
                    case 2:
                        spans.prune(content_before=2**62, spans_before=2**62, most=20)
                    case 3:
                        erased = source.choice(calls)
                        spans.erase(lambda span, erased=erased: span.id == erased)  # type: ignore[misc]
                    case 4:
                        store.retry_dead(name, limit=5)
                        store.divert("a", to=["c"], now=NOW, most=5)
                    case 5:
                        store.discard(name, state=source.choice(["dead", "pending"]), limit=2)  # type: ignore[arg-type]
                    case _:
                        lane = source.choice(["live", "replay"])
                        claims = claim(store, name, lane, most=8, keep_batches=name == "b", batch=f"{seed}-{source.random()}")
                        store.finish([source.choice([delivered, later, dead])([one])[0] for one in claims])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    store = a_store(database, "one")
    assert store.discrepancies() == []
    assert all(one.accepted == one.delivered + one.pending + one.dead for one in store.counts().values())


def test_who_starts_over_has_nothing_of_before_and_what_is_being_claimed_meanwhile_is_lost_with_it(database: Database) -> None:
    class Interrupted(DeliveryStore):
        """It starts over in the middle of a claim, as another thread may."""

        interrupted = False

        def _loader(self) -> Loader:
            if not self.interrupted:
                self.interrupted = True
                self.start_over()
            return super()._loader()

    store = Interrupted(database, office="office-1", now=lambda: NOW)
    spans = save(database, 4, "a")
    assert len(claim(store, most=2)) == 2
    assert ids(claim(store)) == [one.id for one in spans[2:]]
    store.beat(now=NOW)
    assert ids(claim(store)) == [one.id for one in spans[:2]]
    store.beat(now=NOW)
    assert claim(store) == []
    store.start_over()
    store.beat(now=NOW)
    assert len(claim(store)) == 4
