"""What the gate answers itself: in the caller's own dialect, with a hint whether to try again."""

import json

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.steps import AwaitClosed, Close, Linger, ReadBody, Reset, Send
from tests.harness.upstream import ScriptedUpstream

PLAIN = b'{"model":"gpt-4o","messages":[]}'


def call(
    gate: Gate,
    target: bytes = b"/v1/chat/completions",
    *,
    body: bytes = PLAIN,
    credential: bytes = b"Bearer sk-x",
    headers: bytes = b"",
) -> Answer:
    """Make one call, and return its answer."""
    with RawClient(gate.address) as client:
        client.send(request(target=target, body=body, credential=credential, headers=headers))
        return client.answer()


def assert_ours(answer: Answer, status: int, kind: str, code: str, *, retry: bool) -> None:
    """Check an error of the gate's own, in OpenAI's shape."""
    error = json.loads(answer.body.data)["error"]
    assert (answer.status, error["type"], error["code"]) == (status, kind, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert answer.header("x-should-retry") == ("true" if retry else "false")
    assert answer.header("x-faregate-error-origin") == "gateway"
    assert answer.header("content-type") == "application/json"


def test_an_upstream_that_cannot_be_reached_is_502(gate: Gate) -> None:
    assert_ours(call(gate, b"/gone/v1/chat/completions"), 502, "upstream_error", "upstream_unavailable", retry=True)


@pytest.mark.parametrize("end", [Reset(), Close()], ids=["rst", "fin"])
def test_an_upstream_that_closes_without_an_answer_is_502(end: Reset | Close, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), end))
    assert_ours(call(gate), 502, "upstream_error", "upstream_unavailable", retry=True)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 O", b"\x16\x03\x01\x02garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]
)
def test_an_upstream_that_does_not_speak_http_is_502(said: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(said), Close()))
    assert_ours(call(gate), 502, "upstream_error", "upstream_unavailable", retry=True)


def test_an_upstream_without_a_first_byte_is_504(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), AwaitClosed()))
    assert_ours(call(gate, b"/hasty/v1/chat/completions"), 504, "upstream_error", "upstream_timeout", retry=True)


def test_an_upstream_that_falls_silent_is_cut(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), AwaitClosed()))
    answer = call(gate, b"/hasty/v1/chat/completions")
    assert answer.status == 200
    assert answer.body.data == b"abc"
    assert answer.body.ending in {"closed", "reset"}


def test_a_1xx_answer_does_not_end_the_wait_for_the_first_byte(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n"), Linger(5)))
    answer = call(gate, b"/hasty/v1/chat/completions")
    assert len(answer.interim) == (0 if gate.asgi else 1)
    assert_ours(answer, 504, "upstream_error", "upstream_timeout", retry=True)


def test_an_unknown_managed_key_is_401(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(),))
    answer = call(gate, credential=b"Bearer fg-" + b"nobody-knows-this-key-000000000000")
    assert_ours(answer, 401, "authentication_error", "invalid_api_key", retry=False)
    assert upstream.received == []


@pytest.mark.parametrize("target", [b"/v1/messages", b"/anthropic/v1/messages", b"/v1/messages/count_tokens"])
def test_errors_on_anthropics_paths_have_anthropics_shape(target: bytes, gate: Gate) -> None:
    answer = call(gate, target, credential=b"Bearer fg-" + b"nobody-knows-this-key-000000000000")
    body = json.loads(answer.body.data)
    assert answer.status == 401
    assert body["type"] == "error"
    assert body["error"]["type"] == "authentication_error"
    assert isinstance(body["error"]["message"], str)
    assert answer.header("x-should-retry") == "false"


@pytest.mark.parametrize("field", ["model", "stream", "max_tokens"])
def test_a_deciding_field_that_is_there_twice_is_400(field: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(),))
    escaped = f"\\u{ord(field[0]):04x}{field[1:]}"
    for second in (field, escaped):
        body = f'{{"model":"gpt-4o","{field}":1,"x":[{{"y":2}}],"{second}":2}}'.encode()
        answer = call(gate, body=body)
        assert_ours(answer, 400, "invalid_request_error", "invalid_request", retry=False)
    assert upstream.received == []


def test_an_upstreams_error_says_whose_it_is(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}")))
    answer = call(gate)
    assert answer.header("x-faregate-error-origin") == "upstream"
    assert answer.header("x-should-retry") is None


def test_a_success_says_nothing_of_errors(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")))
    answer = call(gate)
    ours = {name.decode().lower() for name, _ in answer.head.headers if name.lower().startswith(b"x-faregate-")}
    assert ours == {"x-faregate-call", "x-faregate-upstream", "x-faregate-attempts"}
    assert (answer.header("x-faregate-upstream"), answer.header("x-faregate-attempts")) == ("openai", "1")


def test_no_secret_is_in_an_error(gate: Gate) -> None:
    secret = b"fg-" + b"canary-canary-canary-canary-canary-1"
    answer = call(gate, credential=b"Bearer " + secret)
    assert secret not in answer.body.data
    assert secret.decode() not in gate.said()
