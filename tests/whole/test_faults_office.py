"""The office stands still, or is not there at all: calls are served, pages say that it is away, and everything is recorded when it is back."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.faults import asked, processes, running, standing_still, token
from tests.harness.gate import ROOT, Gate, environment, run_gate
from tests.harness.records import Records
from tests.harness.steps import answer
from tests.harness.traffic import Traffic, call_once, recorded_once, settles
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import KEYS, upstream_table

pytestmark = pytest.mark.slow
BOUNDED = 30.0
HELD_UP = 8.0  # the gate itself gives a silent office up after 12 s
PAGES = ("/", "/api/v1/calls", "/api/v1/keys", "/api/v1/stream")


@pytest.fixture
def config(upstream: ScriptedUpstream) -> str:
    upstream.plan(answer(OK))
    return upstream_table("openai", upstream.port) + KEYS


def says_away(got: Answer) -> bool:
    """Return whether an answer says in the form of the API that the office is away."""
    if got.status != 503 or got.header("content-type") != "application/problem+json":
        return False
    return bool(json.loads(got.body.data)["status"] == 503)


@pytest.mark.parametrize("warm", [False, True], ids=["new connections", "kept connections"])
def test_an_office_that_stands_still_holds_nothing_up(warm: bool, config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        admin = token(gate)
        with Traffic(gate.address) as traffic:
            traffic.more(10)
            if warm:
                until(lambda: asked(gate, "/api/v1/calls", admin).status == 200, "the office does not answer")
            with standing_still(processes(gate, "office")):
                before = len(traffic.seconds)
                with ThreadPoolExecutor(len(PAGES)) as pool:
                    answers = list(pool.map(partial(asked, gate, token=admin, patience=BOUNDED), PAGES))
                assert [says_away(got) for got in answers] == [True] * len(PAGES), answers
                assert json.loads(asked(gate, "/readyz", patience=BOUNDED).body.data)["ready"] is True
                assert asked(gate, "/metrics").status == 200
                traffic.more(50)
                assert max(traffic.seconds[before:]) < HELD_UP
            traffic.more(10)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())
        assert asked(gate, "/api/v1/calls", admin).status == 200


def test_many_who_ask_an_office_that_stands_still_hold_up_nobody(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        admin = token(gate)
        with standing_still(processes(gate, "office")), Traffic(gate.address, threads=2) as traffic:
            asking = [_begun(gate, admin) for _ in range(300)]
            traffic.more(50)
            assert max(traffic.seconds) < HELD_UP
            for each in asking:
                each.close()
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())
        settles(lambda: asked(gate, "/api/v1/calls", admin).status == 200, "the office does not answer again")


def _begun(gate: Gate, admin: str):
    client = RawClient(gate.address)
    client.send(f"GET /api/v1/calls HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {admin}\r\n\r\n".encode())
    return client


def test_a_gate_without_an_office_serves_and_an_office_that_comes_later_records(config: str, tmp_path: Path) -> None:
    gate = run_gate(config, data=tmp_path, command=("-m", "gateway", "gate"))
    office: subprocess.Popen[bytes] | None = None
    try:
        with Traffic(gate.address) as traffic:
            traffic.more(30)
            started = time.monotonic()
            assert says_away(asked(gate, "/api/v1/calls", token(gate)))
            assert says_away(asked(gate, "/"))
            assert time.monotonic() - started < HELD_UP
            assert json.loads(asked(gate, "/readyz").body.data) == {"ready": True, "reasons": [], "office": "away"}
            office = _office(gate, tmp_path)
            with Records(gate) as records:
                recorded_once(records, traffic.ids())
                office.kill()
                office.wait(10)
                meanwhile = traffic.more(20)
                settles(lambda: says_away(asked(gate, "/api/v1/calls", token(gate))), "the office is not missed")
                office = _office(gate, tmp_path)
                recorded_once(records, meanwhile)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        with Records(gate) as records:
            recorded_once(records, traffic.ids())
    finally:
        if office is not None:
            office.terminate()
            office.wait(20)
        gate.stop()


def _office(gate: Gate, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway", "office", "--config", str(folder / "faregate.toml"), "--data", str(gate.data)]
    with (folder / "office.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def test_an_office_that_keeps_dying_is_said_and_comes_back(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        with Traffic(gate.address) as traffic:
            recorded_once(records, traffic.more(5))
            # Three times within its first seconds: a crash loop.
            for _ in range(3):
                settles(lambda: bool(processes(gate, "office")), "the office is not started again")
                for pid in processes(gate, "office"):
                    os.kill(pid, signal.SIGKILL)
                traffic.more(5)
            until(lambda: "keeps ending" in gate.said(), "a crash loop is not said")
            traffic.more(5)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())


def test_the_gateway_stops_in_time_while_its_office_stands_still(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate:
        call = call_once(gate.address).header("x-faregate-call")
        with standing_still(processes(gate, "office")):
            gate.terminate()
            until(lambda: not gate.alive, "the gateway does not stop", 60)
    with running(config, tmp_path) as gate, Records(gate) as records:
        assert records.one(call)["outcome"] == "ok"
