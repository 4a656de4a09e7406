"""The SQLite ledger among several processes, and when its file is locked, taken away, damaged or neglected."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from domain.ledger import Held, LedgerLost, LedgerUnavailable, Refused, Standing
from storage.ledger import begin_ledger, open_ledger, open_settling_ledger
from storage.ledger.sqlite import PAUSES, SqliteHolding, SqliteSettling
from tests.storage.ledger.conftest import LEASE, MANY_PAUSES, NOW, PATIENT, a_claim

TIME = {"now": NOW, "lease": LEASE}
WORKER = """
import asyncio, json, sys
from pathlib import Path
from domain.ledger import Claim, Held, LedgerUnavailable
from storage.ledger.sqlite import SqliteHolding

async def main(path, worker, turns):
    ledger = SqliteHolding(Path(path), pauses=(0.001,) * 10_000)
    claims = [Claim("key-" + worker, 3, 10**6), Claim("all", 3, 1000)]
    passed = []
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(turns):
        name = f"{worker}-{turn}"
        answer = await ledger.hold(name, claims, now=4e9, lease=60.0)
        if isinstance(answer, Held):
            passed.append((name, max(standing.spent + standing.held for standing in answer.standings)))
    print(json.dumps(passed), flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    begin_ledger(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


@pytest.fixture
def office(path: Path):
    with closing(SqliteSettling(path, patience=PATIENT)) as office:
        yield office


@pytest.fixture
async def gate(path: Path):
    gate = SqliteHolding(path)
    yield gate
    await gate.close()


class Naps:
    """Sleeps without sleeping, and counts."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


def test_of_several_processes_that_hold_at_once_exactly_what_fits_passes(path: Path, office: SqliteSettling) -> None:
    """While the office settles beside them: 4 processes, 333 holds of 3 under a limit of 1,000, whatever they are settled with below that."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(number), "150"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        for number in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    while any(worker.poll() is None for worker in workers[:1]):
        assert office.expire(now=NOW) == []
        standing = office.standings(["all"], now=NOW).get("all", Standing(0, 0))
        assert standing.spent + standing.held <= 1000
    passed = [one for worker in workers for one in json.loads(worker.communicate()[0])]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert len(passed) == 333
    assert max(most for _, most in passed) == 999
    assert office.settle({name: [2, 2] for name, _ in passed}, now=NOW) == []
    assert office.standings(["all"], now=NOW) == {"all": Standing(666, 0)}


async def test_a_locked_file_is_tried_a_few_times_and_then_unavailable(path: Path) -> None:
    naps = Naps()
    gate = SqliteHolding(path, sleep=naps)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            await gate.hold("one", [a_claim(1)], **TIME)
        assert naps.taken == list(PAUSES)
        assert sum(PAUSES) <= 0.06
        # Others need not wait as long: the file is known to be locked.
        for _ in range(3):
            with pytest.raises(LedgerUnavailable, match="locked"):
                await gate.hold("two", [a_claim(1)], **TIME)
        assert naps.taken == list(PAUSES)
        other.execute("ROLLBACK")
    assert await gate.hold("three", [a_claim(1)], **TIME) == Held((Standing(0, 1),))
    await gate.close()


async def test_a_lock_that_ends_in_time_costs_a_nap_and_no_refusal(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def sleep(_seconds: float) -> None:
            other.execute("ROLLBACK")

        gate = SqliteHolding(path, sleep=sleep)
        assert await gate.hold("one", [a_claim(1)], **TIME) == Held((Standing(0, 1),))
        await gate.close()


async def test_other_tasks_run_while_a_hold_waits_for_a_lock(path: Path) -> None:
    gate = SqliteHolding(path, pauses=MANY_PAUSES)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(gate.hold("one", [a_claim(1)], **TIME))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("ROLLBACK")
    assert await waiting == Held((Standing(0, 1),))
    await gate.close()


async def test_a_reader_hinders_nobody(path: Path, gate: SqliteHolding) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM cells").fetchall()
        assert isinstance(await gate.hold("one", [a_claim(1)], **TIME), Held)


async def test_a_file_that_is_replaced_while_it_is_open_is_noticed(
    path: Path, gate: SqliteHolding, office: SqliteSettling
) -> None:
    """Without that, gates and office would go on in files that the others do not see."""
    await gate.hold("one", [a_claim(100)], **TIME)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (path.parent / name).unlink()
    with pytest.raises(LedgerLost):
        await gate.hold("two", [a_claim(1)], **TIME)
    office.rebuild([a_claim(99)], {}, **TIME)
    assert isinstance(await gate.hold("three", [a_claim(2)], **TIME), Refused)
    assert isinstance(await gate.hold("four", [a_claim(1)], **TIME), Held)


async def test_a_damaged_file_is_lost_put_aside_and_made_anew(path: Path, gate: SqliteHolding, office: SqliteSettling) -> None:
    await gate.hold("one", [a_claim(1)], **TIME)
    rubbish = b"this is no database, whatever it is called" * 1000
    await gate.close()
    office.close()
    await asyncio.to_thread(path.write_bytes, rubbish)
    with pytest.raises(LedgerLost, match="damaged"):
        await gate.hold("two", [a_claim(1)], **TIME)
    with pytest.raises(LedgerLost, match="damaged"):
        office.settle({"one": [1]}, now=NOW)
    assert office.rebuild([a_claim(50)], {"one": [a_claim(1)]}, **TIME)
    assert await gate.hold("three", [a_claim(2)], **TIME) == Held((Standing(50, 3),))
    assert path.with_name("ledger.db.damaged").read_bytes() == rubbish


async def test_damage_that_is_met_in_the_middle_is_made_good_too(path: Path, gate: SqliteHolding, office: SqliteSettling) -> None:
    """The head of the file is whole, and so is the mark in it."""
    await gate.hold("one", [a_claim(1, str(number)) for number in range(2000)], **TIME)
    await gate.close()
    office.close()
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4 * 4096)
        file.write(os.urandom(size - 4 * 4096))
    with pytest.raises(LedgerLost, match="damaged"):
        office.standings([str(number) for number in range(2000)])
    assert office.rebuild([a_claim(50)], {}, **TIME)
    assert office.standings(["b1@usd:total"]) == {"b1@usd:total": Standing(50, 0)}


async def test_an_empty_file_is_a_ledger_that_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    gate = SqliteHolding(path)
    with pytest.raises(LedgerLost):
        await gate.hold("one", [a_claim(1)], **TIME)


def test_a_folder_that_cannot_be_written_to_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be made"):
        SqliteSettling(tmp_path / "nowhere" / "ledger.db").rebuild([], {}, **TIME)


def test_only_its_owner_can_read_the_file(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_was_held_outlives_the_processes(path: Path, gate: SqliteHolding) -> None:
    await gate.hold("one", [a_claim(60)], **TIME)
    await gate.close()
    with closing(open_settling_ledger(path)) as office:
        assert office.standings(["b1@usd:total"]) == {"b1@usd:total": Standing(0, 60)}
    again = open_ledger(path)
    assert isinstance(await again.hold("two", [a_claim(41)], **TIME), Refused)
    await again.close()


async def test_long_past_counters_and_charged_holds_are_forgotten_open_ones_are_not(
    gate: SqliteHolding, office: SqliteSettling
) -> None:
    past = int(NOW) + 10
    for name in ("charged", "open"):
        await gate.hold(name, [a_claim(5, name, forget_at=past)], now=NOW, lease=1 if name == "charged" else 10**6)
    await gate.hold("kept", [a_claim(5, "kept")], now=NOW, lease=1)
    await gate.release("stays out", now=NOW)
    office.expire(now=NOW + 2)
    assert office.forget(now=NOW + 5) == 0
    assert office.forget(now=NOW + 4000) == 3
    assert office.forget(now=NOW + 4000) == 0
    assert set(office.standings(["charged", "open", "kept"])) == {"open", "kept"}
    assert set(office.held(["charged", "open", "kept"])) == {"open", "kept"}


async def test_the_office_keeps_the_log_short_and_its_first_commit_is_not_a_gates(path: Path, gate: SqliteHolding) -> None:
    with closing(SqliteSettling(path, patience=PATIENT, log_bytes=50_000)) as office:
        log = path.with_name("ledger.db-wal")
        for turn in range(3):
            for number in range(40):
                await gate.hold(f"{turn}-{number}", [a_claim(1, limit=None)], **TIME)
            assert log.stat().st_size > 50_000
            office.forget(now=NOW)
        # Each round began the log anew, so it is as long as one round made it, not three.
        assert log.stat().st_size < 2 * 40 * 2 * 1100
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT value FROM marks WHERE name = 'logs'").fetchone() == (3,)


async def test_a_gate_tidies_up_where_no_office_does(path: Path) -> None:
    gate = SqliteHolding(path, pauses=MANY_PAUSES, neglected_bytes=100_000)
    for number in range(4096):
        await gate.renew([str(number)], **TIME) if number % 50 else await gate.hold(str(number), [a_claim(0)], **TIME)
    await gate.close()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT value FROM marks WHERE name = 'logs'").fetchone() == (1,)


def test_a_fresh_ledger_is_made_once(path: Path, office: SqliteSettling) -> None:
    office.charge("entry", [a_claim(7)], now=NOW)
    begin_ledger(path)
    assert office.standings(["b1@usd:total"]) == {"b1@usd:total": Standing(7, 0)}


async def test_holds_of_one_turn_are_decided_in_their_order_and_one_that_does_not_fit_leaves_nothing(gate, office):
    wide, tight = a_claim(3, "wide"), a_claim(4, "tight", 10)
    answers = await asyncio.gather(*(gate.hold(f"h{number}", [wide, tight], **TIME) for number in range(5)))
    assert [type(answer) for answer in answers] == [Held, Held, Refused, Refused, Refused]
    assert answers[1].standings == (Standing(0, 6), Standing(0, 8))
    assert answers[2] == Refused(tight, Standing(0, 8))
    assert office.standings(["wide", "tight"], now=NOW) == {"wide": Standing(0, 6), "tight": Standing(0, 8)}
    assert set(office.held([f"h{number}" for number in range(5)])) == {"h0", "h1"}


async def test_a_hold_whose_caller_left_meanwhile_does_not_disturb_those_beside_it(gate):
    claim = a_claim(3)
    left, stays = (asyncio.ensure_future(gate.hold(name, [claim], **TIME)) for name in ("left", "stays"))
    await asyncio.sleep(0)
    left.cancel()
    assert isinstance(await stays, Held)
    with pytest.raises(asyncio.CancelledError):
        await left
    await gate.release("left", now=NOW)
    assert await gate.hold("next", [claim], **TIME) == Held((Standing(0, 6),))


async def test_a_hold_that_is_repeated_beside_another_is_held_once_though_no_second_one_fits(gate, office):
    first = await gate.hold("again", [a_claim(8, limit=10)], **TIME)
    again, _ = await asyncio.gather(gate.hold("again", [a_claim(8, limit=10)], **TIME), gate.hold("b", [a_claim(1, "b")], **TIME))
    assert again == first
    assert office.standings(["b1@usd:total"], now=NOW) == {"b1@usd:total": Standing(0, 8)}


@pytest.mark.parametrize("others", [0, 2])
async def test_nobody_waits_for_ever_for_an_amount_that_the_file_cannot_hold(gate, others):
    beside = (gate.hold(f"beside {number}", [a_claim(1)], **TIME) for number in range(others))
    answers = await asyncio.gather(gate.hold("huge", [a_claim(2**70, "huge", None)], **TIME), *beside, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnavailable] * (others + 1)
    assert await gate.hold("next", [a_claim(3)], **TIME) == Held((Standing(0, 3),))
