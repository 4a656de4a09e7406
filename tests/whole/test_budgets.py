"""Budgets through a whole gateway of two workers: what is refused, held and settled, as the API shows it, while its processes are killed, too."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.faults import processes, standing_still
from tests.harness.gate import ROOT, Gate, environment, run_gate
from tests.harness.messages import Ended
from tests.harness.records import Records
from tests.harness.steps import Await, AwaitClosed, Linger, ReadBody, Reset, Script, Send
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.pricing.shapes import chat as usage_of
from tests.whole.conftest import UP
from tests.whole.test_estimates import call_of
from tests.whole.test_kill import kill
from tests.wire.settings import upstream_table

# A nano-USD and a half for a token read, three for one written.
PRICES = """
[server]
workers = 2

[[prices]]
id = "ours"
match = { model = "gpt-4o" }
per_million_usd = { input = "0.0015", output = "0.003" }
"""
KEYS: dict[str, str] = {
    "denied": 'limit_usd = "0.0000001"',
    "settled": 'limit_usd = "1"',
    "cut": 'limit_usd = "0.000005"\nmode = "balanced"',
    "crowd": 'limit_usd = "0.00002"',
    "without-office": 'limit_usd = "0.000003"',
    "without-gate": 'limit_usd = "1"',
    "late": 'limit_usd = "1"',
    "crowd-killed": 'limit_usd = "0.00006"',
    "tried": 'limit_usd = "1"',
    "tried-broken": 'limit_usd = "1"',
    "tried-once": 'limit_usd = "0.0000006"',
}
LIMITS = {"often": "rpm = 5", "much": "tpm = 500", "side-by-side": "parallel = 1"}
FREE = ("set-later", "set-by-command", "named", "customers")
TRIES = ("sk-" + "try-1", "sk-" + "try-2")
CUSTOMERS = '[[budgets]]\nscope = "each customer"\nlimit_requests = 2\nwindow = "total"\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DELTA = (
    b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
)


def secret(name: str) -> bytes:
    return f"fg-{name}-of-the-whole-budgets-0001".encode()


@pytest.fixture(scope="module")
def running(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    keys = [f'[keys.{name}]\nsecret = "{secret(name).decode()}"\n' for name in (*KEYS, *FREE)]
    keys += [f'[keys.{name}]\nsecret = "{secret(name).decode()}"\n{limit}\n' for name, limit in LIMITS.items()]
    budgets = [f'[[budgets]]\nscope = "key:{name}"\nwindow = "total"\n{with_mode(fields)}\n' for name, fields in KEYS.items()]
    upstreams = [upstream_table("openai", upstream.port)]
    upstreams += [upstream_table(name, upstream.port, keys=TRIES) for name in ("tries", "once")]
    config = PRICES + "".join(upstreams + keys + budgets) + CUSTOMERS
    gate = run_gate(config, data=tmp_path_factory.mktemp("budgets"), command=UP)
    until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
    with Records(gate) as records:
        until(lambda: all(one["ledger"] == "ok" for one in listed(records)), "the ledger is not there", 60)
    yield gate
    gate.stop()


@pytest.fixture
def gate(running: Gate) -> Gate:
    assert running.alive, running.said()[-2000:]
    return running


@pytest.fixture
def records(gate: Gate) -> Iterator[Records]:
    with Records(gate) as found:
        yield found


def with_mode(fields: str) -> str:
    return fields if "mode" in fields else f'{fields}\nmode = "strict"'


# Asking


def body(most: int = 100, **fields: Any) -> bytes:
    wanted = {"model": "gpt-4o", "max_tokens": most, "service_tier": "default", **fields}
    return json.dumps({**wanted, "messages": [{"role": "user", "content": "x"}]}).encode()


def answers(read: int, written: int) -> Script:
    content = json.dumps({"id": "c", "model": "gpt-4o", "choices": [], "usage": usage_of(read, written)}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    return (ReadBody(), Send(head + content))


def held_up(read: int, written: int) -> Script:
    """Return an answer that waits until it is told to go on."""
    first, *later = answers(read, written)
    return (first, Await("go on"), *later)


def call(gate: Gate, key: str, content: bytes | None = None, target: bytes = b"/v1/chat/completions") -> Answer:
    with RawClient(gate.address) as client:
        client.send(asked(key, content, target))
        return client.answer()


def asked(key: str, content: bytes | None = None, target: bytes = b"/v1/chat/completions") -> bytes:
    return request(target=target, body=body() if content is None else content, credential=b"Bearer " + secret(key))


def code_of(got: Answer) -> str | None:
    return None if got.status < 400 else str(json.loads(got.body.data)["error"]["code"])


def api(records: Records) -> httpx.Client:
    return records._client


def listed(records: Records) -> list[dict[str, Any]]:
    try:
        answer = api(records).get("/api/v1/budgets")
    except httpx.TransportError:
        return [{"ledger": "away"}]
    found: list[dict[str, Any]] = answer.json()["budgets"] if answer.status_code == 200 else [{"ledger": "away"}]
    return found


def sums(records: Records, key: str) -> tuple[int, int]:
    """Return what is spent and held of a key's budget, in nano-USD."""
    (one,) = [one for one in listed(records) if one.get("name") == f"key:{key}"] or [{"spent": None}]
    if one["spent"] is None:
        return -1, -1
    return nano(one["spent"]), nano(one["held"])


