"""Another credential is tried only before the first byte of an answer, and only where that can help."""

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.steps import Close, ReadBody, Reset, Script, Send, answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import MANAGED, MOVING_ON, POOL, STAYING

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"\xc3\xa9"}]}'


def fails(status: int) -> Script:
    return answer(b"HTTP/1.1 %d Oh\r\nRetry-After: 9\r\nX-Odd: kept\r\nContent-Length: 3\r\n\r\n%d" % (status, status))


def call(gate: Gate, pool: object) -> Answer:
    with RawClient(gate.address) as client:
        target = f"/pool-{pool}/v1/chat/completions".encode()
        client.send(request(target=target, body=BODY, credential=b"Bearer " + MANAGED.encode()))
        return client.answer()


def credentials(upstream: ScriptedUpstream) -> list[bytes | None]:
    return [one.head.value(b"authorization") for one in upstream.received]


@pytest.mark.parametrize("status", MOVING_ON)
def test_the_next_credential_is_tried(status: int, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(status), answer(OK))
    got = call(gate, status)
    assert (got.status, got.body.data) == (200, b"{}")
    assert got.header("x-faregate-attempts") == "2"
    tried = credentials(upstream)
    assert len(set(tried)) == len(tried) == 2
    assert set(tried) <= {b"Bearer " + key.encode() for key in POOL}
    assert [one.body.data for one in upstream.received if one.body] == [BODY, BODY]


@pytest.mark.parametrize("status", STAYING)
def test_the_apps_own_errors_are_not_tried_again(status: int, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(status), answer(OK))
    got = call(gate, status)
    assert (got.status, got.body.data) == (status, b"%d" % status)
    assert got.header("x-faregate-attempts") == "1"
    assert len(upstream.received) == 1


def test_when_all_fail_the_last_error_passes_whole(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(429), fails(503), fails(429))
    got = call(gate, "all")
    assert got.status in {429, 503}
    assert got.header("retry-after") == "9"
    assert got.header("x-odd") == "kept"
    assert got.body.data == b"%d" % got.status
    assert got.header("x-faregate-error-origin") == "upstream"
    assert len(set(credentials(upstream))) == len(upstream.received) == 3


def test_a_connection_that_breaks_before_the_first_byte_is_tried_again(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Reset()), answer(OK))
    got = call(gate, "reset")
    assert (got.status, got.header("x-faregate-attempts")) == (200, "2")


def test_after_the_first_byte_nothing_is_tried_again(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), Close()), answer(OK))
    got = call(gate, "late")
    assert got.status == 200
    assert got.body.data == b"half"
    assert got.body.ending != "complete"
    assert len(upstream.received) == 1


def test_a_callers_own_credential_is_the_only_one(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(401), answer(OK))
    with RawClient(gate.address) as client:
        client.send(request(target=b"/pool-pass/v1/chat/completions", body=BODY, credential=b"Bearer sk-mine"))
        got = client.answer()
    assert got.status == 401
    assert credentials(upstream) == [b"Bearer sk-mine"]


def test_a_kept_connection_that_the_upstream_closed_is_not_an_error(gate: Gate, upstream: ScriptedUpstream) -> None:
    for _ in range(5):
        upstream.plan(answer(OK))
        with RawClient(gate.address) as client:
            client.send(request(body=BODY))
            assert client.answer().status == 200
            upstream.hang_up()
            until(lambda: upstream.connections == 0, "the connections do not close")
            _let_the_gate_notice(client)


def _let_the_gate_notice(client: RawClient) -> None:
    """Make the gate's loop turn: what happened before on other connections is then known to it."""
    for _ in range(3):
        client.send(b"GET /healthz HTTP/1.1\r\nHost: gate\r\n\r\n")
        assert client.answer(b"GET").status == 200
