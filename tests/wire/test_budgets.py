"""Calls of keys under a budget, through real sockets: who is refused and how, what is told, and what is changed."""

import json

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.messages import chunked
from tests.harness.steps import Await, ReadBody, Send, answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.wire.budgets import DELTA, HEAD, asked, call, chat, locked
from tests.wire.settings import MANAGED

FACTS = "limit $0.0000005, spent $0.00, held $0.00, this request up to $0.000001. It never resets. Lower max_tokens or raise the budget."
MESSAGE = b'{"model":"m","max_tokens":450,"messages":[{"role":"user","content":"%b"}]}'
GEMINI = b'{"generationConfig":{"maxOutputTokens":450},"contents":[{"parts":[{"text":"%b"}]}]}'
DIALECTS = {
    "openai": (b"/v1/chat/completions", chat()),
    "responses": (b"/v1/responses", b'{"model":"m","max_output_tokens":450,"input":"%b"}'),
    "anthropic": (b"/anthropic/v1/messages", MESSAGE),
    "gemini": (b"/gemini/v1beta/models/m:generateContent", GEMINI),
}
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def gate(running_budgets: Gate) -> Gate:
    assert running_budgets.alive, running_budgets.said()[-2000:]
    return running_budgets


def of_length(body: bytes, length: int = 100) -> bytes:
    """Return `body` with so much text in it that it has this length."""
    return body if b"%b" not in body else body.replace(b"%b", b"x" * (length - len(body) + 2))


def headers_of(got: Answer) -> dict[str, str]:
    names = ("x-should-retry", "retry-after", "retry-after-ms", "x-faregate-budget", "x-faregate-error-origin", "content-type")
    return {name: value for name in names if (value := got.header(name)) is not None}


# Refusals


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("key", "status"), [("spent", 429), ("spent-402", 402)])
def test_a_refusal_says_all_in_the_callers_dialect_and_reaches_nobody(
    key: str, status: int, dialect: str, gate: Gate, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answer(OK))
    target, body = DIALECTS[dialect]
    got = call(gate, key, of_length(body), target=target)
    assert got.head.start == b"HTTP/1.1 %d %b" % (status, {429: b"Too Many Requests", 402: b"Payment Required"}[status])
    assert headers_of(got) == {
        "content-type": "application/json",
        "x-should-retry": "false",
        "x-faregate-error-origin": "gateway",
        "x-faregate-budget": f"key:{key};limit=0.0000005;spent=0.00;held=0.00;resets=never",
    }
    message = f"Budget 'key:{key}' would be exceeded: {FACTS}"
    code = "insufficient_quota"
    assert (
        json.loads(got.body.data)
        == {
            "openai": (own := {"error": {"message": message, "type": code, "param": None, "code": code}}),
            "responses": own,
            "anthropic": {
                "type": "error",
                "error": {"type": {429: "rate_limit_error", 402: "billing_error"}[status], "message": message},
            },
            "gemini": {"error": {"code": status, "message": message, "status": "RESOURCE_EXHAUSTED"}},
        }[dialect]
    )
    assert upstream.received == []


def test_a_call_that_may_cost_more_than_one_call_may_is_refused(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    got = call(gate, "per-call")
    assert (got.status, upstream.received) == (429, [])
    assert "allows $0.0000009 for one call" in json.loads(got.body.data)["error"]["message"]
    assert call(gate, "per-call", chat(400)).status == 200


def test_while_another_call_holds_the_rest_a_call_is_to_come_again_soon(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Await("go on"), Send(OK)))
    with RawClient(gate.address) as first:
        first.send(asked("waiting"))
        upstream.wait_for(1)
        got = call(gate, "waiting")
        assert (got.status, json.loads(got.body.data)["error"]["code"], got.header("x-should-retry")) == (
            429,
            "budget_in_flight",
            "true",
        )
        assert 0 < int(got.header("retry-after-ms") or 0) <= 2_000
        assert got.header("retry-after") is None
        assert got.header("x-faregate-budget") == "key:waiting;limit=0.0000015;spent=0.00;held=0.000001;resets=never"
        upstream.signal("go on")
        assert first.answer().status == 200
    assert len(upstream.received) == 1


