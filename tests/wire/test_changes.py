"""Every change that the gate makes to a call, one by one (docs/what-we-change.md): these and no others."""

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import CALLER, request
from tests.harness.gate import Gate
from tests.harness.messages import chunked
from tests.harness.steps import answer
from tests.harness.upstream import OK, Received, ScriptedUpstream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DELTA = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def call(
    gate: Gate,
    upstream: ScriptedUpstream,
    target: bytes = b"/v1/chat/completions",
    *,
    body: bytes = b'{"model":"gpt-4o"}',
    headers: bytes = b"",
    reply: tuple[bytes, ...] = (OK,),
) -> tuple[Answer, Received]:
    upstream.plan(answer(*reply))
    with RawClient(gate.address) as client:
        client.send(request(target=target, body=body, headers=headers))
        got = client.answer()
    (received,) = upstream.wait_for(1)
    return got, received


def sent_body(received: Received) -> bytes:
    assert received.body is not None
    return received.body.data


def test_host_is_the_upstreams(gate: Gate, upstream: ScriptedUpstream) -> None:
    _, received = call(gate, upstream)
    assert received.head.values(b"host") == [b"127.0.0.1:%d" % upstream.port]


def test_our_headers_are_taken_off_and_no_others(gate: Gate, upstream: ScriptedUpstream) -> None:
    headers = b"X-Faregate-Session: s\r\nx-faregate-tags: a=b\r\nX-FAREGATE-anything: x\r\nX-Faregatekeeper: stays\r\nX-Session-Id: stays\r\n"
    _, received = call(gate, upstream, headers=headers)
    kept = [b"host", b"user-agent", b"authorization", b"content-type", b"content-length", b"x-faregatekeeper", b"x-session-id"]
    assert [name.lower() for name, _ in received.head.headers] == kept
    assert received.head.value(b"authorization") == CALLER


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/@session=s1,tag.team=a%2Fb/v1/chat/completions?x=1", b"/v1/chat/completions?x=1"),
        (b"/@customer=%C3%A9/anthropic/v1/messages", b"/v1/messages"),
        (b"/openai/v1/models/gpt-4o", b"/v1/models/gpt-4o"),
        (b"/gemini/v1beta/models/x:streamGenerateContent?alt=sse", b"/v1beta/models/x:streamGenerateContent?alt=sse"),
        (b"/@/v1/models", b"/v1/models"),
    ],
)
def test_labels_and_upstream_are_taken_off_the_path(target: bytes, sent: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    _, received = call(gate, upstream, target)
    assert received.head.start == b"POST " + sent + b" HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"faregate":{"session":"s"},"model":"gpt-4o"}', b'{"model":"gpt-4o"}'),
        (b'{"model":"gpt-4o" , "faregate" : {"session":"s","tags":{"a":"b"}}}', b'{"model":"gpt-4o"}'),
        (b'{ "a":1, "faregate":{},\n "model":"gpt-4o" }', b'{ "a":1, "model":"gpt-4o" }'),
        (b'{"faregate":{"run":"r"}}', b"{}"),
        (b'{"x":{"faregate":1},"model":"gpt-4o","text":"faregate"}', b'{"x":{"faregate":1},"model":"gpt-4o","text":"faregate"}'),
    ],
)
def test_our_field_is_cut_out_of_the_body(body: bytes, sent: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    _, received = call(gate, upstream, body=body)
    assert sent_body(received) == sent
    assert received.head.value(b"content-length") == b"%d" % len(sent)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"leave/gpt-4o","x":"leave/gpt-4o"}', b'{"model":"gpt-4o","x":"leave/gpt-4o"}'),
        (b'{"x":{"model":"leave/a"}, "model" : "leave/\\u0061" }', b'{"x":{"model":"leave/a"}, "model" : "a" }'),
        (b'{"model":"nobody/gpt-4o"}', b'{"model":"nobody/gpt-4o"}'),
        (b'{"model":"ft:gpt-4o:acme/x"}', b'{"model":"ft:gpt-4o:acme/x"}'),
    ],
)
def test_the_upstream_in_front_of_a_model_is_taken_off(body: bytes, sent: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    _, received = call(gate, upstream, body=body)
    assert sent_body(received) == sent
    assert received.head.value(b"content-length") == b"%d" % len(sent)


def test_usage_is_asked_for_in_a_stream_and_withheld(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{ "model":"gpt-4o", "stream":true,"messages":[]}'
    got, received = call(gate, upstream, body=body, reply=(HEAD, *chunked([DELTA, USAGE, DONE])))
    assert sent_body(received).replace(b'"stream_options":{"include_usage":true},', b"", 1) == body
    assert received.head.value(b"content-length") == b"%d" % len(sent_body(received))
    assert got.body.data == DELTA + DONE
    assert got.body.ending == "complete"


@pytest.mark.parametrize("cut", [1, 10, 20, 40, 60, len(USAGE) - 1])
def test_usage_is_withheld_wherever_it_is_cut(cut: int, gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"gpt-4o","stream":true}'
    got, _ = call(gate, upstream, body=body, reply=(HEAD, *chunked([DELTA, USAGE[:cut], USAGE[cut:], DONE])))
    assert got.body.data == DELTA + DONE


def test_options_of_a_stream_are_kept_beside_the_one_that_is_added(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"gpt-4o","stream":true,"stream_options":{"include_obfuscation":false}}'
    _, received = call(gate, upstream, body=body, reply=(HEAD, *chunked([DELTA, USAGE, DONE])))
    assert (
        sent_body(received)
        == b'{"model":"gpt-4o","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}'
    )


def test_usage_that_was_asked_for_stays(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}'
    got, received = call(gate, upstream, body=body, reply=(HEAD, *chunked([DELTA, USAGE, DONE])))
    assert sent_body(received) == body
    assert got.body.data == DELTA + USAGE + DONE


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (b"/leave/v1/chat/completions", b'{"model":"gpt-4o","stream":true}'),
        (b"/v1/chat/completions", b'{"model":"gpt-4o","stream":false}'),
        (b"/v1/responses", b'{"model":"gpt-4o","stream":true}'),
        (b"/anthropic/v1/messages", b'{"model":"claude","stream":true}'),
        (b"/v1/unknown", b'{"model":"gpt-4o","stream":true}'),
    ],
    ids=["switched off", "not a stream", "responses", "messages", "an unknown path"],
)
def test_usage_is_not_asked_for_where_it_is_not_known(target: bytes, body: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    got, received = call(gate, upstream, target, body=body, reply=(HEAD, *chunked([DELTA, USAGE, DONE])))
    assert sent_body(received) == body
    assert got.body.data == DELTA + USAGE + DONE


def test_an_error_to_a_stream_stays_whole_where_usage_was_asked_for(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"error":{"choices":[],"usage":{"prompt_tokens":1}}}\n\n'
    got, _ = call(
        gate,
        upstream,
        body=b'{"model":"gpt-4o","stream":true}',
        reply=(b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),),
    )
    assert got.body.data == body


