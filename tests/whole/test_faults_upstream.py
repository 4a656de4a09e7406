"""An upstream that is down, silent or breaks off, and a caller that leaves: the answer that the app sees, and the record that is left."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.faults import running
from tests.harness.gate import Gate, free_port
from tests.harness.records import Records
from tests.harness.steps import AwaitClosed, Close, Flood, ReadBody, Reset, Script, Send, Signal, answer
from tests.harness.traffic import BODY, Traffic, recorded_once
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.whole.load import DELTA, HEAD, STREAM, call_in
from tests.wire.settings import HASTY, KEYS, MANAGED, POOL, upstream_table

KEY = b"Bearer " + MANAGED.encode()
UNREACHABLE = 'connect = "1s", first_byte = "30s", idle = "30s"'
SOON, LIMITS = 5.0, 10.0  # without a time limit; when a limit of one second is over, not one of thirty


@pytest.fixture(scope="module")
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full: connecting to it never ends."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def whole_gate(
    upstream: ScriptedUpstream, full_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gate, Records]]:
    tables = [
        upstream_table("openai", upstream.port),
        upstream_table("hasty", upstream.port, timeout=HASTY),
        upstream_table("gone", free_port()),
        upstream_table("full", full_port, timeout=UNREACHABLE),
        *(upstream_table(f"pool-{number}", upstream.port, keys=POOL, timeout=HASTY) for number in range(3)),
    ]
    with running("".join(tables) + KEYS, tmp_path_factory.mktemp("faults")) as gate, Records(gate) as records:
        yield gate, records


def call(gate: Gate, target: bytes, body: bytes = BODY) -> tuple[Answer, float]:
    started = time.monotonic()
    with RawClient(gate.address) as client:
        client.send(request(target=target + b"/chat/completions", body=body, credential=KEY))
        got = client.answer()
    return got, time.monotonic() - started


NEVER: Script = (ReadBody(), AwaitClosed())
FAILED: Script = answer(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}")
LIMITED: Script = answer(b"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\n{}")
BEFORE_THE_FIRST_BYTE = {
    "refused": (b"/gone/v1", (), 502, [None], SOON),
    "never connected": (b"/full/v1", (), 504, [None], LIMITS),
    "reset": (b"/openai/v1", ((ReadBody(), Reset()),), 502, [None], SOON),
    "closed": (b"/openai/v1", ((ReadBody(), Close()),), 502, [None], SOON),
    "half a head": (b"/openai/v1", ((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-"), Close()),), 502, [None], SOON),
    "no HTTP": (b"/openai/v1", ((ReadBody(), Send(b"SSH-2.0-x\r\n\r\n"), Close()),), 502, [None], SOON),
    "silent": (b"/hasty/v1", (NEVER,), 504, [None], LIMITS),
    "all of a pool": (b"/pool-0/v1", ((ReadBody(), Reset()), NEVER, (ReadBody(), Reset())), 502, [None, None, None], LIMITS),
    "the last of a pool answers": (b"/pool-1/v1", (FAILED, (ReadBody(), Reset()), answer(OK)), 200, [500, None, 200], SOON),
    "the last of a pool fails": (b"/pool-2/v1", (LIMITED, (ReadBody(), Reset()), FAILED), 500, [429, None, 500], SOON),
}


@pytest.mark.parametrize("how", BEFORE_THE_FIRST_BYTE)
def test_down_before_the_first_byte(how: str, whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream) -> None:
    gate, records = whole_gate
    target, scripts, status, attempts, within = BEFORE_THE_FIRST_BYTE[how]
    upstream.plan(*(scripts or (answer(OK),)))
    got, seconds = call(gate, target)
    assert (got.status, got.body.ending) == (status, "complete")
    assert seconds < within
    record = records.one(got.header("x-faregate-call"))
    assert [attempt["status"] for attempt in record["attempts"]] == attempts
    assert all((attempt["error"] is None) == (attempt["status"] is not None) for attempt in record["attempts"])
    assert (record["status"], record["outcome"]) == (status, "ok" if status == 200 else "error")
    if status in {502, 504}:
        assert got.header("x-should-retry") == "true"
        assert got.header("x-faregate-error-origin") == "gateway"
        assert record["error"]["code"] == {502: "upstream_unavailable", 504: "upstream_timeout"}[status]


WORDS = HEAD + 3 * (b"%x\r\n%b\r\n" % (len(DELTA), DELTA))
SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + b'{"id":"half'
CUTS = {
    "a stream, by FIN": (STREAM, (ReadBody(), Send(WORDS), Close()), 3 * DELTA),
    "a stream, by RST": (STREAM, (ReadBody(), Send(WORDS), Signal("sent"), AwaitClosed()), 3 * DELTA),
    "an answer with a length": (BODY, (ReadBody(), Send(SIZED), Close()), b'{"id":"half'),
}


@pytest.mark.parametrize("how", CUTS)
def test_cut_in_mid_answer(how: str, whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream) -> None:
    gate, records = whole_gate
    body, script, data = CUTS[how]
    upstream.plan(script)
    with RawClient(gate.address) as client:
        client.send(request(body=body, credential=KEY))
        client.until_got(data[-5:])
        if how.endswith("RST"):
            upstream.wait("sent")
            upstream.hang_up()
        got = client.answer()
    assert got.body.data == data
    assert got.body.ending in {"closed", "reset"}
    record = records.one(got.header("x-faregate-call"))
    assert (record["outcome"], record["status"], record["response_bytes"]) == ("error", 200, len(data))
    assert record["error"] is not None
    if body is STREAM:
        assert record["output"]["choices"][0]["message"]["content"] == "word word word "


def test_silence_in_mid_stream_ends_as_a_cut(whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream) -> None:
    gate, records = whole_gate
    upstream.plan((ReadBody(), Send(WORDS), AwaitClosed()))
    got, seconds = call(gate, b"/hasty/v1", STREAM)
    assert (got.status, got.body.data) == (200, 3 * DELTA)
    assert got.body.ending in {"closed", "reset"}
    assert seconds < LIMITS
    assert records.one(got.header("x-faregate-call"))["outcome"] == "error"


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_a_caller_that_leaves_a_stream_is_recorded_with_what_was_produced(
    reset: bool, whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream
) -> None:
    gate, records = whole_gate
    upstream.plan((ReadBody(), Send(WORDS), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(request(body=STREAM, credential=KEY))
        for _ in range(3):
            client.until_got(b"word")
        number = call_in(b"".join(piece for _, piece in client.pieces))
        client.close(reset=reset)
    record = records.one(number)
    assert (record["outcome"], record["status"], record["response_bytes"]) == ("cancelled", 200, 3 * len(DELTA))
    assert record["output"]["choices"][0]["message"]["content"] == "word word word "
    until(lambda: upstream.received[0].link.ended is not None, "the upstream was not closed")


def test_a_caller_that_leaves_before_the_first_byte_is_recorded(
    whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream
) -> None:
    gate, records = whole_gate
    upstream.plan((ReadBody(), Signal("asked"), AwaitClosed()))
    before = {record["id"] for record in records.all()}
    with RawClient(gate.address) as client:
        client.send(request(body=STREAM, credential=KEY))
        upstream.wait("asked")
    upstream.plan(answer(OK))
    last, _ = call(gate, b"/openai/v1")
    records.one(last.header("x-faregate-call"))
    (left,) = [each for each in records.all() if each["id"] not in before and each["id"] != last.header("x-faregate-call")]
    assert (left["outcome"], left["status"], left["response_bytes"]) == ("cancelled", None, 0)
    assert left["attempts"][0]["error"] is not None


def test_a_large_answer_leaves_a_connection_that_the_next_call_can_use(
    whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream
) -> None:
    gate, records = whole_gate
    body = b'"' + b"x" * 400_000 + b'"'
    upstream.plan(answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))
    with Traffic(gate.address, threads=4, pause=0.001) as traffic:
        traffic.more(60)
    assert (set(traffic.statuses), traffic.failed) == ({200}, [])
    recorded_once(records, traffic.ids())


def test_a_slow_reader_of_a_large_answer_leaves_a_connection_that_the_next_call_can_use(
    whole_gate: tuple[Gate, Records], upstream: ScriptedUpstream
) -> None:
    gate, _ = whole_gate
    # Somewhere between what the network holds and what is too much, the reader is behind just when the answer ends.
    for size in range(100_000, 6_000_000, 400_000):
        upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size), Flood(1, size), Signal("sent")))
        with RawClient(gate.address, receive_buffer=16_384) as client:
            client.send(request(body=BODY, credential=KEY))
            client.until_got(b"\r\n\r\n")
            with suppress(TimeoutError):
                upstream.wait("sent", 0.1)
            assert len(client.answer().body.data) == size
