"""What happens at the bounds: bodies go first, records last, everything is counted, and it ends by itself."""

import asyncio
from dataclasses import replace

from storage.journal import JournalLimits
from tests.storage.journal.calls import (
    a_closing,
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

BOUND = JournalLimits(disk_bytes=200_000, segment_bytes=20_000, ballast_bytes=0)
BODY = b"r" * 5_000


async def fill(writer, calls: int):
    return [await call(writer, b"asked", BODY, number) for number in range(calls)]


async def test_at_the_disk_bound_bodies_are_shed_and_records_kept(tmp_path):
    async with a_writer(tmp_path, BOUND) as writer:
        written = await fill(writer, 40)
        assert writer.counters.shed_bodies > 2
        assert writer.counters.lost_records == 0
        assert not writer.full
        found = read_all(tmp_path)
        assert ids(found) == ids(written)
        shed = found[-1]
        assert (shed.request, shed.response) == (b"", b"")
        assert shed.closing == replace(written[-1].closing, request_cut=True, response_cut=True)
        assert found[0] == written[0]


async def test_behind_the_bound_records_are_lost_and_counted(tmp_path):
    async with a_writer(tmp_path, BOUND) as writer:
        await fill(writer, 120)
        assert writer.counters.lost_records > 10
        assert writer.pending_bytes <= BOUND.disk_bytes
        found = read_all(tmp_path)
        assert writer.counters.records == 240 - writer.counters.lost_records
        assert len(found) <= 120
        assert sum(path.stat().st_size for path in writer.folder.iterdir()) < BOUND.disk_bytes


async def test_calls_are_refused_at_the_bound_where_that_is_wanted(tmp_path):
    async with a_writer(tmp_path, replace(BOUND, reject_when_full=True)) as writer:
        assert not writer.full
        await fill(writer, 40)
        assert writer.full
        with a_reader(tmp_path) as reader:
            everything(reader)
            await eventually(lambda: not writer.full)
            shed = writer.counters.shed_bodies
            assert await call(writer) in everything(reader)
            assert writer.counters.shed_bodies == shed


async def test_a_stream_whose_middle_was_shed_ends_before_it(tmp_path):
    async with a_writer(tmp_path, BOUND) as writer:
        opening = an_opening(999)
        writer.opened(opening)
        writer.progress(opening.id, [b"beginning;"])
        await fill(writer, 40)
        writer.progress(opening.id, [b"middle;"])
        await synced(writer, writer.opened(an_opening(1_000)))
        with a_reader(tmp_path, garbage_bytes=50_000) as reader:
            everything(reader)
            await eventually(lambda: writer.pending_bytes < 100_000)
            whole = b"beginning;middle;end"
            await synced(writer, writer.closed(opening, a_closing(opening, response=whole), [], [b"end"]))
            (exchange,) = [exchange for exchange in everything(reader) if exchange.opening == opening]
        assert exchange.response == b"beginning;"
        assert exchange.closing == a_closing(opening, response=whole, request_cut=True, response_cut=True)


async def test_what_waits_in_memory_is_bounded(tmp_path):
    limits = JournalLimits(memory_bytes=400_000, ballast_bytes=0)
    async with a_writer(tmp_path, limits) as writer:
        most = 0
        openings = [an_opening(number) for number in range(1_000)]
        for opening in openings:  # the loop never lets go, so the thread gets little done
            writer.opened(opening)
            writer.progress(opening.id, [BODY])
            ticket = writer.closed(opening, a_closing(opening, response=BODY * 2), [], [BODY])
            most = max(most, writer.waiting_bytes)
        await synced(writer, ticket)
        assert most <= limits.memory_bytes + 10_000
        assert writer.counters.shed_bodies > 0
        assert writer.waiting_bytes == 0
        assert writer.counters.records + writer.counters.lost_records + writer.counters.shed_bodies >= 3_000
        await call(writer, response=BODY, number=2_000)
        found = read_all(tmp_path)
        assert found[-1].response == BODY
        for exchange in found:
            whole = exchange.closing is not None and not exchange.closing.response_cut
            assert (
                exchange.response == BODY * 2
                if whole and exchange is not found[-1]
                else exchange.response in (b"", BODY, BODY * 2)
            )


async def test_a_burst_of_large_bodies_does_not_wait_for_the_timer(tmp_path):
    limits = JournalLimits(group_delay=60.0, ballast_bytes=0)
    async with a_writer(tmp_path, limits) as writer:
        opening = an_opening()
        body = bytes(3 * 2**20)
        ticket = writer.closed(opening, a_closing(opening, response=body), [], [body])
        async with asyncio.timeout(30):
            await synced(writer, ticket)
