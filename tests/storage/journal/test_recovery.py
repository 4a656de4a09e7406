"""What a reader finds after the writer died, at any moment, and after the disk did not keep everything."""

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.exchange import Exchange
from storage.journal.frames import HEAD, Kind, payload_of
from storage.journal.slots import writer_lives
from tests.storage.journal.calls import (
    a_closing,
    a_reader,
    a_writer,
    an_opening,
    call,
    everything,
    ids,
    read_all,
    segments,
    synced,
    until,
)
from tests.storage.journal.writing import pieces_of, request_of

CHECKOUT = Path(__file__).parents[3]


def a_writing_process(root: Path, output: Path, segment_bytes: int = 200_000) -> subprocess.Popen[bytes]:
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.storage.journal.writing", str(root), str(segment_bytes), "40"],
            stdout=file,
            cwd=CHECKOUT,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def said(output: Path) -> tuple[set[str], set[str]]:
    """Return the ids that were said to have begun, and to have ended."""
    lines = [line.split() for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {line[1] for line in lines if line[0] == "begun"}, {line[1] for line in lines if line[0] == "ended"}


def assert_genuine(exchange: Exchange) -> None:
    """An exchange holds what its call wrote, or the beginning of it."""
    call_id = exchange.opening.id
    whole = b"".join(pieces_of(call_id, 50))
    assert whole.startswith(exchange.response)
    assert request_of(call_id).startswith(exchange.request)
    if exchange.closing is not None and not exchange.closing.response_cut:
        assert len(exchange.response) == exchange.closing.response_bytes


async def test_nothing_said_to_be_safe_is_lost_by_killing_the_writer(tmp_path):
    root, output = tmp_path / "journal", tmp_path / "said"
    output.touch()
    moments = random.Random(12)
    found: dict[str, Exchange] = {}
    with_reader = None
    for round_ in range(12):
        before = output.stat().st_size
        process = a_writing_process(root, output)
        until(lambda before=before: output.stat().st_size > before + 500 + moments.randrange(20_000))
        if round_ % 3 == 1:  # sometimes an office reads meanwhile
            with a_reader(root) as with_reader:
                found |= {exchange.opening.id: exchange for exchange in everything(with_reader, most=50)}
        kill(process)
    with a_reader(root) as reader:
        found |= {exchange.opening.id: exchange for exchange in everything(reader) if exchange.opening.id not in found}
        assert reader.lag.damaged_records == 0
        assert reader.running() == []
    begun, ended = said(output)
    assert len(begun) > 100
    assert begun <= found.keys()
    assert ended <= {call_id for call_id, exchange in found.items() if exchange.closing is not None}
    assert any(exchange.closing is None for exchange in found.values())
    for exchange in found.values():
        assert_genuine(exchange)
    assert segments(root) == []


async def test_a_call_left_open_is_interrupted_when_its_writer_is_dead(tmp_path):
    opening = an_opening()
    async with a_writer(tmp_path) as writer:
        writer.opened(opening)
        writer.progress(opening.id, [b"one", b"two"], [b"asked"])
        await synced(writer, writer.opened(an_opening(1)))
        with a_reader(tmp_path) as reader:
            assert reader.read() == []
    with a_reader(tmp_path) as reader:
        interrupted, other = reader.read()
        assert interrupted == Exchange(opening, None, b"asked", b"onetwo")
        assert other.closing is None
        reader.rewind()
        assert reader.read() == [interrupted, other]
        reader.saved()
        assert reader.read() == []
        assert reader.running() == []
    assert segments(tmp_path) == []


async def test_a_call_left_open_is_interrupted_by_the_next_life_in_the_folder(tmp_path):
    opening = an_opening()
    async with a_writer(tmp_path) as writer:
        writer.opened(opening)
    async with a_writer(tmp_path) as writer:
        written = await call(writer, number=1)
        still_open = an_opening(2)
        await synced(writer, writer.opened(still_open))
        with a_reader(tmp_path) as reader:
            assert reader.read(most=1) == [Exchange(opening, None, b"", b"")]
            assert everything(reader) == [written]
            assert reader.running() == [still_open]


async def test_a_reader_that_watches_the_writer_die_gives_its_open_calls(tmp_path):
    opening = an_opening()
    with a_reader(tmp_path) as reader:
        async with a_writer(tmp_path) as writer:
            await synced(writer, writer.opened(opening))
            assert reader.read() == []
            assert writer_lives(writer.folder)
        assert ids(everything(reader)) == [opening.id]
        async with a_writer(tmp_path) as writer:
            written = await call(writer, number=1)
            assert everything(reader) == [written]


async def test_numbers_grow_when_everything_was_consumed(tmp_path):
    names = []
    for number in range(4):
        async with a_writer(tmp_path) as writer:
            written = await call(writer, number=number)
            names.append(segments(tmp_path)[-1].name)
        assert read_all(tmp_path) == [written]
    assert names == sorted(names)
    assert segments(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"\0" * 20, b"rubbish that is no place"])
