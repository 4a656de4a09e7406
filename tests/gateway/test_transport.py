"""The engine behind httpx, against a scripted upstream on real sockets."""

import asyncio
import gzip
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import httpx
import pytest

from gateway.sim.server import SimProtocol
from gateway.wire.transport import EngineTransport
from tests.harness import steps
from tests.harness.messages import chunked
from tests.harness.tls import make_certificate
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import PATIENCE, until

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """One to which nothing else keeps connections."""
    own = ScriptedUpstream()
    yield own
    own.close()


@pytest.fixture
async def client(upstream: ScriptedUpstream) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=EngineTransport(), base_url=f"http://127.0.0.1:{upstream.port}", timeout=5) as client:
        yield client


async def soon(holds, what: str) -> None:
    """Wait, off the loop, for something that the upstream's threads do; not so long that the upstream itself gives up."""
    await asyncio.to_thread(until, holds, what, PATIENCE / 4)


async def test_a_plain_call(client, upstream):
    upstream.plan(steps.answer(b"HTTP/1.1 201 Made It\r\nX-One: a\r\nx-one: b\r\ncontent-length: 5\r\n\r\nhello"))

    answer = await client.post("/v1/things?a=%20b", content=b"body", headers={"X-Odd-CASE": "yes"})

    assert (answer.status_code, answer.reason_phrase, answer.content) == (201, "Made It", b"hello")
    assert answer.headers.get_list("x-one") == ["a", "b"]
    received = upstream.received[0]
    assert received.head.start == b"POST /v1/things?a=%20b HTTP/1.1"
    assert received.head.value(b"host") == b"127.0.0.1:%d" % upstream.port
    assert received.head.raw.count(b"X-Odd-CASE: yes") == 1
    assert received.body.data == b"body"


@pytest.mark.parametrize(
    ("method", "answer", "content"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + PLAIN, b"hello"),
        ("GET", b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno", b"no"),
        ("GET", b"".join([CHUNKED, *chunked([b"he", b"llo"], trailers=b"x-end: 1\r\n")]), b"hello"),
    ],
)
async def test_every_kind_of_answer(client, upstream, method, answer, content):
    upstream.plan(steps.answer(answer))

    assert (await client.request(method, "/")).content == content


async def test_an_answer_that_ends_with_its_connection_is_whole(client, upstream):
    upstream.plan((steps.ReadBody(), steps.Send(b"HTTP/1.1 200 OK\r\n\r\nall of it"), steps.Close()))

    assert (await client.get("/")).content == b"all of it"


async def test_httpx_unpacks_what_is_compressed(client, upstream):
    packed = gzip.compress(b"plain text")
    upstream.plan(steps.answer(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed))

    assert (await client.get("/")).text == "plain text"


async def test_a_stream_comes_piece_by_piece(client, upstream):
    end, last = chunked([b"two"])[1], chunked([b"two"])[0]
    upstream.plan((steps.ReadBody(), steps.Send(CHUNKED + b"3\r\none\r\n"), steps.Await("more"), steps.Send(last + end)))

    async with client.stream("GET", "/") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"one"
        upstream.signal("more")
        assert [piece async for piece in pieces] == [b"two"]


async def test_a_body_can_be_streamed_up_from_an_iterator(client, upstream):
    async def body() -> AsyncIterator[bytes]:
        yield b"first "
        yield b""
        await asyncio.to_thread(upstream.wait, "head is there")
        yield b"second"

    upstream.plan((steps.Signal("head is there"), steps.ReadBody(), steps.Send(PLAIN)))

    assert (await client.post("/", content=body())).content == b"hello"
    assert upstream.received[0].body.data == b"first second"
    assert upstream.received[0].body.framing == "chunked"


async def test_a_synchronous_stream_is_sent_too(upstream):
    class Pieces(httpx.SyncByteStream):
        def __iter__(self):
            yield from (b"a", b"b", b"c")

    upstream.plan(steps.answer(PLAIN))
    transport = EngineTransport()
    request = httpx.Request(
        "POST", f"http://127.0.0.1:{upstream.port}/", stream=Pieces(), headers={"Transfer-Encoding": "chunked"}
    )
    answer = await transport.handle_async_request(request)
    assert await answer.aread() == b"hello"
    await transport.aclose()

    assert upstream.received[0].body.data == b"abc"


