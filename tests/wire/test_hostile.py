"""Hostile HTTP is refused before it reaches anything (reference: the threats T1 to T9 and T26)."""

import contextlib
import json

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.messages import Ended
from tests.harness.steps import answer
from tests.harness.upstream import OK, ScriptedUpstream

TARGET = b"/v1/chat/completions"
SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def gate(protocol_gate: Gate) -> Gate:
    """What is hostile is refused by the protocol class, in front of everything; ASGI sees only what it let through."""
    assert protocol_gate.alive, protocol_gate.said()[-2000:]
    return protocol_gate


def head(*lines: bytes, target: bytes = TARGET, start: bytes | None = None, host: bytes = b"Host: gate\r\n") -> bytes:
    """Return a head with these lines, and a body of two bytes behind it."""
    first = start or b"POST " + target + b" HTTP/1.1"
    return first + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def path(target: bytes) -> bytes:
    return head(b"Content-Length: 2", target=target) + b"{}"


HOSTILE: dict[str, bytes] = {
    "content-length and chunked": head(b"Content-Length: 6", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunked and content-length": head(b"Transfer-Encoding: chunked", b"Content-Length: 6") + b"0\r\n\r\n" + SMUGGLED,
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 9") + b"{}" + SMUGGLED,
    "two equal lengths": head(b"Content-Length: 2", b"Content-Length: 2") + b"{}",
    "a list of lengths": head(b"Content-Length: 2, 2") + b"{}",
    "a negative length": head(b"Content-Length: -1") + b"{}",
    "a signed length": head(b"Content-Length: +2") + b"{}",
    "a hexadecimal length": head(b"Content-Length: 0x2") + b"{}",
    "a length that is no number": head(b"Content-Length: two") + b"{}",
    "a length beyond 64 bits": head(b"Content-Length: 99999999999999999999") + b"{}",
    "a folded header": head(b"X-A: 1", b" folded", b"Content-Length: 2") + b"{}",
    "a folded transfer-encoding": head(b"Transfer-Encoding:", b" chunked", b"Content-Length: 2") + b"0\r\n\r\n",
    "line ends of LF alone": path(TARGET).replace(b"\r\n", b"\n"),
    "one line end of LF alone": b"POST /v1/chat/completions HTTP/1.1\r\nHost: gate\nContent-Length: 2\r\n\r\n{}",
    "a carriage return in a value": head(b"X-A: a\rX-B: b", b"Content-Length: 2") + b"{}",
    "NUL in a value": head(b"X-A: a\x00b", b"Content-Length: 2") + b"{}",
    "NUL in a name": head(b"X\x00A: b", b"Content-Length: 2") + b"{}",
    "a space before the colon": head(b"X-A : b", b"Content-Length: 2") + b"{}",
    "a space before the colon of transfer-encoding": head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "a space in a name": head(b"X A: b", b"Content-Length: 2") + b"{}",
    "a header without a name": head(b": b", b"Content-Length: 2") + b"{}",
    "a header without a colon": head(b"nothing", b"Content-Length: 2") + b"{}",
    "two hosts": head(b"Host: other", b"Content-Length: 2") + b"{}",
    "two equal hosts": head(b"Host: gate", b"Content-Length: 2") + b"{}",
    "no host": head(b"Content-Length: 2", host=b"") + b"{}",
    "chunked twice": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "two transfer-encodings": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n",
    "an unknown transfer coding": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked that is not last": head(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "chunked with a tail": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked in HTTP/1.0 with a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 2", start=b"POST /v1/x HTTP/1.0")
    + b"0\r\n\r\n",
    "the absolute form": head(b"Content-Length: 2", start=b"POST http://evil.example/v1/chat/completions HTTP/1.1") + b"{}",
    "the absolute form of ourselves": head(b"Content-Length: 2", start=b"POST http://gate/v1/chat/completions HTTP/1.1") + b"{}",
    "the authority form": head(start=b"CONNECT evil.example:443 HTTP/1.1"),
    "the asterisk form": head(start=b"OPTIONS * HTTP/1.1"),
    "a target without a slash": head(b"Content-Length: 2", target=b"v1/chat/completions") + b"{}",
    "dot segments": path(b"/v1/../api/v1/keys"),
    "dot segments at the end": path(b"/v1/files/.."),
    "a single dot segment": path(b"/v1/./models"),
    "encoded dots": path(b"/v1/%2e%2e/api/v1/keys"),
    "encoded dots in capitals": path(b"/v1/%2E%2E/api"),
    "half encoded dots": path(b"/v1/.%2e/api"),
    "an encoded slash": path(b"/v1%2fchat/completions"),
    "an encoded slash in capitals": path(b"/v1/files%2Fx"),
    "an encoded backslash": path(b"/v1/files%5c..%5cx"),
    "a backslash": path(b"/v1\\..\\api"),
    "two slashes": path(b"//evil.example/v1/models"),
    "two slashes inside": path(b"/v1//models"),
    "an encoded NUL": path(b"/v1/models%00.txt"),
    "NUL in the path": path(b"/v1/mod\x00els"),
    "a fragment": path(b"/v1/models#@x"),
    "a tab in the target": path(b"/v1/mod\tels"),
    "dot segments behind labels": path(b"/@session=s/../api/v1/keys"),
    "two slashes behind labels": path(b"/@session=s//v1/models"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/3.7": head(start=b"GET /v1/models HTTP/3.7"),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no method": head(start=b" /v1/models HTTP/1.1"),
    "a method that is none": head(start=b"G\x00T /v1/models HTTP/1.1"),
    "two hundred kilobytes of headers": head(*(b"X-%d: %b" % (n, b"v" * 4000) for n in range(50)), b"Content-Length: 2") + b"{}",
    "one header of two hundred kilobytes": head(b"X-A: " + b"v" * 200_000, b"Content-Length: 2") + b"{}",
    "five thousand headers": head(*(b"X-%d: 1" % n for n in range(5000)), b"Content-Length: 2") + b"{}",
    "a target of a hundred kilobytes": path(b"/v1/" + b"a" * 100_000),
    "a chunk size that is huge": head(b"Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n",
    "a chunk size that is negative": head(b"Transfer-Encoding: chunked") + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size that is none": head(b"Transfer-Encoding: chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": head(b"Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": head(b"Transfer-Encoding: chunked") + b"2\r\nhello\r\n0\r\n\r\n",
    "a chunk extension without an end": head(b"Transfer-Encoding: chunked") + b"5;" + b"a" * 200_000,
    "a body larger than allowed": head(b"Content-Type: application/json", b"Content-Length: 300000000") + b"{",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_nothing_reaches_the_upstream(name: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        with contextlib.suppress(Ended):  # it may be cut while it is still being sent
            client.send(HOSTILE[name])
        first = client.answer(b"GET", patience=8)
        assert first.status == 0 or 400 <= first.status < 500, first
        assert first.body.ending != "silent"
        assert first.status != 0 or first.body.ending in {"closed", "reset"}
    assert upstream.received == []
    _assert_still_serving(gate, upstream)


def _assert_still_serving(gate: Gate, upstream: ScriptedUpstream) -> None:
    with RawClient(gate.address) as client:
        client.send(request(body=b'{"model":"gpt-4o"}'))
        assert client.answer().status == 200
    upstream.plan(answer(OK))


@pytest.mark.parametrize("name", [name for name in HOSTILE if b"smuggled" in HOSTILE[name]])
def test_what_is_behind_it_is_not_taken_for_a_request(name: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(HOSTILE[name])
        client.answer(b"GET")
        assert client.ending() in {"closed", "reset"}
    assert upstream.received == []


@pytest.mark.parametrize(
    "path", [b"/@session=s/api/v1/keys", b"/v1/../api/v1/keys", b"/api/v1/keys", b"/%61pi/v1/keys", b"/API/v1/keys"]
)
@pytest.mark.parametrize("host", [b"localhost", b"localhost/#@x", b"localhost:4000/v1/chat", b"127.0.0.1"])
def test_no_host_and_no_path_opens_the_administration(path: bytes, host: bytes, gate: Gate) -> None:
    with RawClient(gate.address) as client:
        client.send(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        got = client.answer(b"GET")
    assert got.status == 0 or got.status >= 400
    assert b"digest" not in got.body.data


def test_a_head_that_never_ends_is_cut(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Half: ")
        got = client.answer(patience=15)
        assert got.status in {0, 408}
        assert got.body.ending != "silent"
    assert upstream.received == []


def test_dripping_a_head_does_not_win_time(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        for number in range(40):
            try:
                client.send(b"X-%d: 1\r\n" % number)
                client.read_some(0.4)
            except Ended as end:
                if end.how != "silent":
                    break
            else:
                break
        else:
            pytest.fail("the head was awaited for 16 seconds")
    assert upstream.received == []


def test_a_deeply_nested_body_is_refused_or_passed_whole(gate: Gate, upstream: ScriptedUpstream) -> None:
    for depth in (1_000, 20_000, 1_000_000):
        upstream.plan(answer(OK))
        body = b'{"model":"gpt-4o","x":' + b"[" * depth + b"]" * depth + b"}"
        with RawClient(gate.address) as client:
            client.send(request(body=body))
            got = client.answer()
        assert got.status in {200, 400}
        if got.status == 200:
            assert upstream.received[0].body is not None
            assert upstream.received[0].body.data == body
        else:
            assert upstream.received == []


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"-Infinity", b"9" * 5000])
def test_odd_numbers_pass_as_they_are(number: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    body = b'{"model":"gpt-4o","max_tokens":' + number + b"}"
    with RawClient(gate.address) as client:
        client.send(request(body=body))
        got = client.answer()
    assert got.status in {200, 400}
    assert got.status == 400 or (upstream.received[0].body is not None and upstream.received[0].body.data == body)


@pytest.mark.parametrize(
    "said",
    [
        b"X-A: a\x00b",
        b"X A: b",
        b": b",
        b"X-A : b",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    ],
)
def test_an_upstreams_broken_head_does_not_pass(said: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(b"HTTP/1.1 200 OK\r\n" + said + b"\r\n\r\n0\r\n\r\n"))
    with RawClient(gate.address) as client:
        client.send(request(body=b'{"model":"gpt-4o"}'))
        got = client.answer()
    assert got.status == 502
    assert json.loads(got.body.data)["error"]["code"] == "upstream_unavailable"
    upstream.hang_up()


def test_a_newline_in_a_label_does_not_become_a_header(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(
            request(target=b"/@session=a%0d%0aX-Evil:%201,tag.x%0d%0aY=1/v1/chat/completions", body=b'{"model":"gpt-4o"}')
        )
        got = client.answer()
    assert got.status in {200, 400}
    assert b"evil" not in got.head.raw.lower()
    assert all(b"evil" not in one.head.raw.lower() for one in upstream.received)
