"""A slow side slows the other one, and the gate holds little of what is between them."""

import contextlib
import threading
import time

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.messages import Ended
from tests.harness.steps import Await, Flood, Linger, ReadBody, Send
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until

MEGABYTE = 1_000_000
WHOLE = 200 * MEGABYTE
MOST = 32 * 2**20
KERNEL = 16 * MEGABYTE


def test_a_slow_reader_costs_little_memory(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % WHOLE), Flood(WHOLE // 65536, 65536)))
    before = gate.rss()
    with RawClient(gate.address, receive_buffer=64 * 1024) as client:
        client.send(request(b"GET", b"/v1/files/big/content"))
        (received,) = upstream.wait_for(1)
        taken = 0
        while taken < 3 * MEGABYTE:
            taken += len(client.read_some())
        _until_still(lambda: received.flooded)
        assert gate.rss() - before < MOST
        assert received.flooded < taken + MOST + KERNEL
        while taken < 6 * MEGABYTE:
            taken += len(client.read_some())
        _until_still(lambda: received.flooded)
        assert received.flooded > taken
        assert gate.rss() - before < MOST


def test_a_slow_reader_of_a_chunked_stream_costs_little_memory(gate: Gate, upstream: ScriptedUpstream) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    upstream.plan((ReadBody(), head, *(Send(chunk) for _ in range(3000))))
    before = gate.rss()
    with RawClient(gate.address, receive_buffer=64 * 1024) as client:
        client.send(request(body=b'{"model":"gpt-4o","stream":true}'))
        upstream.wait_for(1)
        client.read_some()
        _until_still(gate.rss)
        assert gate.rss() - before < MOST


def test_a_slow_upstream_slows_the_sender(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Await("never"),))
    before = gate.rss()
    sent = 0
    with RawClient(gate.address) as client:
        client.send(
            request(target=b"/v1/files", headers=b"Content-Type: application/octet-stream\r\nContent-Length: 90000000\r\n")
        )
        client.send(b"x" * MEGABYTE)
        upstream.wait_for(1)
        upstream.stop_reading()
        with contextlib.suppress(Ended):
            while sent < 80 * MEGABYTE:
                client.send(b"x" * MEGABYTE, patience=1.0)
                sent += MEGABYTE
        assert gate.rss() - before < MOST
    assert sent < MOST + KERNEL
    upstream.hang_up()


def test_an_answer_as_a_whole_has_no_time_limit(gate: Gate, upstream: ScriptedUpstream) -> None:
    head = Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    pieces = [step for _ in range(8) for step in (Send(b"1\r\nx\r\n"), Linger(0.2))]  # longer than its limit of 1 s
    upstream.plan((ReadBody(), head, *pieces, Send(b"0\r\n\r\n")))
    with RawClient(gate.address) as client:
        client.send(request(target=b"/hasty/v1/chat/completions", body=b'{"model":"gpt-4o"}'))
        answer = client.answer()
    assert (answer.body.data, answer.body.ending) == (b"xxxxxxxx", "complete")


def test_a_slow_reader_is_not_taken_for_a_silent_upstream(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (20 * MEGABYTE)), Flood(20, MEGABYTE)))
    with RawClient(gate.address, receive_buffer=64 * 1024) as client:
        client.send(request(b"GET", b"/hasty/v1/files/big/content"))
        client.until_got(b"\r\n\r\n")
        threading.Event().wait(1.8)
        answer = client.answer(b"GET")
    assert (len(answer.body.data), answer.body.ending) == (20 * MEGABYTE, "complete")


def _until_still(value, seconds: float = 0.7) -> None:
    """Wait until `value` has not changed for `seconds`."""
    last, since = value(), time.monotonic()

    def still() -> bool:
        nonlocal last, since
        if (now := value()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    until(still, "it never came to rest", 60)