async def test_a_file_upload_with_its_length(client, upstream):
    upstream.plan(steps.answer(PLAIN))

    await client.post("/files", files={"file": ("a.bin", bytes(300_000))}, data={"purpose": "batch"})

    body = upstream.received[0].body
    assert body.framing == "sized"
    assert bytes(300_000) in body.data


# Connections


async def test_a_connection_is_used_again_after_a_whole_answer(client, upstream):
    upstream.plan(steps.answer(PLAIN))
    for _ in range(3):
        await client.get("/")

    assert len(upstream.links) == 1


async def test_a_connection_is_not_used_again_where_the_upstream_says_so(client, upstream):
    upstream.plan(steps.answer(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
    for _ in range(2):
        await client.get("/")

    assert len(upstream.links) == 2


async def test_a_connection_that_the_upstream_closed_is_left_alone(client, upstream):
    upstream.plan((steps.ReadBody(), steps.Send(PLAIN), steps.Close()))
    await client.get("/")
    await soon(lambda: upstream.connections == 0, "the connection is still open")

    upstream.plan(steps.answer(PLAIN))
    assert (await client.get("/")).status_code == 200


async def test_calls_at_the_same_time_have_connections_of_their_own(client, upstream):
    upstream.plan(
        *[(steps.ReadBody(), steps.Signal(f"in-{number}"), steps.Await("all"), steps.Send(PLAIN)) for number in range(8)]
    )
    calls = [asyncio.create_task(client.get(f"/{number}")) for number in range(8)]
    await asyncio.to_thread(upstream.wait_for, 8)
    upstream.signal("all")

    assert [(await call).content for call in calls] == [b"hello"] * 8
    assert len(upstream.links) == 8


async def test_an_answer_that_is_not_read_to_its_end_closes_the_connection(client, upstream):
    upstream.plan((steps.ReadBody(), steps.Send(CHUNKED + b"3\r\none\r\n"), steps.AwaitClosed()))

    async with client.stream("GET", "/") as answer:
        assert await anext(answer.aiter_raw()) == b"one"

    await soon(lambda: upstream.links[0].ended, "the connection is still open")


@pytest.mark.parametrize("script", [(), (steps.Send(CHUNKED + b"3\r\none\r\n"),)], ids=["before the head", "in the body"])
async def test_a_cancelled_call_closes_the_connection(client, upstream, script):
    upstream.plan((steps.ReadBody(), *script, steps.Signal("reached"), steps.AwaitClosed()))
    call = asyncio.create_task(client.get("/"))
    await asyncio.to_thread(upstream.wait, "reached")
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call

    await soon(lambda: upstream.links[0].ended, "the connection is still open")


async def test_closing_ends_what_runs_and_what_is_kept(upstream):
    transport = EngineTransport()
    client = httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{upstream.port}")
    upstream.plan(steps.answer(PLAIN), (steps.ReadBody(), steps.Signal("reached"), steps.AwaitClosed()))
    kept, running = asyncio.create_task(client.get("/")), None
    await kept
    running = asyncio.create_task(client.get("/"))
    await asyncio.to_thread(upstream.wait, "reached")

    await transport.aclose()

    with pytest.raises(httpx.TransportError):
        await running
    await soon(lambda: upstream.connections == 0, "connections are still open")


async def test_a_slow_reader_slows_the_upstream(client, upstream):
    size, pieces = 1 << 20, 64
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (size * pieces)
    upstream.plan((steps.ReadBody(), steps.Send(head), steps.Flood(pieces, size), steps.Signal("flooded")))

    async with client.stream("GET", "/") as answer:
        came = answer.aiter_raw()
        total = len(await anext(came))
        await soon(lambda: _at_rest(upstream), "the upstream did not come to rest")
        assert upstream.received[0].flooded < size * pieces // 2
        async for piece in came:
            total += len(piece)

    assert total == size * pieces


def _at_rest(upstream: ScriptedUpstream) -> bool:
    """Return whether the upstream has sent no more for a tenth of a second."""
    before = upstream.received[0].flooded
    with suppress(TimeoutError):
        until(lambda: upstream.received[0].flooded != before, "", 0.1)
    return before > 0 and upstream.received[0].flooded == before


# Errors


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ((steps.Close(),), httpx.RemoteProtocolError),
        ((steps.Reset(),), httpx.RemoteProtocolError),
        ((steps.Send(b"not HTTP at all\r\n\r\n"), steps.AwaitClosed()), httpx.RemoteProtocolError),
        ((steps.Send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"), steps.AwaitClosed()), httpx.RemoteProtocolError),
        ((steps.Send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000), steps.AwaitClosed()), httpx.RemoteProtocolError),
        ((steps.Send(PLAIN[:-1]), steps.Close()), httpx.ReadError),
        ((steps.Send(CHUNKED + b"3\r\none\r\n"), steps.Reset()), httpx.ReadError),
        ((steps.Send(CHUNKED + b"3\r\none\r\nzz\r\n"), steps.AwaitClosed()), httpx.ReadError),
    ],
    ids=["closed", "reset", "no HTTP", "another protocol", "endless head", "short body", "cut stream", "bad chunk"],
)
async def test_an_upstream_that_breaks_off(client, upstream, script, expected):
    upstream.plan((steps.ReadBody(), *script))

    with pytest.raises(expected) as caught:
        await client.get("/")
    assert caught.value.request.url.path == "/"


async def test_what_came_before_a_break_is_handed_over(client, upstream):
    upstream.plan((steps.ReadBody(), steps.Send(CHUNKED + b"3\r\none\r\n"), steps.Close()))

    async with client.stream("GET", "/") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"one"
        with pytest.raises(httpx.ReadError):
            await anext(pieces)


async def test_nobody_listens(client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(httpx.ConnectError):
        await client.get(f"http://127.0.0.1:{port}/")


async def test_a_name_that_does_not_exist(client):
    with pytest.raises(httpx.ConnectError):
        await client.get("http://no-such-host.invalid/")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "sim://sim/v1/models"])