def nano(usd: str) -> int:
    whole, _, part = usd.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0"))


def owed(costs_usd: list[str]) -> int:
    """Return the sum of costs in nano-USD, each of them rounded up."""
    return sum(-(-int(cost.replace(".", "") + "0" * (12 - len(cost.partition(".")[2]))) // 1_000) for cost in costs_usd)


def settles(records: Records, key: str, spent: int) -> None:
    until(lambda: sums(records, key) == (spent, 0), f"spent of {key} is not {spent} and nothing held: {sums(records, key)}")


def run_out(gate: Gate) -> None:
    """Let an hour go by for every hold."""
    with closing(sqlite3.connect(gate.data / "ledger.db", timeout=30)) as ledger:
        ledger.execute("UPDATE holds SET lease = lease - 3600")
        ledger.commit()


# What is recorded and settled


def test_a_refused_call_is_recorded_as_denied_and_costs_nothing(gate: Gate, records: Records, upstream: ScriptedUpstream) -> None:
    upstream.plan(answers(10, 10))
    got = call(gate, "denied")
    assert (got.status, code_of(got), upstream.received) == (429, "insufficient_quota", [])
    record = records.one(got.header("x-faregate-call"))
    assert (record["outcome"], record["status"], record["error"]["code"]) == ("denied", 429, "insufficient_quota")
    assert (record["attempts"], record["cost_usd"], record["cost_status"]) == ([], None, "none")
    assert record["key"] == "denied"
    assert sums(records, "denied") == (0, 0)


def test_what_is_spent_is_the_sum_of_what_the_calls_cost_each_rounded_up(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    costs = []
    for read in (1, 2, 3, 777, 1_001):
        upstream.plan(answers(read, 5))
        costs.append(records.one(call(gate, "settled").header("x-faregate-call"))["cost_usd"])
    assert costs[0] == "0.0000000165"
    assert owed(costs) == 17 + 18 + 20 + 1_181 + 1_517
    settles(records, "settled", owed(costs))
    (listed_one,) = [one for one in listed(records) if one["name"] == "key:settled"]
    alone = api(records).get(f"/api/v1/budgets/{listed_one['id']}").json()
    assert (nano(alone["spent"]), nano(alone["held"])) == (owed(costs), 0)


def test_a_stream_that_was_cut_is_recorded_and_charged_for_what_was_sent(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    sent = DELTA * 1_050
    upstream.plan((ReadBody(), Send(HEAD), Send(b"%x\r\n%b\r\n" % (len(sent), sent)), AwaitClosed()))
    got = call(gate, "cut", body(9_000, stream=True))
    assert got.body.data.count(b"word") > 700
    assert b'"code": "insufficient_quota"' in got.body.data
    record = records.one(got.header("x-faregate-call"))
    assert (record["status"], record["error"]["code"]) == (200, "insufficient_quota")
    assert record["usage"]["output_tokens"] >= got.body.data.count(b"word")
    assert record["cost_status"] == "estimated"
    settles(records, "cut", owed([record["cost_usd"]]))


# Several tries


def fails(status: int) -> Script:
    return (ReadBody(), Send(b"HTTP/1.1 %d Oh\r\nContent-Length: 2\r\n\r\n{}" % status))


def test_of_several_tries_what_they_cost_is_spent(gate: Gate, records: Records, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(429), answers(20, 50))
    got = call(gate, "tried", target=b"/tries/v1/chat/completions")
    assert (got.status, got.header("x-faregate-attempts")) == (200, "2")
    settles(records, "tried", 180)


def test_a_try_that_was_refused_leaves_nothing_spent_behind(gate: Gate, records: Records, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(500), answers(20, 50))
    got = call(gate, "tried-once", target=b"/once/v1/chat/completions")
    assert (got.status, got.body.data, len(upstream.received)) == (500, b"{}", 1)
    record = records.one(got.header("x-faregate-call"))
    assert (record["outcome"], record["status"], len(record["attempts"])) == ("error", 500, 1)
    assert record["rules"][-1]["why"].startswith(
        ("once (credential 1) is not tried: Budget", "once (credential 2) is not tried: Budget")
    )
    settles(records, "tried-once", 0)


def test_a_try_that_broke_off_is_spent_as_it_was_held_beside_what_the_next_one_cost(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    upstream.plan((ReadBody(), Reset()), answers(20, 50))
    got = call(gate, "tried-broken", target=b"/tries/v1/chat/completions")
    assert (got.status, got.header("x-faregate-attempts")) == (200, "2")
    both = 10**9 - nano(got.header("x-faregate-budget-remaining-usd") or "")
    assert [one["status"] for one in records.one(got.header("x-faregate-call"))["attempts"]] == [None, 200]
    settles(records, "tried-broken", both // 2 + 180)


# Members


def test_each_customer_has_a_sum_of_its_own(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answers(10, 10))
    got = {
        name: [call(gate, "customers", target=b"/@customer=%b/v1/chat/completions" % name) for _ in range(3)]
        for name in (b"a", b"b")
    }
    assert {name: [one.status for one in each] for name, each in got.items()} == {b"a": [200, 200, 429], b"b": [200, 200, 429]}
    assert (got[b"a"][2].header("x-faregate-budget") or "").startswith("customer:a;limit=2;spent=")
    assert call(gate, "customers").status == 200


# Budgets that come and go


def refused_everywhere(gate: Gate, key: str) -> bool:
    """Return whether both workers refuse: each new connection may come to either."""
    return all(call(gate, key).status == 429 for _ in range(8))


def served_everywhere(gate: Gate, key: str) -> bool:
    return all(call(gate, key).status == 200 for _ in range(8))


def test_a_budget_that_is_set_or_removed_while_the_gateway_runs_holds_soon(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answers(10, 10))
    assert call(gate, "set-later").status == 200
    wanted = {"scope": "key:set-later", "limit_usd": "0.0000001", "window": "total", "mode": "strict"}
    made = api(records).post("/api/v1/budgets", json=wanted)
    assert made.status_code == 200, made.text
    until(lambda: refused_everywhere(gate, "set-later"), "the budget does not hold", 10)
    api(records).delete(f"/api/v1/budgets/{made.json()['id']}").raise_for_status()
    until(lambda: served_everywhere(gate, "set-later"), "the budget still holds", 10)


def test_a_budget_that_is_set_by_the_command_holds_soon(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answers(10, 10))
    command = ["budgets", "set", "key:set-by-command", "0.0000001/total", "--mode", "strict", "--status", "402"]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *command, "--data", str(gate.data)],
        cwd=ROOT,
        env=environment(gate.data.parent),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    until(lambda: all(call(gate, "set-by-command").status == 402 for _ in range(8)), "the budget does not hold", 10)


def test_keys_that_are_passed_through_have_budgets_too(gate: Gate, records: Records, upstream: ScriptedUpstream) -> None:
    upstream.plan(answers(10, 10))

    def passed() -> Answer:
        with RawClient(gate.address) as client:
            client.send(request(body=body(), credential=b"Bearer sk-" + b"their-own-0001"))
            return client.answer()

    record = records.one(passed().header("x-faregate-call"))
    for scope in (f"key:{record['key']}", "all"):
        wanted = {"scope": scope, "limit_requests": 0, "window": "total"}
        made = api(records).post("/api/v1/budgets", json=wanted)
        assert made.status_code == 200, made.text
        try:
            until(lambda: all(passed().status == 429 for _ in range(8)), f"the budget of {scope} does not hold", 10)
            assert call(gate, "named").status == (429 if scope == "all" else 200)
        finally:
            api(records).delete(f"/api/v1/budgets/{made.json()['id']}").raise_for_status()
        until(lambda: all(passed().status == 200 for _ in range(8)), f"the budget of {scope} still holds", 10)


# Limits of a key, over both workers


@pytest.mark.parametrize(("key", "served"), [("often", 5), ("much", 3)])
def test_a_keys_pace_is_kept_over_all_workers(key: str, served: int, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answers(10, 10))
    got = [call(gate, key) for _ in range(16)]
    assert [one.status for one in got].count(200) == served
    for one in got[served:]:
        assert code_of(one) == "rate_limit_exceeded"
        assert 0 < int(one.header("retry-after") or 0) <= 60
        unit = "requests" if key == "often" else "tokens"
        assert one.header(f"x-ratelimit-limit-{unit}") == {"often": "5", "much": "500"}[key]


def test_calls_at_once_are_counted_over_all_workers(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(held_up(10, 10), answers(10, 10))
    with RawClient(gate.address) as first:
        first.send(asked("side-by-side"))
        upstream.wait_for(1)
        assert {code_of(call(gate, "side-by-side")) for _ in range(8)} == {"rate_limit_exceeded"}
        upstream.signal("go on")
        assert first.answer().status == 200
    until(lambda: call(gate, "side-by-side").status == 200, "the place is not free again")


# Many at once


def test_fifty_callers_at_once_never_spend_more_than_the_limit(gate: Gate, records: Records, upstream: ScriptedUpstream) -> None:
    """A call holds some 440 nano-USD of 20,000, and costs 180. The provider's own bill is never above the limit."""
    upstream.plan(answers(20, 50))
    codes: list[str | None] = []
    lock = threading.Lock()

    def calls_until_refused(_: int) -> None:
        while True:
            got = call(gate, "crowd")
            with lock:
                codes.append(code_of(got))
            if code_of(got) == "insufficient_quota" or got.status >= 500:
                return

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(calls_until_refused, range(50)))
    billed = len(upstream.received) * (30 + 150)
    assert set(codes) <= {None, "budget_in_flight", "insufficient_quota"}
    assert codes.count(None) == len(upstream.received)
    assert 20_000 - 1_000 < billed <= 20_000
    settles(records, "crowd", billed)


# Processes that stand still or die


def test_without_an_office_a_strict_budget_holds_and_all_is_settled_when_it_is_back(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answers(20, 50))
    with standing_still(processes(gate, "office")):
        got = [call(gate, "without-office") for _ in range(10)]
    served = [one.status for one in got].count(200)
    # Nothing is settled meanwhile: each holds the most that it may cost.
    assert {code_of(one) for one in got[served:]} == {"budget_in_flight"}
    assert 0 < served == len(upstream.received) < 10
    kill(gate, "office")
    settles(records, "without-office", served * 180)
    assert call(gate, "without-office").status == 200


def test_a_call_whose_gate_was_killed_is_charged_what_it_held(gate: Gate, records: Records, upstream: ScriptedUpstream) -> None:
    sent = DELTA * 3
    upstream.plan((ReadBody(), Send(HEAD), Send(b"%x\r\n%b\r\n" % (len(sent), sent)), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(asked("without-gate", body(stream=True)))
        client.until_got(b"word")
        id_ = call_of(client)
        until(lambda: sums(records, "without-gate")[1] > 0, "nothing is held")
        held = sums(records, "without-gate")[1]
        kill(gate, "gate")
    until(lambda: (records.find(id_) or {}).get("outcome") == "interrupted", "the call is not recorded as interrupted", 60)
    settles(records, "without-gate", held)


def test_a_hold_that_ran_out_is_charged_and_corrected_when_the_truth_comes(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    upstream.plan(held_up(20, 50))
    with RawClient(gate.address) as client:
        client.send(asked("late"))
        upstream.wait_for(1)
        until(lambda: sums(records, "late")[1] > 0, "nothing is held")
        held = sums(records, "late")[1]
        (budget,) = [one["id"] for one in listed(records) if one["name"] == "key:late"]
        with standing_still(processes(gate, "gate")), closing(sqlite3.connect(gate.data / "ledger.db", timeout=30)) as ledger:
            run_out(gate)
            # The office's API cannot be asked meanwhile: the gate passes it on.
            cells = "SELECT settled, charged, held FROM cells WHERE counter LIKE ? || '@%'"
            until(lambda: ledger.execute(cells, (budget,)).fetchall() == [(0, held, 0)], "the hold is not charged")
        upstream.signal("go on")
        assert client.answer().status == 200
    settles(records, "late", 180)


def test_a_crowd_whose_gates_are_killed_never_spends_more_than_the_limit(
    gate: Gate, records: Records, upstream: ScriptedUpstream
) -> None:
    first, last = answers(20, 50)
    upstream.plan((first, Linger(0.05), last))
    done = threading.Event()

    def calls_until_refused(_: int) -> None:
        while not done.is_set():
            try:
                if code_of(call(gate, "crowd-killed")) == "insufficient_quota":
                    return
            except (OSError, Ended):
                done.wait(0.05)

    with ThreadPoolExecutor(20) as pool:
        callers = [pool.submit(calls_until_refused, number) for number in range(20)]
        for wanted in (20, 60):
            upstream.wait_for(wanted)
            kill(gate, "gate")
            # What the dead gates held and had not written down is charged when its minute is over, which it is now.
            run_out(gate)
        until(lambda: all(one.done() for one in callers), "the callers are never refused", 60)
        done.set()
    for one in callers:
        one.result()
    run_out(gate)
    until(lambda: sums(records, "crowd-killed")[1] == 0, "something is still held")
    billed, (spent, _) = len(upstream.received) * 180, sums(records, "crowd-killed")
    assert 60 * 180 <= billed <= spent <= 60_000