async def test_a_lost_place_gives_again_and_loses_nothing(tmp_path, damage):
    async with a_writer(tmp_path) as writer:
        written = [await call(writer, number=number) for number in range(3)]
        with a_reader(tmp_path) as reader:
            assert reader.read(most=2) == written[:2]
            reader.saved()
        (writer.folder / "place").write_bytes(damage)
        assert read_all(tmp_path) == written


async def three_calls(root: Path) -> tuple[Path, list[Exchange]]:
    async with a_writer(root) as writer:
        written = [await call(writer, b"asked %d" % number, b"answered" * 9, number) for number in range(3)]
    return segments(root)[0], written


async def test_a_tail_torn_anywhere_leaves_what_was_before_it(tmp_path):
    segment, written = await three_calls(tmp_path)
    data = segment.read_bytes()
    endings = 0
    for size in range(len(data), -1, -1):
        root = tmp_path / "torn"
        (root / "gate-0").mkdir(parents=True)
        (root / "gate-0" / segment.name).write_bytes(data[:size] + bytes(size % 3 * 700))
        with a_reader(root) as reader:
            found = everything(reader)
            assert reader.lag.damaged_records == 0
        finished = [exchange for exchange in found if exchange.closing is not None]
        assert finished == written[: len(finished)]
        assert ids(found) == ids(written[: len(found)])
        endings += len(finished) == 2
        shutil.rmtree(root)
    assert endings > 500


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    segment, written = asyncio.run(three_calls(root))
    return segment.name, segment.read_bytes(), written


@settings(max_examples=200, deadline=None)
@given(flips=st.lists(st.integers(0, 2**20), min_size=1, max_size=8))
def test_flipped_bits_never_raise_and_never_make_a_record_up(recorded, tmp_path_factory, flips):
    name, data, written = recorded
    changed = bytearray(data)
    for flip in flips:
        changed[flip // 8 % len(data)] ^= 1 << flip % 8
    root = tmp_path_factory.mktemp("flipped")
    (root / "gate-0").mkdir()
    (root / "gate-0" / name).write_bytes(changed)
    found = read_all(root)
    shutil.rmtree(root)
    by_id = {exchange.opening.id: exchange for exchange in written}
    for exchange in found:
        original = by_id[exchange.opening.id]
        assert exchange in (original, Exchange(original.opening, None, b"", b""))
    assert len(found) >= len(written) - len(flips)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=3_000), position=st.integers(0, 3_000))
def test_rubbish_in_the_middle_never_raises(recorded, tmp_path_factory, data, position):
    name, whole, written = recorded
    root = tmp_path_factory.mktemp("rubbish")
    (root / "gate-0").mkdir()
    (root / "gate-0" / name).write_bytes(whole[:position] + data + whole[position:])
    found = read_all(root)
    shutil.rmtree(root)
    assert set(ids(found)) <= set(ids(written))
    assert all(exchange in written for exchange in found if exchange.closing is not None)


async def test_a_damaged_record_is_passed_by_counted_and_logged_once(tmp_path, caplog):
    segment, written = await three_calls(tmp_path)
    data = bytearray(segment.read_bytes())
    data[data.index(b"asked 1")] ^= 0x40
    segment.write_bytes(data)
    with a_reader(tmp_path) as reader:
        found = everything(reader)
        assert reader.lag.damaged_records == 1
        assert reader.read() == []
    assert [exchange for exchange in found if exchange.closing] == [written[0], written[2]]
    assert Exchange(written[1].opening, None, b"", b"") in found
    assert caplog.text.count("is damaged at byte") == 1


