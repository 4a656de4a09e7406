"""What an app says and does is in the record: labels from everywhere, what was sent and came, and how it ended."""

import json
from collections.abc import Iterator

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.frames import BINARY, CLOSE, SWITCHING, frame, handshake
from tests.harness.gate import Gate, run_gate
from tests.harness.messages import chunked
from tests.harness.records import Records
from tests.harness.steps import AwaitClosed, Close, ReadBody, Reset, Script, Send, Take, answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.whole.conftest import UP
from tests.whole.load import DELTA, DONE, HEAD, USAGE, call_in
from tests.wire.settings import KEYS, MANAGED, OWN, upstream_table

PLAIN = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
COMPLETION = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}'
)
ANSWERED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: %d\r\n\r\n%b" % (
    len(COMPLETION),
    COMPLETION,
)
WHOLE = answer(ANSWERED)


@pytest.fixture(scope="module")
def records(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, Records]]:
    tables = upstream_table("openai", upstream.port) + upstream_table("anthropic", upstream.port, path="", dialect="anthropic")
    gate = run_gate(tables + KEYS, data=tmp_path_factory.mktemp("whole"), command=UP)
    until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
    with Records(gate) as reader:
        yield gate, reader
    gate.stop()


@pytest.fixture
def made(records: tuple[Gate, Records], upstream: ScriptedUpstream):
    """Make one call, and return its record."""
    gate, reader = records

    def make(
        target: bytes = b"/v1/chat/completions",
        *,
        script: Script = WHOLE,
        body: bytes = PLAIN,
        headers: bytes = b"",
        credential: bytes = b"Bearer sk-x",
    ):
        upstream.plan(script)
        with RawClient(gate.address) as client:
            client.send(request(target=target, body=body, headers=headers, credential=credential))
            return reader.one(client.answer().header("x-faregate-call"))

    return make


LABELLED = {
    "headers": (
        {
            "headers": b"x-faregate-session: s\r\nX-Faregate-Run: r\r\nx-faregate-section: agent:a/tool:b\r\nx-faregate-customer: c\r\nx-faregate-user: u\r\nx-faregate-env: e\r\nx-faregate-release: 1\r\nx-faregate-prompt: p@2\r\nx-faregate-tags: team=search,tier=pro\r\n"
        },
        {
            "session": "s",
            "run": "r",
            "section": "agent:a/tool:b",
            "customer": "c",
            "user": "u",
            "env": "e",
            "release": "1",
            "prompt": "p@2",
        },
        {"team": "search", "tier": "pro"},
    ),
    "path": (
        {"target": b"/@session=s%201,customer=caf%C3%A9,tag.team=a%2Cb/v1/chat/completions"},
        {"session": "s 1", "customer": "café"},
        {"team": "a,b"},
    ),
    "body": (
        {"body": b'{"faregate":{"session":"s","tags":{"team":"x"}},"model":"gpt-4o","messages":[]}'},
        {"session": "s"},
        {"team": "x"},
    ),
    "baggage": (
        {"headers": b"baggage: session.id=s,user.id=u,faregate.customer=c,other=x\r\n"},
        {"session": "s", "user": "u", "customer": "c"},
        {},
    ),
    "Helicone": (
        {"headers": b"Helicone-Session-Id: s\r\nHelicone-User-Id: u\r\nHelicone-Property-Team: t\r\n"},
        {"session": "s", "user": "u"},
        {"Team": "t"},
    ),
    "LiteLLM": ({"headers": b"x-litellm-customer-id: c\r\nx-litellm-end-user-id: u\r\n"}, {"customer": "c", "user": "u"}, {}),
    "a header beats the path": (
        {"target": b"/@session=path/v1/chat/completions", "headers": b"x-faregate-session: header\r\n"},
        {"session": "header"},
        {},
    ),
    "the body's standard field": ({"body": b'{"model":"gpt-4o","messages":[],"user":"u9"}'}, {"user": "u9"}, {}),
}


@pytest.mark.parametrize("where", LABELLED)
def test_labels_land_in_the_record(where: str, made) -> None:
    asked, labels, tags = LABELLED[where]
    record = made(**asked)
    assert {name: record["labels"][name] for name in labels} == labels
    found = {name.lower(): value for name, value in record["labels"]["tags"].items()}
    assert found == {name.lower(): value for name, value in tags.items()}


