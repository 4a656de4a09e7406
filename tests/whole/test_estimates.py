"""Through a whole gateway: a stream that its app left is counted for what was sent, and an answer without usage for what it was."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate, run_gate
from tests.harness.records import Records
from tests.harness.steps import AwaitClosed, Close, ReadBody, Script, Send
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.whole.conftest import UP
from tests.whole.test_kill import kill
from tests.wire.settings import KEYS, upstream_table

WORDS = ["The", " capital", " city", " of", " France", " is", " Paris", "."]  # a token each
TEXT = b"What is the capital city of France today?"  # 16 tokens as a chat
CHAT = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"%b"}]}' % TEXT
MESSAGE = b'{"model":"claude-sonnet-4-5","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"%b"}]}' % TEXT
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def event(value: object) -> bytes:
    data = b"data: %b\n\n" % json.dumps(value).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunk(word: str) -> bytes:
    return event({"id": "c", "model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "delta": {"content": word}}]})


def delta(word: str) -> bytes:
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})


CHUNKS = b"".join(map(chunk, WORDS))
DELTAS = b"".join(map(delta, WORDS))
STARTED = {
    "type": "message_start",
    "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1234, "output_tokens": 1}},
}


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    tables = upstream_table("openai", upstream.port) + upstream_table("anthropic", upstream.port, path="", dialect="anthropic")
    gate = run_gate(tables + KEYS, data=tmp_path_factory.mktemp("estimates"), command=UP)
    until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
    yield gate
    gate.stop()


def call_of(client: RawClient) -> str:
    """Return the id of the call whose answer has begun."""
    found = re.search(rb"x-faregate-call: (\w+)", bytes(client._raw), re.IGNORECASE)
    assert found is not None
    return found[1].decode()


LEFT: dict[str, tuple[bytes, bytes, bytes, tuple[int, int]]] = {
    "chat": (b"/v1/chat/completions", CHAT, CHUNKS, (16, 8)),
    "messages": (b"/anthropic/v1/messages", MESSAGE, event(STARTED) + DELTAS, (1234, 10)),  # 8 * 1.15, rounded up
}


@pytest.mark.parametrize("name", LEFT)
def test_a_stream_that_its_app_left_is_counted_for_what_was_sent(name: str, gateway: Gate, upstream: ScriptedUpstream) -> None:
    target, body, sent, tokens = LEFT[name]
    upstream.plan((ReadBody(), Send(HEAD + sent), AwaitClosed()))
    with RawClient(gateway.address) as client:
        client.send(request(target=target, body=body))
        client.until_got(b'"."')
        call = call_of(client)
        client.close(reset=True)
    assert counted(gateway, call) == ("cancelled", *tokens)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [((ReadBody(), Send(HEAD + CHUNKS + END)), "ok"), ((ReadBody(), Send(HEAD + CHUNKS), Close()), "error")],
    ids=["whole", "cut by the upstream"],
)
def test_an_answer_without_usage_is_counted(script: Script, outcome: str, gateway: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(script)
    with RawClient(gateway.address) as client:
        client.send(request(body=CHAT))
        client.until_got(b'"."')
        call = call_of(client)
        assert counted(gateway, call) == (outcome, 16, 8)


def test_a_call_whose_gate_was_killed_is_counted_as_far_as_it_was_written_down(gateway: Gate, upstream: ScriptedUpstream) -> None:
    """A long stream is written down every 64 KiB. What is written down before another call's record is safe when that one is."""
    upstream.plan(
        (ReadBody(), Send(HEAD + chunk(" city") * 2_000 + CHUNKS), AwaitClosed()), (ReadBody(), Send(HEAD + CHUNKS + END))
    )
    with RawClient(gateway.address) as client, RawClient(gateway.address) as other:
        client.send(request(body=CHAT))
        client.until_got(b'"."')
        call = call_of(client)
        other.send(request(body=CHAT))
        other.until_got(b'"."')
        assert counted(gateway, call_of(other)) == ("ok", 16, 8)
        kill(gateway, "gate")
    outcome, read, written = counted(gateway, call)
    assert (outcome, read) == ("interrupted", 16)
    assert 500 < written <= 2_008


def counted(gate: Gate, call: str) -> tuple[str, int, int]:
    """Return how a call ended and its tokens, which must be said to be estimated."""
    with Records(gate) as records:
        record = records.one(call)
    usage = record["usage"]
    assert usage["source"] == "estimated"
    assert any(flag.startswith("tiktoken:o200k") for flag in usage["flags"])
    assert record["cost_status"] == "estimated"
    return record["outcome"], usage["input_tokens"], usage["output_tokens"]
