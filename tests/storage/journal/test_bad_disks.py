"""Disks that are full, fail, or are slow: real ones (a small tmpfs), or made so by `strace` and `ulimit`."""

import asyncio
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from storage.journal import JournalLimits
from tests.storage.journal.calls import (
    MEBIBYTE,
    a_reader,
    a_writer,
    an_opening,
    call,
    eventually,
    everything,
    ids,
    read_all,
    synced,
)
from tests.storage.journal.test_recovery import CHECKOUT, assert_genuine, said

CALLS = 200


@pytest.fixture
def small_disk(tmp_path):
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mounted)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


FULL = JournalLimits(segment_bytes=MEBIBYTE, ballast_bytes=2 * MEBIBYTE)


async def test_a_full_disk_sheds_bodies_lives_on_its_ballast_and_recovers(small_disk, caplog):
    root = small_disk / "journal"
    root.mkdir()
    async with a_writer(root, FULL) as writer:
        ballast = root / "ballast"
        await eventually(ballast.exists)
        before = await call(writer, response=b"before")
        fill(small_disk / "other")
        written = [await call(writer, response=b"r" * 50_000, number=number) for number in range(1, 60)]
        await eventually(lambda: not writer.waiting_bytes)  # nobody waits for a disk in trouble
        assert writer.counters.disk_errors > 0
        assert writer.counters.shed_bodies > 30
        assert writer.counters.lost_records == 0
        assert not ballast.exists()
        (small_disk / "other").unlink()
        await eventually(ballast.exists)
        after = await call(writer, response=b"after", number=100)
        found = read_all(root)
        assert found[0] == before
        assert found[-1] == after
        assert ids(found[1:-1]) == ids(written)
    assert "No space left" in caplog.text
    assert "written again" in caplog.text
    caplog.clear()


async def test_a_disk_without_any_room_left_rejects_where_that_is_wanted(small_disk):
    root = small_disk / "journal"
    root.mkdir()
    async with a_writer(root, replace(FULL, reject_when_full=True, memory_bytes=MEBIBYTE)) as writer:
        await call(writer)
        fill(small_disk / "other")
        while not writer.full:
            await call(writer, response=b"r" * 200_000)
        fill(small_disk / "another")  # the ballast's room too
        unsynced = writer.counters.unsynced_waits
        while writer.counters.unsynced_waits == unsynced:  # first the room is used up that was set aside in the segment
            for _ in range(500):
                writer.opened(an_opening())
            await synced(writer, writer.opened(an_opening()))  # nobody waits for a disk like this
        while not writer.counters.lost_records:
            writer.opened(an_opening())
            await asyncio.sleep(0)
        assert writer.full
        assert writer.waiting_bytes <= MEBIBYTE + 10_000
        for name in ("other", "another"):
            (small_disk / name).unlink()
        await eventually(lambda: not writer.full and not writer.waiting_bytes)
        last = await call(writer, response=b"last", number=9_000)
        assert read_all(root)[-1] == last


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def written_under(command: list[str], root: Path, **options) -> tuple[set[str], set[str]]:
    """Run a writing process under a command that makes its disk bad; return what it said to be safe."""
    program = [sys.executable, "-m", "tests.storage.journal.writing", str(root), "200000", "20", str(CALLS)]
    output = root.with_name("said")
    with output.open("wb") as file:
        subprocess.run(
            [*command, *program], stdout=file, stderr=subprocess.DEVNULL, cwd=CHECKOUT, check=True, timeout=60, **options
        )
    return said(output)


def assert_all_there(root: Path, begun: set[str], ended: set[str]) -> None:
    assert len(ended) == CALLS
    with a_reader(root) as reader:
        found = everything(reader)
    assert {exchange.opening.id for exchange in found} == begun == ended
    for exchange in found:
        assert exchange.closing is not None
        assert_genuine(exchange)


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@needs_strace
@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=3+7",
        "pwritev2:error=ENOSPC:when=4+9",
        "pwritev2:error=EIO:when=2..8",
        "fsync:error=EIO:when=3..5",
        "fallocate:error=EIO",
        "fdatasync:delay_enter=100000",
    ],
)
def test_errors_of_the_disk_lose_nothing(tmp_path, fault):
    root = tmp_path / "journal"
    call_name = fault.partition(":")[0]
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call_name}", "-e", f"inject={fault}"]
    begun, ended = written_under(command, root)
    if "ENOSPC" in fault:
        assert begun == ended == {exchange.opening.id for exchange in read_all(root)}
    else:
        assert_all_there(root, begun, ended)


@needs_strace
def test_a_disk_that_always_fails_lets_everybody_go_and_the_end_does_not_hang(tmp_path):
    root = tmp_path / "journal"
    begun, _ = written_under(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"], root
    )
    assert len(begun) == CALLS


def test_a_limit_on_the_size_of_files_only_makes_segments_smaller(tmp_path):
    root = tmp_path / "journal"
    begun, ended = written_under([], root, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert all(path.stat().st_size <= 100_000 for path in root.rglob("*"))
    assert_all_there(root, begun, ended)


async def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        async with a_writer(tmp_path / "file" / "journal"):
            pass


async def test_a_folder_that_cannot_be_read_does_not_keep_others_waiting(tmp_path, caplog):
    async with a_writer(tmp_path) as writer:
        written = await call(writer)
        (tmp_path / "gate-7").touch()
        with a_reader(tmp_path) as reader:
            assert reader.read() == [written]
            assert reader.read() == []
    assert caplog.text.count("gate-7") == 1


async def test_the_writer_ends_with_its_loop(tmp_path):
    def run() -> int:
        async def begin() -> int:
            async with a_writer(tmp_path) as writer:
                await call(writer)
                return writer.synced

        return asyncio.run(begin())

    assert await asyncio.to_thread(run) == 2
    assert (tmp_path / "gate-0" / "lock").exists()