def test_a_trace_goes_on(made) -> None:
    record = made(headers=b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n")
    assert (record["trace_id"], record["parent_span_id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def test_a_keys_tags_are_labels_and_its_name_is_kept(made) -> None:
    record = made(credential=b"Bearer " + MANAGED.encode())
    assert record["key"] == "ci"
    assert record["labels"]["tags"] == {"team": "search"}


def test_a_call_says_what_it_was(made, records: tuple[Gate, Records]) -> None:
    record = made()
    assert (record["operation"], record["upstream"], record["model"], record["served_model"]) == (
        "chat",
        "openai",
        "gpt-4o",
        "gpt-4o-2024-08-06",
    )
    assert (record["outcome"], record["status"], record["stream"]) == ("ok", 200, False)
    assert (record["usage"]["input_tokens"], record["usage"]["output_tokens"], record["usage"]["source"]) == (5, 7, "provider")
    assert (record["request_bytes"], record["response_bytes"]) == (len(PLAIN), len(COMPLETION))
    assert [(attempt["upstream"], attempt["status"], attempt["error"]) for attempt in record["attempts"]] == [
        ("openai", 200, None)
    ]
    # 5 tokens at 2.50 and 7 at 10 US dollars a million.
    assert (record["cost_usd"], record["cost_status"]) == ("0.0000825", "exact")
    text = json.dumps(record)
    assert OWN not in text
    assert "sk-x" not in text


def test_a_stream_has_the_usage_that_the_app_did_not_see(made) -> None:
    body = b'{"model":"gpt-4o","messages":[],"stream":true}'
    record = made(script=answer(HEAD, *chunked([DELTA, DELTA, USAGE, DONE])), body=body)
    assert record["usage"]["input_tokens"] == 5
    assert record["changes"] == ["stream_options"]
    assert record["output"]["choices"][0]["message"]["content"] == "word word "
    assert record["time_to_first_chunk_ms"] is not None


ENDED: dict[str, tuple[Script, str, int | None]] = {
    "an upstream's error": (answer(b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\n{}"), "error", 400),
    "no answer": ((ReadBody(), Reset()), "error", 502),
    "a stream that breaks off": ((ReadBody(), Send(HEAD + b"5\r\nhello\r\n"), Close()), "error", 200),
}


@pytest.mark.parametrize("how", ENDED)
def test_every_ending_leaves_a_record(how: str, made) -> None:
    script, outcome, status = ENDED[how]
    record = made(script=script)
    assert (record["outcome"], record["status"]) == (outcome, status)
    assert record["error"] is not None


def test_a_caller_that_left_leaves_a_record(records: tuple[Gate, Records], upstream: ScriptedUpstream) -> None:
    gate, reader = records
    upstream.plan((ReadBody(), Send(HEAD + b"%x\r\n%b\r\n" % (len(DELTA), DELTA)), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(request(body=b'{"model":"gpt-4o","messages":[],"stream":true}'))
        client.until_got(b"word")
        call = call_in(b"".join(piece for _, piece in client.pieces))
    record = reader.one(call)
    assert (record["outcome"], record["status"]) == ("cancelled", 200)


def test_a_refused_call_leaves_a_record(made) -> None:
    record = made(credential=b"Bearer fg-" + b"nobody-nobody-nobody-nobody-nobody")
    assert (record["outcome"], record["status"], record["error"]["code"]) == ("denied", 401, "invalid_api_key")
    assert record["attempts"] == []


def test_a_websocket_leaves_a_record(records: tuple[Gate, Records], upstream: ScriptedUpstream) -> None:
    gate, reader = records
    hello, bye = frame(b'{"type":"session.update"}'), frame(b"\x03\xe8", CLOSE)
    reply = frame(b'{"type":"session.created"}', mask=None) + frame(b"\x00\x01", BINARY, mask=None)
    upstream.plan(
        (Send(SWITCHING), Take(len(hello)), Send(reply), Take(len(bye)), Send(frame(b"\x03\xe8", CLOSE, mask=None)), Close())
    )
    with RawClient(gate.address) as client:
        client.send(handshake())
        client.until_got(b"\r\n\r\n")
        call = call_in(b"".join(piece for _, piece in client.pieces))
        client.send(hello)
        client.until_got(reply)
        client.send(bye)
        client.ending()
    record = reader.one(call)
    assert (record["operation"], record["status"], record["outcome"]) == ("realtime", 101, "ok")
    assert record["model"] == "gpt-4o-realtime-preview"


@pytest.mark.parametrize(("header", "content"), [(b"", "full"), (b"x-faregate-capture: none\r\n", "none")])
def test_capture_is_as_the_app_asks(header: bytes, content: str, made) -> None:
    record = made(headers=header)
    assert record["content"] == content
    assert (record["input"] is None) == (content == "none")


def test_a_large_body_is_cut_and_says_so(made) -> None:
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"x" * 9_000_000 + b'"}]}'
    record = made(body=body, script=answer(OK))
    assert record["content"] == "cut"
    assert record["request_bytes"] == len(body)
