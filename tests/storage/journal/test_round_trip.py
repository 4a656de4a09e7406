"""What was written is what is read."""

import asyncio

import pytest

from domain.exchange import Exchange
from storage.journal import JournalInUse, JournalLimits, JournalReader, JournalWriter
from tests.storage.journal.calls import (
    MEBIBYTE,
    SMALL,
    a_closing,
    a_reader,
    a_writer,
    an_opening,
    call,
    eventually,
    everything,
    ids,
    read_all,
    segments,
    synced,
    until,
)


async def test_a_call_is_read_as_it_was_written(tmp_path):
    async with a_writer(tmp_path) as writer:
        written = await call(writer, b'{"model":"gpt-4o"}', b"data: [DONE]\n\n")
        assert read_all(tmp_path) == [written]


async def test_a_refused_call_needs_no_opening(tmp_path):
    opening = an_opening()
    closing = a_closing(opening, ending="refused", status=429, attempts=())
    async with a_writer(tmp_path) as writer:
        await synced(writer, writer.closed(opening, closing, [], []))
        assert read_all(tmp_path) == [Exchange(opening, closing, b"", b"")]


async def test_bodies_come_in_many_parts(tmp_path):
    opening = an_opening()
    pieces = [b"piece %d;" % number * number for number in range(2_500)]
    request = [b"q" * 1_000] * 3
    closing = a_closing(opening, b"".join(request), b"".join(pieces))
    async with a_writer(tmp_path) as writer:
        writer.opened(opening)
        for start in range(0, 2_400, 100):
            writer.progress(opening.id, pieces[start : start + 100], request if start == 0 else ())
        await synced(writer, writer.closed(opening, closing, [], pieces[2_400:]))
        assert read_all(tmp_path) == [Exchange(opening, closing, b"".join(request), b"".join(pieces))]


