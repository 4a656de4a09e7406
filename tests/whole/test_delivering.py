"""Rules, destinations and the courier through whole gateways: what rules say is what arrives, whatever is killed, down, full or away."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.destinations import Payload
from tests.destinations.otlp_reading import attributes, spans_in
from tests.destinations.sink import Got, Reply, Sink
from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.faults import Postgres, asked, filled, postgres, processes, running, small_disk, token
from tests.harness.gate import ROOT, Gate, environment, free_port
from tests.harness.records import Records
from tests.harness.steps import answer
from tests.harness.traffic import settles
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.pricing.shapes import chat
from tests.whole.test_canaries import files_with
from tests.wire.settings import KEYS, MANAGED, upstream_table

MARK = "canary7"
PROMPT = f"prompt-{MARK}-of-a-call"
# What rules read; `redact` of the settings masks it on the way.
PLANTED = "sk-" + f"proj-{MARK}abcdefghijklmnopqrstuvwxyz0123456789"
HOOK_SECRET = "whsec_" + "Y2FuYXJ5N2NhbmFyeTdjYW5hcnk3Y2FuYXJ5N2NhbmFyeTc="
BEARER = f"{MARK}-bearer-of-a-header"
QUERY = f"{MARK}-in-a-query"
MANY = 30.0

RULES = """
[destinations.all]
type = "webhook"
url = "{sink}/all?token={query}"
secret = "{secret}"
allow_private = true
headers = {{ "x-token" = "{bearer}" }}

[destinations.bare]
type = "otlp"
url = "{sink}/bare"
allow_private = true
encoding = "protobuf"
headers = {{ "authorization" = "Bearer {bearer}" }}

[destinations.left]
type = "webhook"
url = "{sink}/left"
secret = "{secret}"
allow_private = true

[destinations.right]
type = "webhook"
url = "{sink}/right"
secret = "{secret}"
allow_private = true

[destinations.some]
type = "webhook"
url = "{sink}/some"
secret = "{secret}"
allow_private = true

[destinations.files]
type = "folder"
path = "{folder}"
flush = "100ms"

[destinations.echoes]
type = "webhook"
url = "{sink}/echoes?key={query}"
secret = "{secret}"
allow_private = true
headers = {{ "authorization" = "Bearer {bearer}" }}

[destinations.spare]
type = "webhook"
url = "{sink}/spare"
secret = "{secret}"
allow_private = true

[destinations.loopback]
type = "otlp"
url = "https://127.0.0.1:4318"

[destinations.metadata]
type = "otlp"
url = "https://169.254.169.254"
allow_private = true

[destinations.six]
type = "otlp"
url = "https://[::1]:4318"

[destinations.inner]
type = "otlp"
url = "https://10.0.0.1:4318"

[[rules]]
name = "acme keeps its texts"
when = 'customer == "acme"'
content = "none"

[[rules]]
name = "all"
send_to = ["all", "files"]
set = {{ "cost.center" = 'has(tags.team) ? tags.team + "/" + project : project' }}

[[rules]]
name = "bare"
send_to = ["bare"]
content = "none"

[[rules]]
name = "a taste"
send_to = ["some"]
sample = 0.3
always = 'status == 400'

[[rules]]
name = "sides"
when = 'session != null'
split = {{ left = 1, right = 1 }}

[[rules]]
name = "not our tests"
when = 'env == "ci"'
drop = true

[[rules]]
name = "a place to go"
when = 'tags.echo == "yes"'
send_to = ["echoes"]
otherwise = "spare"

[[rules]]
name = "nowhere"
when = 'tags.nowhere == "yes"'
send_to = ["loopback", "metadata", "six", "inner"]