def test_other_gateways_credentials_are_taken_off(gate: Gate, upstream: ScriptedUpstream) -> None:
    headers = b"Helicone-Auth: Bearer h\r\nx-portkey-api-key: p\r\nHelicone-User-Id: stays\r\n"
    _, received = call(gate, upstream, headers=headers)
    assert received.head.values(b"helicone-auth") + received.head.values(b"x-portkey-api-key") == []
    assert received.head.values(b"helicone-user-id") == [b"stays"]


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"], ids=["plain", "keep-alive"])
def test_a_caller_of_http_1_0_gets_a_chunked_answer_without_chunks(
    keep: bytes, protocol_gate: Gate, upstream: ScriptedUpstream
) -> None:
    """Through ASGI it is uvicorn that frames, and it does not know better."""
    upstream.plan(answer(HEAD, *chunked([DELTA, DONE])))
    with RawClient(protocol_gate.address) as client:
        client.send(request(body=b'{"model":"gpt-4o"}', version=b"1.0", headers=keep))
        got = client.answer()
    assert got.head.value(b"transfer-encoding") is None
    assert (got.body.framing, got.body.data, got.body.ending) == ("close", DELTA + DONE, "complete")
    assert upstream.received[0].head.start == b"POST /v1/chat/completions HTTP/1.1"


@pytest.mark.parametrize("status", [200, 204, 404, 500])
def test_every_answer_says_which_call_it_was(status: int, gate: Gate, upstream: ScriptedUpstream) -> None:
    length = b"" if status == 204 else b"Content-Length: 0\r\n"
    seen = set()
    for _ in range(3):
        got, _ = call(gate, upstream, reply=(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, length),))
        assert got.head.values(b"x-faregate-call") != []
        seen.add(got.header("x-faregate-call"))
    assert len(seen) == 3
