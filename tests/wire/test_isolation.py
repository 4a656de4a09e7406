"""Nothing of one caller reaches another, and nothing of the environment reaches an upstream."""

from concurrent.futures import ThreadPoolExecutor

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.messages import chunked
from tests.harness.steps import Await, ReadBody, Send, Signal, answer
from tests.harness.upstream import OK, ScriptedUpstream

CALLERS = 5
COOKIE = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=%d\r\nX-Mine: %d\r\nTransfer-Encoding: chunked\r\n\r\n"


def call(gate: Gate, number: int) -> Answer:
    with RawClient(gate.address) as client:
        body = b'{"model":"gpt-4o","user":"u%d"}' % number
        client.send(
            request(
                target=b"/v1/of/%d" % number,
                body=body,
                headers=b"X-Caller: %d\r\nCookie: c=%d\r\n" % (number, number),
                credential=b"Bearer sk-of-%d" % number,
            )
        )
        return client.answer()


def test_calls_at_the_same_time_do_not_mix(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    for number in range(CALLERS):
        first, last, end = chunked([b"first-%d," % number, b"last-%d" % number])
        script = (
            ReadBody(),
            Send(COOKIE % (number, number) + first),
            Signal(f"begun-{number}"),
            *(Await(f"begun-{other}") for other in range(CALLERS)),
            Send(last + end),
        )
        upstream.plan_path(b"/v1/of/%d" % number, script)
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda number: call(gate, number), range(CALLERS)))
    for number, got in enumerate(answers):
        assert got.body.data == b"first-%d,last-%d" % (number, number)
        assert got.head.values(b"set-cookie") == [b"who=%d" % number]
    for received in upstream.received:
        mine = received.head.start.split(b" ")[1].removeprefix(b"/v1/of/")
        assert received.head.values(b"x-caller") == [mine]
        assert received.head.values(b"cookie") == [b"c=" + mine]
        assert received.head.values(b"authorization") == [b"Bearer sk-of-" + mine]
        assert received.body is not None
        assert received.body.data == b'{"model":"gpt-4o","user":"u' + mine + b'"}'
    assert len({got.header("x-faregate-call") for got in answers}) == CALLERS


def test_a_cookie_is_not_kept_for_the_next_call(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=secret; Path=/\r\nContent-Length: 2\r\n\r\n{}"))
    for _ in range(2):
        with RawClient(gate.address) as client:
            client.send(request(body=b'{"model":"gpt-4o"}'))
            assert client.answer().header("set-cookie") == "session=secret; Path=/"
    assert [received.head.values(b"cookie") for received in upstream.received] == [[], []]


def test_proxies_and_netrc_of_the_environment_are_not_used(gate: Gate, upstream: ScriptedUpstream) -> None:
    """The gates of these tests run with proxies that go nowhere and with a .netrc for the upstream's host."""
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(b"GET /v1/models HTTP/1.1\r\nHost: gate\r\nX-Only: this\r\n\r\n")
        assert client.answer(b"GET").status == 200
    (received,) = upstream.received
    assert received.head.start == b"GET /v1/models HTTP/1.1"
    assert b"netrc" not in received.head.raw
    assert b"Basic" not in received.head.raw


def test_an_answer_that_was_given_up_does_not_show_in_the_next(gate: Gate, upstream: ScriptedUpstream) -> None:
    for number in range(10):
        upstream.plan(
            (
                ReadBody(),
                Send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nold"),
                Signal("begun"),
                Await("gone"),
                Send(b"-stale-stale-stale"),
            ),
            answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"),
        )
        with RawClient(gate.address) as client:
            client.send(request(body=b'{"model":"gpt-4o"}'))
            client.until_got(b"old")
        with RawClient(gate.address) as client:
            client.send(request(body=b'{"model":"gpt-4o"}'))
            assert client.answer().body.data == b"new", number
        upstream.signal("gone")