async def test_an_address_that_cannot_be_reached_this_way(client, url):
    with pytest.raises(httpx.UnsupportedProtocol):
        await client.get(url)


# Time limits


async def test_an_upstream_that_does_not_answer(client, upstream):
    upstream.plan((steps.ReadBody(), steps.AwaitClosed()))

    with pytest.raises(httpx.ReadTimeout):
        await client.get("/", timeout=httpx.Timeout(5, read=0.1))
    await soon(lambda: upstream.links[0].ended, "the connection is still open")


async def test_an_upstream_that_falls_silent(client, upstream):
    upstream.plan((steps.ReadBody(), steps.Send(CHUNKED + b"3\r\none\r\n"), steps.AwaitClosed()))

    with pytest.raises(httpx.ReadTimeout):
        await client.get("/", timeout=httpx.Timeout(5, read=0.1))


async def test_the_reading_limit_does_not_count_while_the_body_is_sent(client, upstream):
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.to_thread(upstream.wait, "long after")
        yield b"last"

    upstream.plan((steps.Linger(1.3), steps.Signal("long after"), steps.ReadBody(), steps.Send(PLAIN)))

    assert (await client.post("/", content=body(), timeout=httpx.Timeout(5, read=1.0))).content == b"hello"


async def test_an_upstream_that_takes_no_more(client, upstream):
    upstream.plan((steps.Signal("reached"), steps.AwaitClosed()))

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.to_thread(upstream.wait, "reached")
        upstream.stop_reading()
        while True:
            yield bytes(1 << 20)

    with pytest.raises(httpx.WriteTimeout):
        await client.post("/", content=body(), timeout=httpx.Timeout(5, write=0.2))


async def test_an_upstream_that_refuses_an_upload_half_way_is_heard(client, upstream):
    sent = []

    async def body() -> AsyncIterator[bytes]:
        while True:
            sent.append(1)
            yield bytes(1 << 16)
            await asyncio.to_thread(upstream.wait, "refused")

    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
    upstream.plan((steps.Take(1 << 16), steps.Send(refusal), steps.Signal("refused"), steps.AwaitClosed()))

    answer = await client.post("/", content=body())

    assert (answer.status_code, answer.content) == (413, b"no")
    assert len(sent) < 5
    await soon(lambda: upstream.links[0].ended, "the connection is still open")


