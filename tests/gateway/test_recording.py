"""What is written down of a call: copies, marks, progress, and how it ended; read back from a real journal."""

import asyncio
import struct
from array import array
from collections.abc import Sequence
from time import time_ns

import pytest

from domain.exchange import Attempt, Exchange, Labels, Opening, OwnError
from domain.ids import new_id
from domain.keys import ApiKey
from gateway.tee.barrier import Barrier
from gateway.tee.recording import MOST_MARKS, Recording, RecordingRules
from gateway.wire.answer import Header
from storage.journal import JournalWriter
from tests.gateway.calling import FakeCaller
from tests.gateway.heads import HOST
from tests.storage.journal.calls import SMALL, eventually, read_all

RULES = RecordingRules(copy_bytes=1000, progress_bytes=100)
COMMON = ("POST", "/v1/chat/completions", "openai", "openai", "key-1", "ci", "default")
LABELS = Labels(session="s-1", tags={"team": "search", "größe": "ü"})


class Run:
    """A journal, and the records written to it."""

    def __init__(self, root, writer: JournalWriter) -> None:
        self.root = root
        self.writer = writer
        self._open = True

    def record(
        self, rules: RecordingRules = RULES, *, ago_us: int = 0, headers: Sequence[Header] = (), known: bool = True
    ) -> Recording:
        barrier = Barrier(self.writer, asyncio.get_running_loop(), rules.barrier_seconds)
        caller = FakeCaller(b"POST", b"/v1/chat/completions", headers, b"")
        record = Recording(self.writer, rules, barrier, caller, new_id(time_ns()))
        record._arrived -= ago_us * 1000  # the clock of the record is its moment of arrival
        if known:
            record.known(COMMON, LABELS, "gpt-4o", stream=True, capture="full", websocket=False)
        return record

    def close(self) -> None:
        if self._open:
            self._open = False
            self.writer.close()

    def read(self) -> Exchange:
        self.close()
        (exchange,) = read_all(self.root)
        return exchange


@pytest.fixture
async def run(tmp_path):
    running = Run(tmp_path, JournalWriter(tmp_path, asyncio.get_running_loop(), SMALL, boot="test"))
    yield running
    running.close()


def marks_of(exchange: Exchange) -> list[tuple[int, int]]:
    return list(struct.iter_unpack("<II", exchange.closing.marks))


async def test_a_whole_call_is_read_back_as_it_was(run):
    record = run.record()
    record.open()
    record.request_came(b"asked")
    record.status = 200
    record.response_came(b"ans")
    record.response_came(b"wer")
    record.read_done()
    record.response_came(b"ed")
    record.read_done()
    record.close("complete")

    exchange = run.read()
    assert (exchange.request, exchange.response) == (b"asked", b"answered")
    assert (exchange.closing.ending, exchange.closing.status) == ("complete", 200)
    assert (exchange.closing.request_bytes, exchange.closing.response_bytes) == (5, 8)
    assert (exchange.closing.request_cut, exchange.closing.response_cut) == (False, False)
    assert exchange.opening == Opening(record.id, exchange.opening.at, *COMMON, LABELS, "gpt-4o", stream=True)


async def test_each_read_has_a_mark_with_its_time_and_the_bytes_so_far(run):
    record = run.record(ago_us=5_000)
    record.open()
    for size in (3, 0, 4):
        record.response_came(b"x" * size)
        record.read_done()
    record.close("complete")

    marks = marks_of(run.read())
    assert [count for _, count in marks] == [3, 3, 7]
    times = [time for time, _ in marks]
    assert times == sorted(times)
    assert 5_000 <= times[0] < 60_000_000


async def test_marks_are_bounded_and_the_first_are_kept(run):
    record = run.record()
    record.open()
    for _ in range(MOST_MARKS + 50):
        record.response_came(b"x")
        record.read_done()
    record.close("complete")

    marks = marks_of(run.read())
    assert [count for _, count in marks] == list(range(1, MOST_MARKS + 1))


async def test_marks_are_little_endian_pairs(run):
    record = run.record()
    record.open()
    record.response_came(b"abc")
    record.read_done()
    record.close("complete")

    marks = run.read().closing.marks
    assert len(marks) == 8
    assert array("I", marks)[1] == int.from_bytes(marks[4:], "little") == 3