async def test_a_body_that_looks_like_a_journal_is_only_a_body(tmp_path):
    segment, _ = await three_calls(tmp_path / "other")
    forged = segment.read_bytes()
    async with a_writer(tmp_path) as writer:
        first = await call(writer, forged, forged)
        second = await call(writer, number=1)
    own = segments(tmp_path)[0]
    data = bytearray(own.read_bytes())
    data[data.index(forged) + len(forged) - 1] ^= 1
    own.write_bytes(data)
    assert ids(read_all(tmp_path)) == [second.opening.id, first.opening.id]


async def test_a_body_ends_before_a_damaged_piece_and_says_so(tmp_path):
    opening = an_opening()
    async with a_writer(tmp_path) as writer:
        writer.opened(opening)
        for piece in (b"first;", b"second;", b"third;"):
            writer.progress(opening.id, [piece])
        closing = a_closing(opening, response=b"first;second;third;last")
        await synced(writer, writer.closed(opening, closing, [], [b"last"]))
    segment = segments(tmp_path)[0]
    segment.write_bytes(segment.read_bytes().replace(b"second;", b"secomd;"))
    (exchange,) = read_all(tmp_path)
    assert exchange.response == b"first;"
    assert exchange.closing is not None
    assert exchange.closing.response_cut


async def test_a_call_whose_opening_was_lost_is_still_read_at_its_end(tmp_path):
    opening = an_opening(model="this-one")
    async with a_writer(tmp_path) as writer:
        writer.opened(opening)
        writer.progress(opening.id, [b"one;"])
        closing = a_closing(opening, response=b"one;two")
        await synced(writer, writer.closed(opening, closing, [], [b"two"]))
    segment = segments(tmp_path)[0]
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"this-one", b"that-one", 1))
    assert read_all(tmp_path) == [Exchange(opening, closing, b"", b"one;two")]


async def test_a_segment_deleted_by_hand_stops_nothing(tmp_path):
    async with a_writer(tmp_path) as writer:
        written = [await call(writer, response=b"r" * 5_000, number=number) for number in range(40)]
        with a_reader(tmp_path) as reader:
            reader.read(most=1)
            found = segments(tmp_path)
            found[1].unlink()
            rest = ids(everything(reader))
        assert rest[-1] == written[-1].opening.id
        assert 20 < len(rest) < 39


async def test_what_stands_before_something_unreadable_is_given(tmp_path, caplog):
    _, written = await three_calls(tmp_path)
    (tmp_path / "gate-0" / "0000009999-0011223344556677.segment").mkdir()
    with a_reader(tmp_path) as reader:
        assert reader.read() == written
        reader.saved()
        assert reader.read() == reader.read() == []
    assert read_all(tmp_path) == []
    assert caplog.text.count("cannot be read") == 2


async def test_a_killed_writers_room_is_given_back_by_the_next(tmp_path):
    root, output = tmp_path / "journal", tmp_path / "said"
    process = a_writing_process(root, output, 8 * 2**20)
    until(lambda: output.stat().st_size > 2_000)
    kill(process)
    assert segments(root)[0].stat().st_size >= 8 * 2**20
    async with a_writer(root) as writer:
        await call(writer)
        assert segments(root)[0].stat().st_size < 4 * 2**20
    begun, _ = said(output)
    assert begun <= set(ids(read_all(root)))


async def test_a_record_of_a_version_to_come_is_passed_by(tmp_path):
    segment, written = await three_calls(tmp_path)
    marker = bytes.fromhex(segment.name.removesuffix(".segment").partition("-")[2])
    with segment.open("ab") as file:
        for kind in (Kind.OPENED, Kind.CLOSED, 77):
            payload = payload_of(kind, 1, 0, b"x" * 16, b"\xc1")
            file.write(HEAD.pack(marker, payload.crc) + b"".join(payload.pieces))
    with a_reader(tmp_path) as reader:
        assert everything(reader) == written
        assert reader.lag.damaged_records == 2