[[rules]]
name = "what happens"
events = ["destination.*"]
send_to = ["spare"]
"""


def sized(status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d Oh\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


ANSWERED = {"id": "c", "model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]}
FINE = answer(sized(200, ANSWERED | {"usage": chat(1_000, 100)}))


def called(gate: Gate, text: str = PROMPT, **labels: str) -> str:
    """Make one call, and return its id."""
    headers = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in labels.items()).encode()
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()
    with RawClient(gate.address) as client:
        client.send(request(body=body, headers=headers, credential=b"Bearer " + MANAGED.encode()))
        id_ = client.answer().header("x-faregate-call")
    assert id_
    return id_


def api(gate: Gate, path: str, **body: Any) -> Any:
    """Ask the admin API; with a body, by POST."""
    headers = {"authorization": f"Bearer {token(gate)}"}
    with httpx.Client(base_url=gate.url, headers=headers, trust_env=False, timeout=60) as client:
        got = client.post(path, json=body) if body else client.get(path)
    assert got.status_code < 300, got.text
    return got.json()


def counts(gate: Gate, name: str) -> dict[str, int]:
    """Return the counts of one destination, whose sum must be right at any moment."""
    found = next(one for one in api(gate, "/api/v1/destinations")["destinations"] if one["name"] == name)["counts"]
    assert found["accepted"] == found["delivered"] + found["pending"] + found["dead"]
    return found


def at(sink: Sink, path: str) -> list[dict[str, Any]]:
    """Return what came to a webhook at `path`."""
    return [json.loads(one.body) for one in list(sink.got) if one.path.partition("?")[0] == path]


def calls_at(sink: Sink, path: str) -> Counter[str]:
    """Return how often each call came to a webhook at `path`."""
    return Counter(one["data"]["id"] for one in at(sink, path) if one["type"].startswith("gateway.request"))


def in_files(folder: Path) -> list[dict[str, Any]]:
    """Return the calls in the objects of a folder."""
    return [json.loads(line) for file in folder.rglob("*.jsonl.gz") for line in gzip.decompress(file.read_bytes()).splitlines()]


def answering(got: Got) -> Reply:
    """Take everything, but at one path say it all back and refuse."""
    if got.path.startswith("/echoes"):
        said = json.dumps({"error": got.body.decode(), "path": got.path, "headers": dict(got.headers)})
        return Reply(400, said.encode())
    return Reply(200)


def command(gate: Gate, *arguments: str, code: int | None = 0) -> str:
    """Run one of our commands on a running gateway, and return all that it said."""
    folder = gate.data.parent
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gateway", *arguments],
        cwd=folder,
        env=environment(folder) | {"PYTHONPATH": str(ROOT), "FAREGATE_DATA": str(gate.data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, said
    assert "Traceback" not in said
    return said


@dataclass(slots=True)
class Told:
    """A gateway on which calls were made, and what came of them."""

    gate: Gate
    sink: Sink
    folder: Path
    calls: dict[str, str]
    sessions: dict[str, list[str]]


@pytest.fixture(scope="module")
def told(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Run a gateway with rules of all kinds, make calls of all kinds, and wait until nothing waits that can go out."""
    upstream.plan(FINE)
    data, folder = tmp_path_factory.mktemp("telling"), tmp_path_factory.mktemp("files")
    with Sink(answering) as sink:
        rules = RULES.format(sink=sink.url, folder=folder, secret=HOOK_SECRET, bearer=BEARER, query=QUERY)
        with running(upstream_table("openai", upstream.port) + KEYS + rules, data) as gate:
            calls = {
                "plain": called(gate),
                "secret": called(gate, f"{PROMPT} {PLANTED}"),
                "acme": called(gate, x_faregate_customer="acme"),
                "ci": called(gate, x_faregate_env="ci"),
                "team": called(gate, x_faregate_tags="team=ads"),
                "echo": called(gate, x_faregate_tags="echo=yes"),
                "nowhere": called(gate, x_faregate_tags="nowhere=yes"),
                "run 1": called(gate, x_faregate_run="agent-7"),
                "run 2": called(gate, x_faregate_run="agent-7"),
                "parent 1": called(gate, traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01"),
                "parent 2": called(gate, traceparent=f"00-{'ab' * 16}-{'ce' * 8}-01"),
            }
            sessions = {f"s{n}": [called(gate, x_faregate_session=f"s{n}") for _ in range(2)] for n in range(12)}
            with Records(gate) as records:
                assert records.missing({*calls.values(), *(id_ for ids in sessions.values() for id_ in ids)}) == set()
            until(lambda: _quiet(gate), "something still waits", MANY)
            yield Told(gate, sink, folder, calls, sessions)


def _quiet(gate: Gate) -> bool:
    names = ("all", "bare", "left", "right", "some", "files", "echoes")
    nowhere = ("loopback", "metadata", "six", "inner")
    return not any(counts(gate, name)["pending"] for name in names) and all(
        one["state"] == "misconfigured" for one in api(gate, "/api/v1/destinations")["destinations"] if one["name"] in nowhere
    )


def test_what_rules_say_is_what_arrives(told: Told) -> None:
    calls, sessions = told.calls, told.sessions
    everything = {*calls.values(), *(id_ for ids in sessions.values() for id_ in ids)} - {calls["ci"]}
    assert calls_at(told.sink, "/all") == Counter(everything)
    assert Counter(one["id"] for one in in_files(told.folder)) == Counter(everything)
    by_id = {one["data"]["id"]: one["data"] for one in at(told.sink, "/all")}
    assert PROMPT in json.dumps(by_id[calls["plain"]]["request"])
    assert PROMPT in json.dumps(by_id[calls["secret"]]["request"])
    assert PLANTED not in json.dumps(at(told.sink, "/all")) + json.dumps(in_files(told.folder))
    assert by_id[calls["acme"]]["request"] is None
    assert by_id[calls["team"]]["attributes"]["cost.center"] == "ads/default"
    assert by_id[calls["plain"]]["attributes"]["cost.center"] == "search/default"
    assert calls_at(told.sink, "/echoes") == Counter([calls["echo"]])


def test_samples_and_splits_keep_sessions_whole(told: Told) -> None:
    left, right, some = (set(calls_at(told.sink, path)) for path in ("/left", "/right", "/some"))
    for ids in told.sessions.values():
        assert (set(ids) <= left) != (set(ids) <= right)
        assert set(ids) <= some or not set(ids) & some
    assert left | right == {id_ for ids in told.sessions.values() for id_ in ids}
    assert left
    assert right


def test_a_run_and_a_traceparent_are_one_trace_each_and_an_unknown_parent_makes_no_orphan(told: Told) -> None:
    payloads = [Payload(one.body, one.headers["content-type"], ()) for one in told.sink.got if one.path.startswith("/bare")]
    spans = {attributes(one)["faregate.call_id"]: one for payload in payloads for one in spans_in(payload)}
    found = {name: spans[id_] for name, id_ in told.calls.items() if id_ in spans}
    assert set(found) == set(told.calls) - {"ci"}
    assert found["run 1"].trace_id == found["run 2"].trace_id != found["plain"].trace_id
    assert found["parent 1"].trace_id == found["parent 2"].trace_id == bytes.fromhex("ab" * 16)
    assert {one.parent_span_id for one in spans.values()} == {b""}
    assert PROMPT.encode() not in b"".join(payload.body for payload in payloads)


def test_each_call_shows_decisions_and_deliveries(told: Told) -> None:
    shown = api(told.gate, f"/api/v1/calls/{told.calls['team']}")
    rules = {one["rule"]: one for one in shown["rules"]}
    assert rules["all"]["matched"] is True
    assert rules["acme keeps its texts"]["matched"] is False
    assert {"all", "files", "bare"} <= {one["destination"] for one in shown["deliveries"] if one["state"] == "delivered"}
    dropped = api(told.gate, f"/api/v1/calls/{told.calls['ci']}")
    assert dropped["deliveries"] == []
    assert next(one for one in dropped["rules"] if one["rule"] == "not our tests")["matched"] is True
    owed = api(told.gate, f"/api/v1/calls/{told.calls['echo']}/deliveries")["deliveries"]
    (dead,) = (one for one in owed if one["destination"] == "echoes")
    assert (dead["state"], dead["kind"], dead["last_attempts"][-1]["status"]) == ("dead", "rejected", 400)


def test_an_address_that_is_not_allowed_is_refused_in_one_clear_sentence(told: Told) -> None:
    found = {one["name"]: one for one in api(told.gate, "/api/v1/destinations")["destinations"]}
    for name, address in (("loopback", "127.0.0.1"), ("six", "::1"), ("inner", "10.0.0.1")):
        assert f"{address}: it is a private address" in found[name]["last_error"]
        assert "allow_private = true" in found[name]["last_error"]
    assert "no destination may be at" in found["metadata"]["last_error"]
    said = [line for line in told.gate.said().splitlines() if "169.254.169.254" in line]
    assert len(said) == 1
    assert {counts(told.gate, name)["pending"] for name in ("loopback", "six", "inner", "metadata")} == {1}


def test_no_secret_and_no_prompt_is_said_anywhere(told: Told) -> None:
    """A destination that says back all that it got, secrets and prompt, is the worst of them."""
    gate, echo = told.gate, told.calls["echo"]
    paths = ("destinations", "destinations/echoes", "destinations/all", "deliveries?destination=echoes", "status", "rules", "replays")
    texts = {path: json.dumps(api(gate, f"/api/v1/{path}")) for path in paths}
    texts["deliveries"] = json.dumps(api(gate, f"/api/v1/calls/{echo}/deliveries"))
    texts["payload"] = json.dumps(api(gate, f"/api/v1/calls/{echo}/deliveries/echoes/payload")).replace(PROMPT, "")
    texts["metrics"] = asked(gate, "/metrics").body.data.decode()
    texts["log"] = gate.said()
    texts["events"] = json.dumps([one for one in at(told.sink, "/spare")])
    config = ("--config", str(gate.data.parent / "faregate.toml"))
    commands = (
        ("config", "show", *config),
        ("config", "show", "--json", *config),
        ("config", "check", *config),
        ("doctor", *config),
        ("rules", "list"),
        ("rules", "check", str(gate.data.parent / "faregate.toml")),
        ("destinations", "list"),
        ("destinations", "show", "echoes"),
        ("destinations", "test", "echoes"),
        ("destinations", "failed", "echoes"),
    )
    texts |= {" ".join(one): command(gate, *one, code=None) for one in commands}
    secrets = (HOOK_SECRET, HOOK_SECRET[6:], BEARER, QUERY, PROMPT, PLANTED)
    assert [(name, secret) for name, text in texts.items() for secret in secrets if secret in text] == []
    assert files_with(gate.data, [HOOK_SECRET, HOOK_SECRET[6:], BEARER, QUERY]) == {}


def test_credentials_in_a_url_are_refused_and_not_said(tmp_path: Path) -> None:
    file = tmp_path / "faregate.toml"
    file.write_text(f'[destinations.far]\ntype = "otlp"\nurl = "https://me:{MARK}@collector.example.com"\n')
    arguments = [sys.executable, "-P", "-m", "gateway", "config", "check", str(file)]
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment(tmp_path) | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "destinations.far.url: put credentials into settings of their own" in done.stderr
    assert MARK not in done.stderr + done.stdout
