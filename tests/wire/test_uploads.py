"""Large bodies stream: their first bytes arrive before their last are sent, and nothing is held whole."""

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.steps import answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import MANAGED

PIECE = bytes(range(256)) * 4096
PIECES = 20
BEGINNING = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\n'
END = b"\r\n--b--\r\n"
SIZE = len(BEGINNING) + PIECES * len(PIECE) + len(END)
KIND = b"Content-Type: multipart/form-data; boundary=b\r\n"


@pytest.mark.parametrize("credential", [b"Bearer sk-mine", b"Bearer " + MANAGED.encode()], ids=["pass-through", "managed"])
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_an_upload_streams(chunked: bool, credential: bytes, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % SIZE

    def framed(piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece

    before = gate.rss()
    with RawClient(gate.address) as client:
        client.send(
            request(target=b"/v1/files", headers=KIND + framing, credential=credential),
            framed(BEGINNING),
            framed(PIECE),
            framed(PIECE),
        )
        (received,) = upstream.wait_for(1)
        until(lambda: PIECE[:1000] in bytes(received.link.raw), "nothing arrives before all was sent")
        for _ in range(PIECES - 2):
            client.send(framed(PIECE))
        client.send(framed(END) + (b"0\r\n\r\n" if chunked else b""))
        assert client.answer().status == 200
    assert received.body is not None
    assert received.body.data == BEGINNING + PIECE * PIECES + END
    assert gate.rss() - before < 32 * 2**20


def test_a_caller_that_expects_100_is_told_to_go_on_once_and_gets_the_upstreams_refusal(
    gate: Gate, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"))
    body = b'{"model":"gpt-4o"}'
    with RawClient(gate.address) as client:
        client.send(
            request(headers=b"Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
        )
        client.until_got(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(body)
        got = client.answer()
    assert (got.status, [head.status for head in got.interim]) == (401, [100])
    assert upstream.received[0].body is not None
    assert upstream.received[0].body.data == body


def test_a_chunked_upload_without_a_known_end_is_cut_where_it_becomes_malformed(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(request(target=b"/v1/files", headers=KIND + b"Transfer-Encoding: chunked\r\n"))
        for _ in range(3):
            client.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        (received,) = upstream.wait_for(1)
        client.send(b"nonsense\r\n")
        got = client.answer()
        assert got.status in {0, 400}
    until(lambda: received.link.ended is not None, "the upstream was not closed")
    assert received.body is None or received.body.ending != "complete"