# Copies


@pytest.mark.parametrize(
    ("pieces", "kept", "cut"),
    [
        ([b"x" * 1000], 1000, False),
        ([b"x" * 1001], 1000, True),
        ([b"x" * 999, b"yz"], 1000, True),
        ([b"x" * 1000, b"y"], 1000, True),
        ([b"x" * 1000, b""], 1000, False),
        ([], 0, False),
    ],
)
@pytest.mark.parametrize("side", ["request", "response"])
async def test_copies_end_at_their_bound_and_say_so(run, side, pieces, kept, cut):
    record = run.record(RecordingRules(copy_bytes=1000))
    record.open()
    for piece in pieces:
        (record.request_came if side == "request" else record.response_came)(piece)
        record.read_done()
    record.close("complete")

    exchange = run.read()
    assert getattr(exchange, side) == b"".join(pieces)[:kept]
    assert getattr(exchange.closing, f"{side}_bytes") == len(b"".join(pieces))
    assert getattr(exchange.closing, f"{side}_cut") is cut
    other = "response" if side == "request" else "request"
    assert getattr(exchange.closing, f"{other}_cut") is False


async def test_without_capture_nothing_is_copied_but_everything_is_counted(run):
    record = run.record()
    record.keeps_bodies = False
    record.open()
    record.request_came(b"secret")
    record.response_came(b"also secret" * 50)
    record.read_done()
    record.close("complete")

    exchange = run.read()
    assert (exchange.request, exchange.response) == (b"", b"")
    assert (exchange.closing.request_bytes, exchange.closing.response_bytes) == (6, 550)
    assert len(marks_of(exchange)) == 1


# Progress


async def test_a_long_stream_is_handed_over_and_put_together_again(run):
    record = run.record(RecordingRules(copy_bytes=10_000, progress_bytes=100))
    record.open()
    record.request_came(b"asked")
    whole = b"".join(b"%06d" % number for number in range(200))
    for start in range(0, len(whole), 6):
        record.response_came(whole[start : start + 6])
        record.read_done()
    await eventually(lambda: run.writer.counters.records > 5)
    record.close("complete")

    exchange = run.read()
    assert (exchange.request, exchange.response) == (b"asked", whole)
    assert exchange.closing.response_cut is False


async def test_what_was_handed_over_survives_a_gate_that_dies(run):
    record = run.record(RecordingRules(copy_bytes=10_000, progress_bytes=100))
    record.open()
    record.request_came(b"asked")
    record.response_came(b"y" * 120)
    record.read_done()
    record.response_came(b"lost with the gate")
    record.read_done()

    exchange = run.read()
    assert exchange.closing is None
    assert (exchange.request, exchange.response) == (b"asked", b"y" * 120)


async def test_a_slow_stream_is_handed_over_once_a_second(run):
    record = run.record(ago_us=10)
    record.open()
    record.response_came(b"first")
    record.read_done()
    record._arrived -= 1_100_000_000  # the clock of the record is its moment of arrival
    record.response_came(b"second")
    record.read_done()

    assert run.read().response == b"firstsecond"


# How it ended


@pytest.mark.parametrize("ending", ["complete", "upstream_cut", "client_gone", "failed"])
async def test_only_the_first_end_counts(run, ending):
    record = run.record()
    record.open()
    record.close(ending, OwnError("a", "b", "c") if ending == "failed" else None)
    record.close("client_gone")

    closing = run.read().closing
    assert closing.ending == ending
    assert (closing.error is None) == (ending != "failed")


async def test_a_call_that_was_refused_early_is_recorded_with_what_was_known(run):
    record = run.record(headers=[(b"Authorization", b"Bearer hush")], known=False)
    record.key = ApiKey(id="k-9", name="mobile", digest="", project="apps")
    record.status = 400
    record.close("refused", OwnError("invalid_request_error", "invalid_request", "why"))

    exchange = run.read()
    assert (exchange.opening.key, exchange.opening.key_name, exchange.opening.project) == ("k-9", "mobile", "apps")
    assert exchange.opening.path == "/v1/chat/completions"
    assert exchange.closing.error == OwnError("invalid_request_error", "invalid_request", "why")
    assert exchange.closing.request_headers == (("Host", "gate.test"), ("Authorization", "***"))


