"""Bad configuration refuses the start and names the field; later, the old settings stay, and a good file is taken without a restart."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.faults import asked, processes, running, token
from tests.harness.gate import ROOT, Gate, environment, free_port
from tests.harness.records import Records
from tests.harness.steps import Await, ReadBody, Send, answer
from tests.harness.traffic import Traffic, recorded_once, settles
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.whole.load import HEAD, STREAM
from tests.wire.settings import KEYS, MANAGED, upstream_table

SECRET = "sk-" + "never-to-be-shown-0001"
BAD = {
    "an unknown field": ("[record]\nbarier = 'begin'\n", "record.barier"),
    "a wrong type": ("[record]\nbarrier_ms = 'soon'\n", "record.barrier_ms"),
    "out of range": ("[server]\nworkers = 0\n", "server.workers"),
    "an unknown choice": ("[record]\non_full = 'drop'\n", "record.on_full"),
    "a bad address": (f"[upstreams.mine]\nbase_url = 'localhost'\napi_key = '{SECRET}'\n", "upstreams.mine.base_url"),
    "an unset variable": ("[upstreams.mine]\nbase_url = 'http://h/v1'\napi_key = '${NO_SUCH_KEY}'\n", "NO_SUCH_KEY"),
    "no TOML": ("[server\nport = 1\n", "faregate.toml"),
    "a store we do not know": (f"[storage]\ndatabase_url = 'mysql://u:{SECRET}@h/d'\n", "storage.database_url"),
}


@pytest.mark.parametrize("command", ["up", "gate", "office"])
@pytest.mark.parametrize("how", BAD)
def test_a_bad_file_refuses_the_start_and_names_the_field(how: str, command: str, tmp_path: Path) -> None:
    text, named = BAD[how]
    file = tmp_path / "faregate.toml"
    file.write_text(text)
    arguments = [sys.executable, "-m", "gateway", command, "--config", str(file), "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [*arguments, "--port", str(free_port())],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode in {1, 2}, said
    assert named in said
    assert "Traceback" not in said
    assert SECRET not in said
    assert said.count("\n") < 12


def served(gate: Gate, target: bytes) -> int:
    with RawClient(gate.address) as client:
        client.send(request(target=target, body=b'{"model":"gpt-4o","messages":[]}', credential=b"Bearer " + MANAGED.encode()))
        return client.answer().status


def test_settings_change_without_a_restart_and_bad_ones_are_not_taken(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.plan(answer(OK))
    good = upstream_table("openai", upstream.port) + KEYS
    file = tmp_path / "faregate.toml"
    with running(good, tmp_path) as gate, Records(gate) as records, Traffic(gate.address) as traffic:
        pids, office = processes(gate, "gate"), processes(gate, "office")
        assert served(gate, b"/second/v1/chat/completions") in {401, 404}
        file.write_text(upstream_table("second", upstream.port) + "[record]\nbarier = 'off'\n" + good)
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: "The settings were not taken; the old ones stay" in gate.said(), "nothing is said of the bad file")
        assert "record.barier" in gate.said()
        traffic.more(5)
        assert served(gate, b"/second/v1/chat/completions") in {401, 404}
        file.write_text(upstream_table("second", upstream.port, keys=("sk-" + "of-the-second",)) + good)
        gate.process.send_signal(signal.SIGHUP)
        settles(lambda: served(gate, b"/second/v1/chat/completions") == 200, "the new upstream is not served")
        assert any(b"Bearer sk-of-the-second" in each.head.raw for each in upstream.received)
        traffic.more(5)
        settles(lambda: _office_is_anew(gate, office), "the office is not started anew", 30)
        # And away again, with what is bad in a way that only the whole shows.
        file.write_text('[server]\ndefault_upstream = "nowhere"\n' + good)
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: "server.default_upstream" in gate.said(), "nothing is said of the bad file")
        assert served(gate, b"/second/v1/chat/completions") == 200
        traffic.more(5)
        assert processes(gate, "gate") == pids
        settles(lambda: records.missing(traffic.ids(), 1) == set(), "calls are not recorded", 30)
    assert (set(traffic.statuses), traffic.failed) == ({200}, [])


def _office_is_anew(gate: Gate, old: list[int]) -> bool:
    now = processes(gate, "office")
    return bool(now) and now != old and asked(gate, "/api/v1/status", token(gate)).status == 200


@pytest.mark.parametrize("kind", ["gate", "office"])
def test_what_dies_while_the_file_is_bad_comes_back_with_the_old_settings(
    kind: str, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.plan(answer(OK))
    good = upstream_table("openai", upstream.port) + KEYS
    with running(good, tmp_path) as gate:
        (tmp_path / "faregate.toml").write_text("[record]\nbarier = 'off'\n" + good)
        (pid,) = processes(gate, kind)
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in processes(gate, kind), "it does not die")
        settles(lambda: served(gate, b"/v1/chat/completions") == 200, "calls are not served any more")
        settles(lambda: asked(gate, "/api/v1/status", token(gate)).status == 200, "the office does not come back")


def test_a_running_stream_outlives_a_reload(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    good = upstream_table("openai", upstream.port) + KEYS
    upstream.plan((ReadBody(), Send(HEAD + b"5\r\nfirst\r\n"), Await("go"), Send(b"4\r\nlast\r\n0\r\n\r\n")), answer(OK))
    with running(good, tmp_path) as gate, Records(gate) as records, RawClient(gate.address) as client:
        client.send(request(body=STREAM))
        client.until_got(b"first")
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: "The settings are read again" in gate.said(), "the reload is not said")
        settles(lambda: served(gate, b"/v1/chat/completions") == 200, "calls are not served")
        upstream.signal("go")
        got = client.answer()
        assert (got.body.data, got.body.ending) == (b"firstlast", "complete")
        recorded_once(records, {str(got.header("x-faregate-call"))})