async def test_a_body_that_cannot_be_made_closes_the_connection(client, upstream):
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise LookupError("the file is gone")

    upstream.plan((steps.AwaitClosed(),))

    with pytest.raises(LookupError, match="the file is gone"):
        await client.post("/", content=body())
    await soon(lambda: upstream.links and upstream.links[0].ended, "the connection is still open")


# What is never sent


@pytest.mark.parametrize(
    "headers",
    [
        [("x-bad", "a\r\nx-other: b")],
        [("x-bad", "a\nb")],
        [("x-bad", "a\0b")],
        [("x bad", "a")],
        [("x:bad", "a")],
        [("content-length", "1"), ("transfer-encoding", "chunked")],
        [("transfer-encoding", "gzip, chunked")],
        [("content-length", "1"), ("content-length", "2")],
        [("content-length", "-1")],
    ],
    ids=["CRLF", "LF", "NUL", "space in a name", "colon in a name", "length and chunks", "gzip", "two lengths", "negative"],
)
async def test_a_request_that_http_does_not_allow_is_not_sent(client, upstream, headers):
    upstream.plan(steps.answer(PLAIN))
    request = httpx.Request("POST", f"http://127.0.0.1:{upstream.port}/", headers=headers, stream=httpx.ByteStream(b"x"))

    with pytest.raises(httpx.LocalProtocolError):
        await client.send(request)
    assert upstream.received == []


@pytest.mark.parametrize("extensions", [{"target": b"/a b"}, {"target": b"/a\r\nx: y"}, {"target": b""}])
async def test_a_target_that_http_does_not_allow_is_not_sent(client, upstream, extensions):
    upstream.plan(steps.answer(PLAIN))

    with pytest.raises(httpx.LocalProtocolError):
        await client.get("/", extensions=extensions)
    assert upstream.received == []


@pytest.mark.parametrize("length", ["3", "9"])
async def test_a_body_of_another_length_than_announced_never_spoils_a_connection(client, upstream, length):
    upstream.plan(steps.answer(PLAIN))
    request = client.build_request("POST", "/", content=b"seven b", headers={"content-length": length})

    with pytest.raises(httpx.LocalProtocolError):
        await client.send(request)
    await client.get("/next")

    (followed,) = [link for link in upstream.links if b"GET /next" in link.raw]
    assert b"POST" not in followed.raw
    assert length == "9" or not any(b"seven b" in link.raw for link in upstream.links)


async def test_the_environment_is_not_looked_at(client, upstream, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    upstream.plan(steps.answer(PLAIN))

    async with httpx.AsyncClient(transport=EngineTransport()) as other:
        assert (await other.get(f"http://127.0.0.1:{upstream.port}/")).content == b"hello"


# TLS, the simulated upstream, and imports


async def test_certificates_are_verified(tmp_path):
    good = make_certificate(tmp_path, "good", "IP:127.0.0.1")
    other = make_certificate(tmp_path, "other", "DNS:elsewhere.test")
    outcomes = {}
    for name, certificate, trusted in (("good", good, good), ("other name", other, other), ("unknown", good, other)):
        provider = ScriptedUpstream(certificate.server())
        async with httpx.AsyncClient(transport=EngineTransport(ca_file=str(trusted.file)), trust_env=False) as client:
            try:
                outcomes[name] = (await client.get(f"https://127.0.0.1:{provider.port}/")).status_code
            except httpx.ConnectError:
                outcomes[name] = "refused"
        provider.close()

    assert outcomes == {"good": 200, "other name": "refused", "unknown": "refused"}


async def test_the_simulated_upstream_answers_in_process():
    async with httpx.AsyncClient(transport=EngineTransport(sim=SimProtocol), base_url="sim://sim") as client:
        asked = {"model": "sim/echo", "messages": [{"role": "user", "content": "hello there"}]}
        answers = [await client.post("/v1/chat/completions", json=asked) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert "hello there" in answers[0].json()["choices"][0]["message"]["content"]


def test_the_gate_loads_neither_httpx_nor_the_offices_libraries():
    heavy = ("httpx", "sqlmodel", "sqlalchemy", "tiktoken", "gateway.wire.transport")
    program = f"import sys, gateway.app; print([name for name in {heavy!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"