def test_refused_and_served_calls_share_a_connection(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        for key, status in (("in-a-row", 200), ("spent", 429), ("in-a-row", 200), ("in-a-row", 429), ("unlimited", 200)):
            client.send(asked(key))
            assert client.answer().status == status
        client.send(asked("spent") + asked("unlimited") + asked("in-a-row"))
        assert [client.answer().status for _ in range(3)] == [429, 200, 429]
    assert len(upstream.received) == 4


# What an answer tells


def test_an_answer_says_what_is_left(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    left = [call(gate, "plenty").header("x-faregate-budget-remaining-usd") for _ in range(3)]
    assert left == ["0.000099", "0.000098", "0.000097"]


def test_a_soft_budget_refuses_nobody_and_warns(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    got = [call(gate, "warned") for _ in range(2)]
    assert [one.status for one in got] == [200, 200]
    assert [one.header("x-faregate-budget-warning") for one in got] == [
        None,
        "key:warned;limit=0.0000011;spent=0.00;held=0.000002;resets=never;passed=1",
    ]


@pytest.mark.parametrize("key", ["unlimited", None], ids=["managed", "passed through"])
def test_a_call_under_no_budget_is_told_nothing_and_no_ledger_is_touched(
    key: str | None, gate: Gate, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answer(OK))
    ledger = gate.data / "ledger.db"
    before = ledger.stat() if ledger.exists() else None
    with RawClient(gate.address) as client:
        sent = asked("unlimited")
        client.send(sent if key else sent.replace(b"Bearer fg-", b"Bearer sk-"))
        got = client.answer()
    assert got.status == 200
    assert [name for name, _ in got.head.headers if name.lower().startswith(b"x-faregate-budget")] == []
    assert (ledger.stat() if ledger.exists() else None) == before


def test_a_gate_without_budgets_has_no_ledger(protocol_gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(protocol_gate.address) as client:
        client.send(request(body=chat(), credential=b"Bearer " + MANAGED.encode()))
        assert client.answer().status == 200
    assert not (protocol_gate.data / "ledger.db").exists()


# What is changed


def test_clamping_lowers_one_field_and_nothing_else(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    body = b'{ "model" :"m","x":[1.0,"\\u00e9"],\n "max_tokens" : 450 , "temperature":1e0 }'
    got = call(gate, "clamped", body)
    most = (700 - len(body)) // 2
    assert (got.status, got.header("x-faregate-budget-clamped")) == (200, f"max_tokens={most}")
    (received,) = upstream.wait_for(1)
    assert received.body is not None
    assert received.body.data == body.replace(b"450", b"%d" % most)
    assert received.head.value(b"content-length") == b"%d" % len(received.body.data)


def test_clamping_puts_a_maximum_where_there_is_none(gate: Gate, upstream: ScriptedUpstream) -> None:
    """The body has a field of ours, which is cut out at the same place, and asks for a stream, which asks for usage there too."""
    upstream.plan(answer(HEAD, *chunked([DELTA, DONE])))
    body = b'{"faregate":{"session":"s"},"model":"openai/gpt-4o","stream":true,"messages":[]}'
    got = call(gate, "clamped-stream", body)
    (received,) = upstream.wait_for(1)
    assert received.body is not None
    sent = json.loads(received.body.data)
    clamped = got.header("x-faregate-budget-clamped")
    assert clamped in {f"{name}={sent.pop(name)}" for name in ("max_tokens", "max_completion_tokens") if name in sent}
    assert sent == {"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}, "messages": []}
    assert got.body.data == DELTA + DONE


def test_clamping_knows_geminis_place(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    body = of_length(GEMINI)
    got = call(gate, "clamped-gemini", body, target=b"/gemini/v1beta/models/m:generateContent")
    assert (got.status, got.header("x-faregate-budget-clamped")) == (200, "generationConfig.maxOutputTokens=300")
    (received,) = upstream.wait_for(1)
    assert received.body is not None
    assert received.body.data == body.replace(b"450", b"300")


# What costs nothing


@pytest.mark.parametrize(
    "free",
    [
        (b"GET", b"/v1/models", b""),
        (b"GET", b"/v1/files/file-1/content", b""),
        (b"DELETE", b"/v1/files/file-1", b""),
        (b"POST", b"/v1/moderations", b'{"model":"omni-moderation-latest","input":"x"}'),
        (b"POST", b"/anthropic/v1/messages/count_tokens", b'{"model":"m","messages":[]}'),
    ],
    ids=["models", "a file", "deleting", "moderation", "counting"],
)
@pytest.mark.parametrize("key", ["nothing", "nothing-by-tokens"])
def test_what_costs_nothing_passes_under_a_spent_budget(
    key: str, free: tuple[bytes, bytes, bytes], gate: Gate, upstream: ScriptedUpstream
) -> None:
    method, target, body = free
    upstream.plan(answer(OK))
    assert call(gate, key, body, target=target, method=method).status == 200
    assert call(gate, key).status == 429
    assert len(upstream.wait_for(1)) == 1


def test_a_free_model_answers_when_the_money_is_spent(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    assert call(gate, "nothing", chat(model="free")).status == 200
    assert call(gate, "nothing-by-tokens", chat(model="free")).status == 429


def test_calls_are_counted_too(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    assert [call(gate, "calls").status for _ in range(3)] == [200, 200, 429]
    assert len(upstream.received) == 2


# Uploads


def upload(key: str, size: int) -> bytes:
    form = (
        b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"'
        b"\r\nContent-Type: audio/wav\r\n\r\n" + bytes(size) + b"\r\n--B--\r\n"
    )
    return asked(key, form, target=b"/v1/audio/transcriptions").replace(b"application/json", b"multipart/form-data; boundary=B")


@pytest.mark.parametrize("size", [1_000, 300_000], ids=["short", "longer than is held"])
def test_an_upload_passes_whole_or_not_at_all(size: int, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    for key, status in (("upload", 200), ("upload-strict", 429)):
        with RawClient(gate.address) as client:
            client.send(upload(key, size))
            assert (got := client.answer()).status == status, got.body.data
    (received,) = upstream.received
    assert received.body is not None
    assert bytes(size) in received.body.data


# The ledger is away


def test_while_the_ledger_is_locked_each_budget_says_what_happens(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    assert [call(gate, key).status for key in ("locked-closed", "locked-open")] == [200, 200]
    with locked(gate):
        refused, passed = call(gate, "locked-closed"), call(gate, "locked-open")
        assert call(gate, "unlimited").status == 200
    assert (refused.status, json.loads(refused.body.data)["error"]["code"]) == (503, "budget_unavailable")
    assert (refused.header("x-should-retry"), refused.header("retry-after-ms")) == ("true", "2000")
    assert (passed.status, passed.header("x-faregate-budget-remaining-usd")) == (200, None)
    assert [call(gate, key).status for key in ("locked-closed", "locked-open")] == [200, 200]


# Limits of a key


def limit_headers(got: Answer) -> dict[str, str]:
    return {
        name.decode(): value.decode()
        for name, value in got.head.headers
        if name.startswith(b"x-ratelimit") and not name.startswith(b"x-ratelimit-reset")
    }


def test_a_key_that_calls_too_often_waits_a_minute_at_most(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    got = [call(gate, "often") for _ in range(3)]
    assert [one.status for one in got] == [200, 200, 429]
    check_pace(got[-1], {"x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": "0"})
    assert len(upstream.received) == 2


def test_a_key_that_uses_too_many_tokens_waits_a_minute_at_most(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    got = [call(gate, "much", chat(200)) for _ in range(2)]
    assert [one.status for one in got] == [200, 429]
    check_pace(got[-1], {"x-ratelimit-limit-tokens": "400", "x-ratelimit-remaining-tokens": "175"})


def check_pace(got: Answer, limits: dict[str, str]) -> None:
    assert json.loads(got.body.data)["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(got.header("retry-after") or 0) <= 60
    assert 0 < int(got.header("retry-after-ms") or 0) <= 60_000
    assert got.header("x-should-retry") == "true"
    assert limit_headers(got) == limits


@pytest.mark.parametrize("leaves", [False, True], ids=["it ends", "its caller leaves"])
def test_as_many_calls_run_at_once_as_the_key_may_have(leaves: bool, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Await("go on"), Send(OK)), answer(OK))
    with RawClient(gate.address) as first:
        first.send(asked("side-by-side"))
        upstream.wait_for(1)
        got = call(gate, "side-by-side")
        assert (got.status, json.loads(got.body.data)["error"]["code"]) == (429, "rate_limit_exceeded")
        assert got.header("retry-after") == "1"
        if leaves:
            first.close()
        else:
            upstream.signal("go on")
            assert first.answer().status == 200
    until(lambda: call(gate, "side-by-side").status == 200, "the place is not free again")