async def test_credentials_reach_neither_headers_nor_trailers_of_the_record(run):
    secrets = (b"Cookie", b"X-Api-Key", b"x-faregate-key", b"api-key")
    record = run.record(headers=[*((name, b"hush") for name in secrets), (b"x-plain", b"seen")])
    record.response_headers = [(b"Set-Cookie", b"hush"), (b"x-id", b"seen")]
    record.response_trailers = [(b"x-secret", b"hush"), (b"x-sum", b"seen")]
    record.attempts.append(Attempt("openai", "1", 5, 200))
    record.open()
    record.close("complete")

    closing = run.read().closing
    assert "hush" not in repr(closing)
    assert repr(closing).count("seen") == 3
    assert [name for name, _ in closing.request_headers] == [
        HOST[0].decode(),
        "Cookie",
        "X-Api-Key",
        "x-faregate-key",
        "api-key",
        "x-plain",
    ]
    for run_file in run.root.rglob("*"):
        if run_file.is_file():
            assert b"hush" not in run_file.read_bytes()


@pytest.mark.parametrize(
    ("times", "overhead"),
    [
        ({"ready_us": 10, "sent_us": 60, "first_byte_us": 500, "passed_us": 530}, 80),
        ({"ready_us": 10, "sent_us": 60}, 50),
        ({"ready_us": 60, "sent_us": 10, "first_byte_us": 500, "passed_us": 400}, 0),
        ({"sent_us": 10}, None),
        ({}, None),
    ],
)
async def test_our_own_time(run, times, overhead):
    record = run.record()
    for name, value in times.items():
        setattr(record, name, value)
    record.open()
    record.close("complete")

    assert run.read().closing.overhead_us == overhead


async def test_tries_before_the_last_one_and_pauses_between_them_are_not_our_own_time(run):
    """The first try began 90 us after the request was whole, failed after 5 s, and the last one was sent 100 us after it began."""
    record = run.record()
    record.attempts = [Attempt("a", "1", at) for at in (10**18, 10**18 + 2 * 10**9, 10**18 + 6 * 10**9)]
    record.ready_us, record.sent_us, record.first_byte_us, record.passed_us = 100, 6_000_290, 7_000_000, 7_000_050
    record.close("complete")

    assert run.read().closing.overhead_us == 90 + 100 + 50


@pytest.mark.parametrize(("hours", "overhead"), [(1, 0), (-1, 200)], ids=["put on", "put back"])
async def test_a_clock_that_is_set_between_two_tries_makes_no_hours_of_our_own_time(run, hours, overhead):
    record = run.record()
    record.attempts = [Attempt("a", "1", at) for at in (10**18, 10**18 + hours * 3_600 * 10**9)]
    record.ready_us, record.sent_us = 100, 300
    record.close("complete")

    assert run.read().closing.overhead_us == overhead


# The barrier


async def test_an_answer_may_begin_when_its_opening_is_on_disk(run):
    record = run.record(RecordingRules(barrier_seconds=30))
    record.open()
    await record.synced()

    assert record.begun
    assert run.writer.counters.barrier_timeouts == 0


async def test_without_a_barrier_nobody_waits(run):
    record = run.record(RecordingRules(barrier="off"))
    record.open()

    assert record.begun
    await record.synced()


async def test_the_exact_barrier_waits_for_the_end_too(run):
    record = run.record(RecordingRules(barrier="exact", barrier_seconds=30))
    record.open()
    record.close("complete")
    await record.synced()

    assert record.exact
    assert run.writer.counters.barrier_timeouts == 0
    assert run.writer.counters.records == 2


async def test_a_barrier_that_is_not_met_is_counted_and_lets_go(run):
    record = run.record(RecordingRules(barrier_seconds=0.05))
    record._ticket = run.writer.synced + 100  # a record that never comes to the disk

    await asyncio.wait_for(record.synced(), 30)

    assert run.writer.counters.barrier_timeouts == 1
