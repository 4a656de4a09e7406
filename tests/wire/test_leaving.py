"""A caller that leaves closes the upstream at once; an upstream that leaves is not made to look whole."""

from time import monotonic

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.steps import AwaitClosed, ReadBody, Script, Send
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until

PLAIN = b'{"model":"gpt-4o","messages":[]}'
STREAM = b'{"model":"gpt-4o","messages":[],"stream":true}'
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b'1d\r\ndata: {"choices":[{"a":1}]}\n\n\r\n'
WHEN: dict[str, tuple[bytes, Script, bytes | None]] = {
    "before the first byte": (PLAIN, (ReadBody(), AwaitClosed()), None),
    "before the first byte of a stream": (STREAM, (ReadBody(), AwaitClosed()), None),
    "after the head": (STREAM, (ReadBody(), Send(CHUNKED), AwaitClosed()), b"\r\n\r\n"),
    "in a stream": (STREAM, (ReadBody(), Send(CHUNKED + CHUNK), AwaitClosed()), b"data: "),
    "in a body with a length": (
        PLAIN,
        (ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), AwaitClosed()),
        b"half",
    ),
}


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("when", WHEN)
def test_a_caller_that_leaves_closes_the_upstream(when: str, reset: bool, gate: Gate, upstream: ScriptedUpstream) -> None:
    delays = [_delay(when, gate, upstream, reset=reset) for _ in range(5)]
    assert min(delays) < 0.1  # the least: whatever else this machine does makes some longer


def _delay(when: str, gate: Gate, upstream: ScriptedUpstream, *, reset: bool) -> float:
    """Return how long after the caller left the upstream saw its connection end."""
    body, script, seen = WHEN[when]
    upstream.plan(script)
    with RawClient(gate.address) as client:
        client.send(request(body=body).replace(b"{host}", b"gate"))
        (received,) = upstream.wait_for(1)
        if seen is not None:
            client.until_got(seen)
        until(lambda: received.body is not None, "the body never came")
        left = monotonic()
        client.close(reset=reset)
    until(lambda: received.link.ended_at is not None, "the upstream was not closed")
    assert received.link.ended_at is not None
    return received.link.ended_at - left


def test_a_caller_that_leaves_in_the_middle_of_an_upload_closes_the_upstream(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(),))
    head = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n"
    with RawClient(gate.address) as client:
        client.send(request(target=b"/v1/files", headers=head), b"x" * 3_000_000)
        (received,) = upstream.wait_for(1)
        client.close(reset=True)
    until(lambda: received.link.ended_at is not None, "the upstream was not closed")
    until(lambda: received.body is not None, "the body was not given up")
    assert received.body is not None
    assert received.body.ending != "complete"


def test_the_next_caller_is_served_after_one_that_left(gate: Gate, upstream: ScriptedUpstream) -> None:
    for _ in range(3):
        _delay("in a stream", gate, upstream, reset=True)
    upstream.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")))
    with RawClient(gate.address) as client:
        client.send(request(body=PLAIN))
        assert client.answer().body.data == b"{}"
