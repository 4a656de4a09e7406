"""A gate that is asked to stop finishes what runs and takes nothing new."""

import json
from pathlib import Path

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import run_gate
from tests.harness.messages import Ended
from tests.harness.steps import Await, ReadBody, Send, Signal
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import PATIENCE, until
from tests.wire.settings import for_wire

STREAM = b'{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("asgi", [False, True], ids=["protocol", "asgi"])
def test_running_streams_finish_and_new_calls_are_told_to_come_back(
    asgi: bool, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    gate = run_gate(for_wire(upstream.port), asgi=asgi, data=tmp_path)
    upstream.plan((ReadBody(), Send(HEAD + b"5\r\nfirst\r\n"), Signal("begun"), Await("go"), Send(b"4\r\nlast\r\n0\r\n\r\n")))
    try:
        with RawClient(gate.address) as running:
            running.send(request(body=STREAM))
            running.until_got(b"first")
            gate.terminate()
            until(lambda: _told_to_come_back(gate.address, 0.3), "new calls are still taken, or refused without a word")
            before = len(upstream.received)
            assert _told_to_come_back(gate.address)
            assert gate.alive
            upstream.signal("go")
            answer = running.answer()
            assert (answer.body.data, answer.body.ending) == (b"firstlast", "complete")
        until(lambda: not gate.alive, "the gate does not stop")
        assert gate.process.returncode == 0
        assert len(upstream.received) == before
    finally:
        gate.stop()


def _told_to_come_back(address: tuple[str, int], patience: float = PATIENCE) -> bool:
    try:
        with RawClient(address) as client:
            client.send(request(body=b'{"model":"gpt-4o"}'))
            answer = client.answer(patience=patience)
    except (OSError, Ended):
        return False
    if answer.status != 503:
        return False
    error = json.loads(answer.body.data)["error"]
    return error["code"] == "draining" and answer.header("x-should-retry") == "true"


def test_a_gate_with_nothing_to_do_stops_at_once(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    gate = run_gate(for_wire(upstream.port), data=tmp_path)
    with RawClient(gate.address):
        gate.terminate()
        until(lambda: not gate.alive, "the gate does not stop", 15)  # a drain would take 20 s
    assert gate.process.returncode == 0
