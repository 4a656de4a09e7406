"""A power loss at any moment: what was told to be saved is owed to everybody it was owed to, and what was delivered is not forgotten."""

import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from domain.errors import StoreUnavailable
from storage.database import open_database
from tests.storage.owed import a_store, claim, ids
from tests.storage.power_loss.tape import Mode, Recording, disk_after, write_files

POINTS = 40
STATES = {"delivered": 3, "waiting": 1, "dead": 4}
ROWS = """SELECT calls.id, deliveries.destination, deliveries.state FROM calls
    LEFT JOIN deliveries ON deliveries.number = calls.seq"""


@pytest.fixture(scope="module")
def delivering(record) -> Recording:
    return record("tests.storage.power_loss.delivering", "40")


def said(lines: list[str], what: str) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith(what)}


def after(recording: Recording, cut: int, mode: Mode, chance: random.Random, root: Path) -> list[str]:
    """Lay out what is on the disk after a power loss, and return what had been said before."""
    disk = disk_after(recording.entries[:cut])
    files = disk.after_power_loss(mode, chance)
    # It is in memory, and made anew by whoever opens the database first.
    write_files({path: data for path, data in files.items() if not path.endswith("-shm")}, str(recording.folder), root)
    return disk.said


def assert_all_is_owed(lines: list[str], root: Path) -> None:
    with closing(open_database(f"sqlite:///{root / 'faregate.db'}")) as database:
        with database.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
            rows = connection.execute(text(ROWS)).all()
        states = {(id_, destination): state for id_, destination, state in rows}
        assert {id_ for id_, _ in states} >= said(lines, "saved")
        assert {(id_, name) for id_, _ in states for name in "ab"} == set(states), "it is owed to both or was never saved"
        for what, state in STATES.items():
            assert {states[id_, "a"] for id_ in said(lines, what)} <= {state}
        store = a_store(database, "office-2")
        assert store.discrepancies() == []
        for name, counts in store.counts().items():
            assert counts.accepted == counts.delivered + counts.pending + counts.dead == len(states) // 2
            pending = {id_ for (id_, at), state in states.items() if at == name and state < 3}
            assert set(ids(claim(store, name, now=2**62))) == pending
        assert said(lines, "delivered") <= {id_ for (id_, _), state in states.items() if state == 3}


@pytest.mark.parametrize("mode", ["drop", "prefix", "random"])
def test_nothing_that_was_saved_is_owed_to_nobody_and_nothing_delivered_is_forgotten(delivering, tmp_path, mode):
    chance = random.Random(4)
    first = next(index for index, entry in enumerate(delivering.entries) if entry.kind == "A")
    seen = 0
    for _ in range(POINTS):
        cut = chance.randint(first + 1, len(delivering.entries))
        lines = after(delivering, cut, mode, chance, tmp_path / "root")
        seen += bool(said(lines, "delivered"))
        assert_all_is_owed(lines, tmp_path / "root")
        shutil.rmtree(tmp_path / "root")
    assert seen > POINTS // 2


def test_a_store_that_does_not_sync_would_be_noticed(delivering, tmp_path):
    """The proof of the proof: without the syncs after the tables were made, most crash points lose something."""
    start = next(index for index, entry in enumerate(delivering.entries) if entry.kind == "A")
    entries = delivering.entries[:start] + [entry for entry in delivering.entries[start:] if entry.kind != "S"]
    careless = Recording(delivering.folder, entries)
    chance = random.Random(5)
    lost = 0
    for _ in range(10):
        lines = after(careless, chance.randint(start + len(entries) // 4, len(entries)), "prefix", chance, tmp_path / "root")
        try:
            assert_all_is_owed(lines, tmp_path / "root")
        except (AssertionError, StoreUnavailable):
            lost += 1
        shutil.rmtree(tmp_path / "root")
    assert lost > 5
