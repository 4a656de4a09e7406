"""A gateway that is told to stop lets its streams finish, takes nothing new, records everything and ends with code 0."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.faults import running
from tests.harness.gate import Gate
from tests.harness.messages import Ended
from tests.harness.records import Records
from tests.harness.steps import Await, ReadBody, Send, answer
from tests.harness.traffic import call_once, recorded_once
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.whole.load import DELTA, DONE, HEAD, STREAM, USAGE, call_in
from tests.wire.settings import KEYS, upstream_table

pytestmark = pytest.mark.slow
STREAMS = 20


def framed(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def test_streams_finish_and_everything_is_recorded(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = upstream_table("openai", upstream.port) + KEYS
    end = framed(DELTA, USAGE, DONE) + b"0\r\n\r\n"
    with running(config, tmp_path) as gate:
        upstream.plan(answer(OK))
        before = {str(call_once(gate.address).header("x-faregate-call")) for _ in range(20)}
        upstream.plan((ReadBody(), Send(HEAD + framed(DELTA)), Await("go"), Send(end)))
        clients = [RawClient(gate.address) for _ in range(STREAMS)]
        try:
            streams = {_begin(client) for client in clients}
            gate.terminate()
            until(partial(_refuses, gate), "new calls are still taken, or refused without a word")
            assert gate.alive
            upstream.signal("go")
            answers = [client.answer() for client in clients]
        finally:
            for client in clients:
                client.close()
        assert {one.body.ending for one in answers} == {"complete"}
        assert {one.body.data for one in answers} == {DELTA * 2 + USAGE + DONE}
        until(lambda: not gate.alive, "the gateway does not stop", 30)
        assert gate.process.returncode == 0
        assert "Traceback" not in gate.said()
    with running(config, tmp_path) as gate, Records(gate) as records:
        # Nothing was left for the next start: what there is was there at once.
        stored = {record["id"]: record for record in records.all()}
        assert before | streams <= set(stored)
        assert {stored[call]["outcome"] for call in before | streams} == {"ok"}
        recorded_once(records, before | streams)


def _begin(client: RawClient) -> str:
    client.send(request(body=STREAM))
    client.until_got(b"word")
    call = call_in(b"".join(piece for _, piece in client.pieces))
    assert call is not None
    return call


def _refuses(gate: Gate) -> bool:
    try:
        with RawClient(gate.address) as client:
            client.send(request(body=b'{"model":"gpt-4o"}'))
            got = client.answer(patience=0.5)  # one that is still taken has no answer yet
    except (OSError, Ended):
        return False
    return got.status == 503 and json.loads(got.body.data)["error"]["code"] == "draining"


def test_streams_that_do_not_finish_in_time_are_cut_and_recorded(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = '[server]\ndrain = "1s"\n' + upstream_table("openai", upstream.port) + KEYS
    upstream.plan((ReadBody(), Send(HEAD + framed(DELTA)), Await("never")))
    with running(config, tmp_path) as gate:
        with RawClient(gate.address) as client:
            call = _begin(client)
            gate.terminate()
            assert client.answer().body.ending in {"closed", "reset"}
        until(lambda: not gate.alive, "the gateway does not stop", 20)
        assert gate.process.returncode == 0
    with running(config, tmp_path) as gate, Records(gate) as records:
        record = records.one(call)
        assert record["outcome"] in {"cancelled", "interrupted", "error"}
        assert record["output"]["choices"][0]["message"]["content"] == "word "
