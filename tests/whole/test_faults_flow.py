"""A caller that reads 200 MB at 1 MB/s costs the gate little memory, and the upstream is let go as soon as the caller is."""

import threading
import time
from pathlib import Path

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.faults import processes, running
from tests.harness.gate import resident
from tests.harness.records import Records
from tests.harness.steps import Flood, ReadBody, Send
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.whole.load import call_in
from tests.wire.settings import KEYS, upstream_table

pytestmark = pytest.mark.slow
MEGABYTE = 1_000_000
WHOLE = 200 * MEGABYTE
SECONDS = 4
MOST = 32 * 2**20
AT_ONCE = 5.0  # nothing but the caller's leaving ends it before a time limit of 30 s does
GATES = {"length": b"Content-Length: %d\r\n" % WHOLE, "close": b"Connection: close\r\n"}


@pytest.mark.parametrize("framing", GATES)
def test_a_slow_reader_costs_little_and_its_leaving_is_noticed(framing: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n" + GATES[framing] + b"\r\n"
    upstream.plan((ReadBody(), Send(head), Flood(WHOLE // 65536, 65536)))
    config = "[record]\ncopy_mb = 2\n" + upstream_table("openai", upstream.port) + KEYS
    with running(config, tmp_path) as gate, Records(gate) as records:
        (pid,) = processes(gate, "gate")
        before = resident(pid)
        with RawClient(gate.address, receive_buffer=65_536) as client:
            client.send(request(b"GET", b"/v1/files/big/content"))
            client.until_got(b"\r\n\r\n")
            call = call_in(b"".join(piece for _, piece in client.pieces))
            (received,) = upstream.wait_for(1)
            grown = _read_slowly(client, lambda: resident(pid) - before)
            assert max(grown) < MOST, grown
            assert received.link.ended is None
            left = time.monotonic()
        until(lambda: received.link.ended_at is not None, "the upstream is not let go")
        assert (received.link.ended_at or 0) - left < AT_ONCE
        record = records.one(call)
        assert (record["outcome"], record["content"]) == ("cancelled", "cut")


def _read_slowly(client: RawClient, grown) -> list[int]:
    """Read a megabyte a second, in ten portions each; return what `grown` said after each second."""
    client.pieces.clear()
    pause = threading.Event()
    sizes = []
    taken = 0
    started = time.monotonic()
    for tenth in range(1, SECONDS * 10 + 1):
        while taken < tenth * MEGABYTE // 10:
            taken += len(client.read_some())
        client.pieces.clear()
        pause.wait(max(0.0, started + tenth / 10 - time.monotonic()))
        if tenth % 10 == 0:
            sizes.append(grown())
    return sizes
