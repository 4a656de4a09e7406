"""Many mixed calls: each is recorded once, and the gateway does not grow."""

import logging
import os
from collections import Counter
from functools import partial

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.messages import chunked
from tests.harness.records import Records
from tests.harness.steps import AwaitClosed, Close, ReadBody, Script, Send, answer
from tests.harness.upstream import ScriptedUpstream
from tests.whole.load import DELTA, DONE, HEAD, STREAM, USAGE, Seen, call_in, shared
from tests.wire.settings import MANAGED

log = logging.getLogger(__name__)
pytestmark = pytest.mark.slow
CALLS = int(os.environ.get("FAREGATE_SOAK", "2000"))
THREADS = 8
GROWTH = 24 * 2**20
COMPLETION = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}'
)
PLAIN = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'


def sized(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


SCRIPTS: dict[bytes, Script] = {
    b"/v1/chat/completions": answer(sized(b"200 OK", COMPLETION)),
    b"/v1/stream/chat/completions": answer(HEAD, *chunked([DELTA] * 20 + [USAGE, DONE])),
    b"/v1/refused": answer(
        sized(b"400 Bad Request", b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}')
    ),
    b"/v1/failed": answer(sized(b"500 Oh", b'{"error":{"message":"oh"}}')),
    b"/v1/big": answer(sized(b"200 OK", b'"' + b"x" * 200_000 + b'"')),
    b"/v1/cut": (ReadBody(), Send(HEAD + b"5\r\nhalf"), Close()),
    b"/v1/left": (ReadBody(), Send(HEAD + b"5\r\nhello\r\n"), AwaitClosed()),
}
OUTCOMES = {b"/v1/refused": {"error"}, b"/v1/failed": {"error"}, b"/v1/cut": {"error", "interrupted"}, b"/v1/left": {"cancelled"}}
KINDS = [*SCRIPTS, b"/sim/v1/chat/completions"]


def call(gate: Gate, target: bytes, made: dict[str, bytes], seen: Seen) -> None:
    """Make one call, and note its id."""
    credential = b"Bearer " + MANAGED.encode()
    body = STREAM if b"stream" in target else PLAIN.replace(b"gpt-4o", b"chat") if b"sim" in target else PLAIN
    with RawClient(gate.address) as client:
        client.send(request(target=target, body=body, credential=credential))
        client.until_got(b"\r\n\r\n")
        number = call_in(b"".join(piece for _, piece in client.pieces))
        assert number is not None
        made[number] = target
        if target == b"/v1/left":
            client.until_got(b"hello")
        else:
            client.answer()
    seen.note(number, complete=True)


def test_every_call_is_recorded_once_and_memory_is_flat(whole: Gate, upstream: ScriptedUpstream) -> None:
    made: dict[str, bytes] = {}
    seen = Seen()
    upstream.plan(SCRIPTS[b"/v1/chat/completions"])
    for path, script in SCRIPTS.items():
        upstream.plan_path(path, script)
    grown = [_measured(whole, upstream, made, seen, CALLS // 4) for _ in range(6)]
    with Records(whole) as records:
        assert records.missing(set(made)) == set()
        stored = list(records.all())
    assert Counter(record["id"] for record in stored) == Counter(dict.fromkeys(made, 1))
    for record in stored:
        assert record["outcome"] in OUTCOMES.get(made[record["id"]], {"ok"}), record
    log.info("resident memory after each part, in MiB: %s", [size // 2**20 for size in grown])
    # The first parts fill caches and the allocator's arenas.
    assert grown[5] - grown[3] < GROWTH, grown


def _measured(gate: Gate, upstream: ScriptedUpstream, made: dict[str, bytes], seen: Seen, calls: int) -> int:
    """Make `calls` calls of all kinds, and return the memory that the gateway has then."""
    items = [partial(call, gate, KINDS[number % len(KINDS)], made, seen) for number in range(calls)]
    errors = shared(items, THREADS)
    assert errors == []
    upstream.received.clear()
    return gate.rss()
