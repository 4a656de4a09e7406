"""Managed keys are replaced by the upstream's credential, everybody else's pass; who may not call is told so, and nothing is sent."""

import json

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.steps import answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.wire.settings import EXPIRED, FORMER, MANAGED, NARROW, OWN, REVOKED, ROTATED

MANY = b'{"model":"gpt-4o-mini","messages":[]}'


@pytest.fixture(autouse=True)
def _willing(upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))


def call(gate: Gate, secret: str, *, target: bytes = b"/v1/chat/completions", body: bytes = MANY, headers: bytes = b"") -> Answer:
    with RawClient(gate.address) as client:
        credential = b"Bearer " + secret.encode() if secret else b""
        client.send(request(target=target, body=body, credential=credential, headers=headers))
        return client.answer()


def code(got: Answer) -> tuple[int, str]:
    return got.status, json.loads(got.body.data)["error"]["code"]


@pytest.mark.parametrize("secret", [MANAGED, ROTATED, FORMER], ids=["from the file", "stored", "its former secret"])
def test_a_managed_key_is_replaced_in_its_place(secret: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    assert call(gate, secret, headers=b"X-After: 1\r\n").status == 200
    (received,) = upstream.received
    assert [name.lower() for name, _ in received.head.headers] == [
        b"host",
        b"user-agent",
        b"authorization",
        b"content-type",
        b"content-length",
        b"x-after",
    ]
    assert received.head.value(b"authorization") == b"Bearer " + OWN.encode()
    assert secret.encode() not in bytes(received.link.raw)


def test_a_passed_through_credential_stays_as_it_is(gate: Gate, upstream: ScriptedUpstream) -> None:
    assert call(gate, "sk-" + "mine-0001").status == 200
    assert upstream.received[0].head.value(b"authorization") == b"Bearer sk-" + b"mine-0001"


@pytest.mark.parametrize(
    "secret", [EXPIRED, REVOKED, "fg-" + "made-up-key-made-up-key-made-up-key"], ids=["expired", "revoked", "unknown"]
)
def test_a_key_that_is_not_good_is_401(secret: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    assert code(call(gate, secret)) == (401, "invalid_api_key")
    assert upstream.received == []


def test_a_model_that_a_key_may_not_use_is_403(gate: Gate, upstream: ScriptedUpstream) -> None:
    assert call(gate, NARROW).status == 200
    assert code(call(gate, NARROW, body=b'{"model":"o3-pro"}')) == (403, "model_not_allowed")
    assert len(upstream.received) == 1


def test_a_model_that_cannot_be_read_is_not_a_way_around(gate: Gate, upstream: ScriptedUpstream) -> None:
    for body in (b'{"model":["o3-pro"]}', b'{"Model":"o3-pro"}', b"{}", b"not json"):
        assert code(call(gate, NARROW, body=body))[0] == 403
    assert upstream.received == []


def test_our_key_beside_a_providers_credential(gate: Gate, upstream: ScriptedUpstream) -> None:
    assert call(gate, "sk-" + "mine-0002", headers=b"X-Faregate-Key: " + MANAGED.encode() + b"\r\n").status == 200
    (received,) = upstream.received
    assert received.head.value(b"authorization") == b"Bearer sk-" + b"mine-0002"
    assert MANAGED.encode() not in bytes(received.link.raw)


def test_a_bad_key_beside_a_providers_credential_is_401(gate: Gate, upstream: ScriptedUpstream) -> None:
    got = call(gate, "sk-" + "mine-0003", headers=b"x-faregate-key: " + REVOKED.encode() + b"\r\n")
    assert code(got) == (401, "invalid_api_key")
    assert upstream.received == []


def test_a_managed_key_where_anthropics_clients_put_it(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[]}'
    got = call(gate, "", target=b"/anthropic/v1/messages", body=body, headers=b"x-api-key: " + MANAGED.encode() + b"\r\n")
    assert got.status == 200
    (received,) = upstream.received
    assert received.head.start == b"POST /v1/messages HTTP/1.1"
    assert received.head.values(b"x-api-key") == [OWN.encode()]
    assert received.head.values(b"authorization") == []


def test_a_managed_key_where_geminis_clients_put_it(gate: Gate, upstream: ScriptedUpstream) -> None:
    target = b"/gemini/v1beta/models/gemini-2.5-flash:generateContent?alt=sse"
    assert call(gate, "", target=target, body=b"{}", headers=b"x-goog-api-key: " + MANAGED.encode() + b"\r\n").status == 200
    assert call(gate, "", target=target + b"&key=" + MANAGED.encode() + b"&x=1", body=b"{}").status == 200
    for received in upstream.received:
        assert received.head.start.startswith(b"POST /v1beta/models/gemini-2.5-flash:generateContent?alt=sse")
        assert MANAGED.encode() not in bytes(received.link.raw)
        assert OWN.encode() in received.head.raw


def test_a_managed_key_never_reaches_an_upstream_in_any_header(gate: Gate, upstream: ScriptedUpstream) -> None:
    secret = MANAGED.encode()
    headers = b"x-api-key: " + secret + b"\r\napi-key: " + secret + b"\r\nx-goog-api-key: " + secret + b"\r\n"
    call(gate, MANAGED, headers=headers)
    for received in upstream.received:
        assert secret not in bytes(received.link.raw)
