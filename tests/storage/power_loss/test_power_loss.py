"""A power loss at any moment loses nothing that was said to be safe, and makes nothing up."""

import random
import shutil
from pathlib import Path

import pytest

from domain.exchange import Exchange
from tests.storage.journal.calls import a_reader, everything
from tests.storage.journal.test_recovery import assert_genuine
from tests.storage.power_loss.reading import LONG, streamed
from tests.storage.power_loss.tape import Mode, Recording, disk_after, write_files

MODES: tuple[Mode, ...] = ("drop", "prefix", "random")


@pytest.fixture(scope="module")
def writing(record) -> Recording:
    return record("tests.storage.journal.writing", "60000", "20", "400")


@pytest.fixture(scope="module")
def reading(record) -> Recording:
    return record("tests.storage.power_loss.reading", "150")


def test_the_tape_holds_everything_that_was_done(writing, reading):
    for recording in (writing, reading):
        files = disk_after(recording.entries).after_power_loss("kept", random.Random(0))
        assert files == {str(path): path.read_bytes() for path in recording.folder.rglob("*") if path.is_file()}


def said(lines: list[str], what: str) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith(what)}


def recovered(recording: Recording, cut: int, mode: Mode, chance: random.Random, root: Path) -> tuple[list[str], list[Exchange]]:
    """Return what had been said at the cut, and what a reader then finds."""
    disk = disk_after(recording.entries[:cut])
    write_files(disk.after_power_loss(mode, chance), str(recording.folder), root)
    with a_reader(root) as reader:
        found = everything(reader)
        assert reader.running() == []
    shutil.rmtree(root)
    return disk.said, found


def test_the_recorder_notices_a_writer_that_does_not_sync(writing, tmp_path):
    """The proof of the proof: without the syncs, most crash points lose something."""
    careless = Recording(writing.folder, [entry for entry in writing.entries if entry.kind != "S"])
    chance = random.Random(3)
    lost = 0
    for _ in range(20):
        cut = chance.randint(len(careless.entries) // 4, len(careless.entries))
        lines, found = recovered(careless, cut, "prefix", chance, tmp_path / "root")
        lost += not said(lines, "begun") <= {exchange.opening.id for exchange in found}
    assert lost > 10


@pytest.mark.parametrize("mode", MODES)
def test_nothing_acknowledged_is_lost_at_150_crash_points(writing, tmp_path, mode):
    chance = random.Random(1)
    first = next(index for index, entry in enumerate(writing.entries) if entry.kind == "A")
    interrupted = 0
    for _ in range(150):
        cut = chance.randint(first, len(writing.entries))
        lines, found = recovered(writing, cut, mode, chance, tmp_path / "root")
        ids = {exchange.opening.id for exchange in found}
        assert len(ids) == len(found)
        assert said(lines, "begun") <= ids
        assert said(lines, "ended") <= {exchange.opening.id for exchange in found if exchange.closing is not None}
        for exchange in found:
            assert_genuine(exchange)
            if exchange.opening.id in said(lines, "ended"):
                assert exchange.closing is not None
                assert not exchange.closing.response_cut
        interrupted += any(exchange.closing is None for exchange in found)
    assert interrupted > 20


def assert_nothing_lost_while_reading(lines: list[str], found: list[Exchange]) -> None:
    safe = said(lines, "saved") | {exchange.opening.id for exchange in found}
    assert said(lines, "begun") <= safe
    closed = said(lines, "saved") | {exchange.opening.id for exchange in found if exchange.closing is not None}
    assert said(lines, "ended") <= closed
    for exchange in found:
        if exchange.opening.id != LONG:
            assert_genuine(exchange)
    sure = max(map(int, said(lines, "streamed")), default=0)
    if sure:
        (stream,) = [exchange for exchange in found if exchange.opening.id == LONG]
        assert stream.closing is None
        assert stream.response.startswith(streamed(sure))
        assert streamed(200).startswith(stream.response)


def test_the_long_stream_was_carried_many_times(reading):
    carried = [entry for entry in reading.entries if entry.kind == "R"]
    assert len(carried) > 5
    assert sum(entry.kind == "U" for entry in reading.entries) > 2 * len(carried)


@pytest.mark.parametrize("mode", MODES)
def test_a_power_loss_while_an_office_reads_and_carries_loses_nothing(reading, tmp_path, mode):
    chance = random.Random(2)
    for _ in range(100):
        cut = chance.randint(1, len(reading.entries))
        assert_nothing_lost_while_reading(*recovered(reading, cut, mode, chance, tmp_path / "root"))


def test_a_crash_between_any_two_steps_of_carrying_loses_and_doubles_nothing(reading, tmp_path):
    chance = random.Random(0)
    steps = [
        index
        for renamed, entry in enumerate(reading.entries)
        if entry.kind == "R"
        for index in range(renamed - 6, renamed + 8)
        if index < len(reading.entries)
    ]
    for cut in sorted(set(steps)):
        lines, found = recovered(reading, cut, "kept", chance, tmp_path / "root")
        assert_nothing_lost_while_reading(lines, found)
        again = said(lines, "saved") & {exchange.opening.id for exchange in found}
        assert len(again) <= 16  # one batch, at most: what was saved and not yet put behind
