"""The simulated upstream on raw sockets: what HTTP/1.1 asks of a server."""

import asyncio
import json
import socket
import time

import pytest

from gateway.sim.server import SimProtocol
from tests.sim.conftest import until

ASKED = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hello there"}]}).encode()
STREAMED = ASKED[:-1] + b', "stream": true}'


def request(
    body: bytes = ASKED, *, method: str = "POST", path: str = "/v1/chat/completions", version: str = "1.1", extra: str = ""
) -> bytes:
    head = f"{method} {path} HTTP/{version}\r\nhost: sim\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


@pytest.fixture
async def connection(sim):
    host, port = sim.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield reader, writer
    writer.close()
    await writer.wait_closed()


async def read_answer(reader, *, bare=False):
    """Return the status line, the headers and the body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    if bare:
        return status, headers, b""
    if "content-length" in headers:
        return status, headers, await reader.readexactly(int(headers["content-length"]))
    return status, headers, b"".join([chunk async for chunk in read_chunks(reader)])


async def read_chunks(reader):
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


async def test_a_connection_is_kept_and_used_again(connection):
    reader, writer = connection
    for _ in range(3):
        writer.write(request())
        status, headers, body = await read_answer(reader)
        assert status == "HTTP/1.1 200 OK"
        assert headers["connection"] == "keep-alive"
        assert json.loads(body)["choices"][0]["message"]["content"] == "hello there"
        assert {"x-request-id", "openai-processing-ms", "x-ratelimit-remaining-tokens", "date"} <= headers.keys()


async def test_requests_sent_ahead_are_answered_in_order(connection):
    reader, writer = connection
    writer.write(request(STREAMED) + request(path="/v1/models", method="GET", body=b""))
    _, headers, body = await read_answer(reader)
    assert headers["transfer-encoding"] == "chunked"
    assert body.endswith(b"data: [DONE]\n\n")
    _, _, body = await read_answer(reader)
    assert json.loads(body)["object"] == "list"


async def test_each_event_of_a_stream_is_a_chunk_of_its_own(connection):
    reader, writer = connection
    writer.write(request(STREAMED))
    await reader.readuntil(b"\r\n\r\n")
    chunks = [chunk async for chunk in read_chunks(reader)]
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    assert len(chunks) == 5


async def test_a_body_in_chunks_is_read(connection):
    reader, writer = connection
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ntransfer-encoding: chunked\r\n\r\n")
    for byte in (ASKED[:10], ASKED[10:]):
        writer.write(b"%x\r\n%b\r\n" % (len(byte), byte))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    status, _, _ = await read_answer(reader)
    assert status == "HTTP/1.1 200 OK"


async def test_head_has_headers_and_no_body(connection):
    reader, writer = connection
    writer.write(request(b"", method="HEAD", path="/v1/models") + request())
    _, headers, _ = await read_answer(reader, bare=True)
    assert int(headers["content-length"]) > 0
    _, _, body = await read_answer(reader)
    assert json.loads(body)["object"] == "chat.completion"


async def test_an_http_1_0_stream_ends_with_the_connection(connection):
    reader, writer = connection
    writer.write(request(STREAMED, version="1.0"))
    answer = await reader.read()
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_waits_to_be_invited_is(connection):
    reader, writer = connection
    whole = request(extra="expect: 100-continue\r\n")
    head, _, body = whole.partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await read_answer(reader))[0] == "HTTP/1.1 200 OK"


async def test_connection_close_is_obeyed(connection):
    reader, writer = connection
    writer.write(request(extra="connection: close\r\n"))
    _, headers, _ = await read_answer(reader)
    assert headers["connection"] == "close"
    assert await reader.read() == b""


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (request(b"{not json"), 400, None),
        (request(b"[1]"), 400, None),
        (request(b"[" * 100_000), 400, None),
        (request(b"{}"), 400, None),
        (request(b'{"model": "echo"}'), 400, "missing_required_parameter"),
        (request(b'{"model": "echo", "messages": []}'), 400, "empty_array"),
        (request(b'{"model": "echo", "messages": "x"}'), 400, "invalid_type"),
        (request(ASKED[:-1] + b', "max_tokens": -1}'), 400, "invalid_value"),
        (request(b"", method="GET"), 405, "method_not_supported"),
        (request(path="/v1/nothing"), 404, None),
        (request(path="/v1/models/nothing", method="GET", body=b""), 404, "model_not_found"),
    ],
)
async def test_what_a_provider_refuses_is_refused_and_the_connection_kept(connection, sent, status, code):
    reader, writer = connection
    writer.write(sent + request())
    line, _, body = await read_answer(reader)
    assert line.split()[1] == str(status)
    assert json.loads(body)["error"]["code"] == code
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert (await read_answer(reader))[0] == "HTTP/1.1 200 OK"


async def test_what_is_not_http_ends_the_connection(connection):
    reader, writer = connection
    writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_a_slow_model_keeps_its_pace(connection):
    reader, writer = connection
    body = STREAMED.replace(b'"echo"', b'"slow?ttft=100&tps=50&tokens=5"')
    began = time.monotonic()
    writer.write(request(body))
    await reader.readuntil(b"\r\n\r\n")
    first = time.monotonic() - began
    chunks = [chunk async for chunk in read_chunks(reader)]
    whole = time.monotonic() - began
    assert len(chunks) == 8
    assert first >= 0.099
    assert whole - first >= 0.099


async def test_a_slow_model_answers_whole_when_its_time_has_passed(connection):
    reader, writer = connection
    began = time.monotonic()
    writer.write(request(ASKED.replace(b'"echo"', b'"slow?ttft=50&tps=100&tokens=5"')))
    _, headers, _ = await read_answer(reader)
    assert time.monotonic() - began >= 0.099
    assert headers["openai-processing-ms"] == "100"


async def test_a_client_that_leaves_ends_its_stream():
    """The protocol lets go of everything when the connection is lost, whatever it was waiting for."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, protocol = await loop.create_connection(SimProtocol, sock=theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(request(STREAMED.replace(b'"echo"', b'"slow?ttft=0&tps=0.01"')))
    await reader.readuntil(b"data: ")
    assert protocol._timer is not None
    writer.close()
    await until(lambda: transport.is_closing() and protocol._timer is None)
    await writer.wait_closed()


async def test_a_long_stream_waits_for_a_reader_that_does_not_read():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, protocol = await loop.create_connection(SimProtocol, sock=theirs)
    ours.setblocking(False)
    await loop.sock_sendall(ours, request(STREAMED.replace(b'"echo"', b'"chat?tokens=20000"')))
    await until(lambda: protocol._paused)
    assert transport.get_write_buffer_size() < 1_000_000
    reader, writer = await asyncio.open_connection(sock=ours)
    _, _, body = await read_answer(reader)
    assert body.count(b"data: ") == 20_003
    writer.close()
    await writer.wait_closed()