async def test_bodies_of_eight_mebibytes(tmp_path):
    request, response = b"\x00" * (8 * MEBIBYTE), bytes(range(256)) * (8 * MEBIBYTE // 256)
    async with a_writer(tmp_path, JournalLimits(ballast_bytes=0)) as writer:
        written = [await call(writer, request, response, number) for number in range(3)]
        assert read_all(tmp_path) == written


async def test_two_thousand_pieces_in_one_record(tmp_path):
    opening = an_opening()
    pieces = [b"%05d" % number * 20 for number in range(2_000)]
    closing = a_closing(opening, response=b"".join(pieces))
    async with a_writer(tmp_path) as writer:
        await synced(writer, writer.closed(opening, closing, [], pieces))
        assert read_all(tmp_path) == [Exchange(opening, closing, b"", b"".join(pieces))]


async def test_calls_are_read_in_the_order_of_their_ends_over_many_segments(tmp_path):
    async with a_writer(tmp_path) as writer:
        openings = [an_opening(number) for number in range(300)]
        for opening in openings:
            writer.opened(opening)
        for opening in reversed(openings):
            ticket = writer.closed(opening, a_closing(opening, response=b"r" * 2_000), [], [b"r" * 2_000])
        await synced(writer, ticket)
        assert len(segments(tmp_path)) > 5
        with a_reader(tmp_path) as reader:
            assert ids(everything(reader, most=7)) == [opening.id for opening in reversed(openings)]
            assert reader.lag.open_calls == 0
        assert len(segments(tmp_path)) == 1


async def test_what_is_saved_is_not_read_again_and_what_is_not_is(tmp_path):
    async with a_writer(tmp_path) as writer:
        first, second = [await call(writer, number=number) for number in range(2)]
        with a_reader(tmp_path) as reader:
            assert reader.read(most=1) == [first]
            reader.saved()
            assert reader.read() == [second]
        with a_reader(tmp_path) as reader:
            assert reader.read() == [second]
            assert reader.read() == []
            reader.rewind()
            assert reader.read() == [second]
            reader.saved()
        assert read_all(tmp_path) == []


async def test_rewinding_gives_everything_since_the_last_save_over_segments_and_parts(tmp_path):
    async with a_writer(tmp_path) as writer:
        written = []
        for number in range(60):
            opening = an_opening(number)
            writer.opened(opening)
            writer.progress(opening.id, [b"a" * 3_000])
            closing = a_closing(opening, response=b"a" * 3_000 + b"b" * 500)
            ticket = writer.closed(opening, closing, [], [b"b" * 500])
            written.append(Exchange(opening, closing, b"", b"a" * 3_000 + b"b" * 500))
        await synced(writer, ticket)
        with a_reader(tmp_path) as reader:
            assert reader.read(most=5) == written[:5]
            reader.saved()
            for _ in range(3):
                assert reader.read(most=40) == written[5:45]
                reader.rewind()
            assert everything(reader) == written[5:]


async def test_a_read_is_bounded_in_bytes(tmp_path):
    async with a_writer(tmp_path) as writer:
        written = [await call(writer, response=b"r" * 10_000, number=number) for number in range(10)]
        with a_reader(tmp_path) as reader:
            assert reader.read(most_bytes=25_000) == written[:3]
            assert reader.read(most_bytes=1) == written[3:4]


async def test_each_writer_has_a_folder_of_its_own_and_all_are_read(tmp_path):
    async with a_writer(tmp_path) as first, a_writer(tmp_path) as second:
        assert {first.folder.name, second.folder.name} == {"gate-0", "gate-1"}
        written = [await call(writer, number=number) for number, writer in enumerate((first, second))]
        assert sorted(ids(read_all(tmp_path))) == sorted(ids(written))
    async with a_writer(tmp_path) as again:
        assert again.folder.name == "gate-0"


async def test_a_busy_folder_does_not_keep_another_waiting(tmp_path):
    async with a_writer(tmp_path) as busy, a_writer(tmp_path) as quiet:
        for number in range(50):
            await call(busy, number=number)
        rare = await call(quiet)
        with a_reader(tmp_path) as reader:
            assert rare in reader.read(most=10) + reader.read(most=10)


async def test_two_readers_never_share_a_root(tmp_path):
    with a_reader(tmp_path), pytest.raises(JournalInUse, match="Another office"):
        JournalReader(tmp_path)
    with a_reader(tmp_path) as reader:
        assert reader.read() == []


async def test_a_reader_sees_what_is_written_while_it_reads(tmp_path):
    async with a_writer(tmp_path) as writer:
        with a_reader(tmp_path) as reader:
            for number in range(40):
                written = await call(writer, response=b"r" * 4_000, number=number)
                assert everything(reader) == [written]
            assert len(segments(tmp_path)) == 1
            assert reader.lag.damaged_records == 0


async def test_running_calls_are_those_opened_and_not_closed(tmp_path):
    async with a_writer(tmp_path) as writer:
        opening = an_opening()
        await synced(writer, writer.opened(opening))
        with a_reader(tmp_path) as reader:
            assert reader.read() == []
            assert reader.running() == [opening]
            await synced(writer, writer.closed(opening, a_closing(opening), [], []))
            assert ids(reader.read()) == [opening.id]
            assert reader.running() == []


async def test_what_waits_is_measured(tmp_path):
    async with a_writer(tmp_path) as writer:
        for number in range(20):
            await call(writer, response=b"r" * 10_000, number=number)
        assert 200_000 < writer.pending_bytes < 300_000
        with a_reader(tmp_path) as reader:
            assert reader.read(most=1)
            assert reader.pending_bytes > 200_000
            everything(reader)
            assert reader.pending_bytes < 100_000
        await eventually(lambda: writer.pending_bytes < 100_000)


async def test_a_reader_that_caught_up_has_nothing_pending_whatever_is_set_aside(tmp_path):
    async with a_writer(tmp_path, JournalLimits(ballast_bytes=0)) as writer:
        with a_reader(tmp_path) as reader:
            await call(writer)
            assert everything(reader)
            assert segments(tmp_path)[0].stat().st_size == 16 * MEBIBYTE
            assert reader.pending_bytes == 0
            assert writer.pending_bytes < 10_000


async def test_what_was_read_and_owes_the_store_nothing_does_not_wait(tmp_path):
    async with a_writer(tmp_path) as writer:
        opening = an_opening()
        await synced(writer, writer.opened(opening))
        with a_reader(tmp_path) as reader:
            assert reader.read() == []
            assert reader.pending_bytes == 0
            await synced(writer, writer.closed(opening, a_closing(opening), [], [b"r" * 3_000]))
            assert 3_000 < reader.pending_bytes < 5_000
            assert reader.read()
            assert 3_000 < reader.pending_bytes < 5_000
            reader.saved()
            assert reader.pending_bytes == 0


async def test_calls_share_commits_under_load(tmp_path):
    async with a_writer(tmp_path) as writer:
        for burst in range(100):
            for number in range(20):
                opening = an_opening(burst * 20 + number)
                writer.opened(opening)
                ticket = writer.closed(opening, a_closing(opening), [], [])
            await asyncio.sleep(0)
        await synced(writer, ticket)
        assert writer.counters.records == 4_000
        assert writer.counters.commits < 400


async def test_openings_are_committed_at_once_and_closings_may_wait(tmp_path):
    async with a_writer(tmp_path, JournalLimits(ballast_bytes=0, group_delay=60.0)) as writer:
        opening = an_opening()
        await synced(writer, writer.opened(opening))
        ticket = writer.closed(opening, a_closing(opening), [], [])
        assert writer.synced < ticket
        assert writer.waiting_bytes > 0
        await synced(writer, writer.opened(an_opening(1)))
        assert writer.synced > ticket
        assert writer.waiting_bytes == 0


async def test_everybody_who_waits_is_woken(tmp_path):
    async with a_writer(tmp_path) as writer:
        tickets = [writer.opened(an_opening(number)) for number in range(500)]
        await asyncio.gather(*(synced(writer, ticket) for ticket in reversed(tickets)))
        assert writer.synced == tickets[-1] == 500
        await synced(writer, tickets[0])
        assert writer.counters.unsynced_waits == 0


async def test_a_commit_that_ends_while_others_are_woken_wakes_its_own(tmp_path):
    def write_at_once() -> int:
        opening, body = an_opening(), bytes(2 * MEBIBYTE)  # too much to wait for a timer
        return writer.closed(opening, a_closing(opening, response=body), [], [body])

    class Slow(asyncio.Future):
        def set_result(self, result):
            ticket = write_at_once()
            until(lambda: writer.synced >= ticket)
            super().set_result(result)

    async with a_writer(tmp_path) as writer:
        first, second = Slow(), asyncio.get_running_loop().create_future()
        ticket = write_at_once()
        writer.when_synced(ticket, first)
        until(lambda: writer.synced >= ticket)
        writer.when_synced(writer.opened(an_opening()), second)
        await asyncio.wait_for(second, 30)
        assert first.done()


async def test_a_waiter_that_gave_up_is_left_alone(tmp_path):
    async with a_writer(tmp_path) as writer:
        waiter = asyncio.get_running_loop().create_future()
        ticket = writer.opened(an_opening())
        writer.when_synced(ticket, waiter)
        waiter.cancel()
        await synced(writer, ticket)
        assert waiter.cancelled()


async def test_closing_writes_all_that_waits_and_later_records_are_counted_as_lost(tmp_path):
    writer = JournalWriter(tmp_path, asyncio.get_running_loop(), SMALL, boot="test")
    openings = [an_opening(number) for number in range(200)]
    for opening in openings:
        writer.opened(opening)
        writer.closed(opening, a_closing(opening), [], [])
    writer.close()
    writer.opened(an_opening(999))
    writer.progress("00" * 16, [b"x"])
    assert writer.counters.lost_records == 2
    assert ids(read_all(tmp_path)) == [opening.id for opening in openings]


async def test_a_record_that_cannot_be_written_down_stops_no_other(tmp_path, caplog):
    async with a_writer(tmp_path) as writer:
        writer.opened(an_opening(id="not hexadecimal"))
        written = await call(writer)
        assert writer.counters.lost_records == 1
        assert read_all(tmp_path) == [written]
    assert "could not be written down" in caplog.text
    caplog.clear()


async def test_a_stopped_office_does_not_stop_the_writer(tmp_path):
    async with a_writer(tmp_path) as writer:
        with a_reader(tmp_path) as reader:
            first = await call(writer)
            assert everything(reader) == [first]
        written = [await call(writer, response=b"r" * 5_000, number=number) for number in range(50)]
        assert read_all(tmp_path) == written
