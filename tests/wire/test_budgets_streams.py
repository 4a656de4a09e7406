"""Streams and sessions under a balanced budget, through real sockets: paid for slice by slice, and ended where nothing is left."""

import gzip
import json

import pytest

from tests.harness.client import RawClient
from tests.harness.frames import SWITCHING, frame, handshake
from tests.harness.gate import Gate
from tests.harness.steps import Await, AwaitClosed, ReadBody, Script, Send, Take, answer, in_lockstep
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.wire.budgets import DELTA, ENOUGH, HEAD, LEAST, asked, call, chat, chunk, locked, secret

ANTHROPIC_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"word "}}\n\n'
)
GEMINI_DELTA = b'data: {"candidates":[{"content":{"parts":[{"text":"word "}],"role":"model"},"index":0}]}\r\n\r\n'
RESPONSE_DELTA = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"i","delta":"word "}\n\n'
)
MESSAGE = b'{"model":"m","max_tokens":9000,"stream":true,"messages":[]}'
DIALECTS = {
    "cut": (b"/v1/chat/completions", chat(9_000, stream=True, stream_options={"include_usage": True}, length=150), DELTA),
    "cut-usage": (b"/v1/chat/completions", chat(9_000, stream=True), DELTA),
    "cut-responses": (b"/v1/responses", b'{"model":"m","max_output_tokens":9000,"stream":true,"input":"hi"}', RESPONSE_DELTA),
    "cut-anthropic": (b"/anthropic/v1/messages", MESSAGE, ANTHROPIC_DELTA),
    "cut-gemini": (
        b"/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
        b'{"generationConfig":{"maxOutputTokens":9000},"contents":[]}',
        GEMINI_DELTA,
    ),
}
SESSION = b"/v1/realtime?model=m"


@pytest.fixture
def gate(running_budgets: Gate) -> Gate:
    assert running_budgets.alive, running_budgets.said()[-2000:]
    return running_budgets


@pytest.fixture
def exact(running_exact: Gate) -> Gate:
    assert running_exact.alive, running_exact.said()[-2000:]
    return running_exact


def runs_on(*pieces: bytes, head: bytes = HEAD) -> Script:
    """Return an answer that begins with these pieces and would go on: it waits for the gate to close."""
    return (ReadBody(), Send(head), *(Send(piece) for piece in pieces), AwaitClosed())


def split_at(data: bytes, delta: bytes) -> tuple[int, bytes]:
    """Return how many whole events `data` begins with, and what is behind them."""
    count = 0
    while data.startswith(delta):
        count, data = count + 1, data[len(delta) :]
    return count, data


def ended_with(rest: bytes, key: str) -> dict[str, object]:
    """Return the error that the one event in `rest` says."""
    *lines, data, blank, nothing = rest.split(b"\n")
    assert (blank, nothing) == (b"", b"")
    assert lines == ([b"event: error"] if key in {"cut-responses", "cut-anthropic"} else [])
    said = json.loads(data.removeprefix(b"data: "))
    error: dict[str, object] = said["error"]
    assert f"Budget 'key:{key}' would be exceeded" in str(error["message"])
    return said if key == "cut-responses" else error


def check_cut(key: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    target, body, delta = DIALECTS[key]
    upstream.plan(runs_on(chunk(delta * ENOUGH)))
    got = call(gate, key, body, target=target, headers=b"Accept-Encoding: gzip, br\r\n")
    assert (got.status, got.body.framing, got.body.ending) == (200, "chunked", "complete")
    count, rest = split_at(got.body.data, delta)
    assert LEAST < count <= ENOUGH
    error = ended_with(rest, key)
    if key == "cut-anthropic":
        assert error["type"] == "rate_limit_error"
    elif key == "cut-gemini":
        assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    else:
        assert error["code"] == "insufficient_quota"
    until(lambda: upstream.received[0].link.ended is not None, "the upstream was not closed")
    assert upstream.received[0].head.value(b"accept-encoding") == b"identity"


@pytest.mark.parametrize("key", DIALECTS)
def test_a_stream_that_is_no_longer_paid_for_ends_with_an_error_event(key: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    check_cut(key, gate, upstream)


@pytest.mark.parametrize("key", ["cut", "cut-usage"])
def test_such_an_end_waits_for_an_exact_record_too(key: str, exact: Gate, upstream: ScriptedUpstream) -> None:
    check_cut(key, exact, upstream)


def check_cut_on_a_warm_connection(key: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    """A call that waits for no connection runs without a task of its own."""
    upstream.plan(answer(OK), runs_on(chunk(DELTA * ENOUGH)))
    with RawClient(gate.address) as client:
        client.send(asked("warm"))
        assert client.answer().status == 200
        client.send(asked(key, chat(9_000, stream=True)))
        got = client.answer()
        assert len({id(one.link) for one in upstream.received}) == 1
        count, rest = split_at(got.body.data, DELTA)
        assert LEAST < count <= ENOUGH
        assert ended_with(rest, key)["code"] == "insufficient_quota"
        assert got.body.ending == "complete"
        until(lambda: upstream.received[0].link.ended is not None, "the upstream was not closed")
        # The caller's connection goes on.
        upstream.plan(answer(OK))
        client.send(asked("warm"))
        assert client.answer().status == 200


def test_a_stream_on_a_warm_connection_is_ended_too(gate: Gate, upstream: ScriptedUpstream) -> None:
    check_cut_on_a_warm_connection("cut-warm", gate, upstream)


def test_a_stream_on_a_warm_connection_is_ended_behind_an_exact_record(exact: Gate, upstream: ScriptedUpstream) -> None:
    check_cut_on_a_warm_connection("cut-warm-exact", exact, upstream)


@pytest.mark.parametrize("key", ["cut-locked", "cut-locked-open"])
def test_while_the_ledger_is_locked_a_running_stream_does_what_its_budget_says(
    key: str, gate: Gate, upstream: ScriptedUpstream
) -> None:
    sent = DELTA * ENOUGH
    upstream.plan((ReadBody(), Send(HEAD + chunk(DELTA)), Await("locked"), Send(chunk(sent)), Await("asked"), Send(b"0\r\n\r\n")))
    with RawClient(gate.address) as client:
        client.send(asked(key, chat(9_000, stream=True)))
        client.until_got(b"word")
        with locked(gate):
            upstream.signal("locked")
            if key == "cut-locked":
                client.until_got(b"budget_unavailable")
            else:
                client.until_got(sent[-200:])
        upstream.signal("asked")
        got = client.answer()
    count, rest = split_at(got.body.data, DELTA)
    assert got.body.ending == "complete"
    if key == "cut-locked":
        assert json.loads(rest.removeprefix(b"data: "))["error"]["code"] == "budget_unavailable"
    else:
        assert (count, rest) == (ENOUGH + 1, b"")


def test_a_stream_that_is_asked_for_again_without_usage_is_still_paid_for(gate: Gate, upstream: ScriptedUpstream) -> None:
    told = b'{"error":{"message":"unknown field stream_options"}}'
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told)
    upstream.plan(answer(refusal), runs_on(chunk(DELTA * ENOUGH)))
    got = call(gate, "cut-asked-again", chat(9_000, stream=True), target=b"/picky/v1/chat/completions")
    count, rest = split_at(got.body.data, DELTA)
    assert count > LEAST
    assert ended_with(rest, "cut-asked-again")["code"] == "insufficient_quota"
    bodies = [one.body.data for one in upstream.received if one.body]
    assert [b"stream_options" in body for body in bodies] == [True, False]


@pytest.mark.parametrize("asks", [False, True], ids=["usage withheld", "usage asked for"])
def test_an_event_that_has_begun_ends_first(asks: bool, gate: Gate, upstream: ScriptedUpstream) -> None:
    key, options = ("cut-inside-usage", {"stream_options": {"include_usage": True}}) if asks else ("cut-inside", {})
    paid = DELTA * (LEAST - 1) + DELTA.replace(b"word", b"paid")
    begun = DELTA * (ENOUGH - LEAST - 1) + DELTA.replace(b"word", b"last") + DELTA[:20]
    upstream.plan(
        (
            ReadBody(),
            Send(HEAD + chunk(paid)),
            Await("paid"),
            Send(chunk(begun)),
            Await("begun"),
            Send(chunk(DELTA[20:] + DELTA)),
            AwaitClosed(),
        )
    )
    with RawClient(gate.address) as client:
        client.send(asked(key, chat(9_000, stream=True, length=200, **options)))
        client.until_got(b"paid")
        upstream.signal("paid")
        # With that more has passed than is paid for, and an event has begun.
        client.until_got(b"last")
        upstream.signal("begun")
        got = client.answer()
    whole = paid + begun + DELTA[20:]
    assert got.body.data.startswith(whole)
    assert ended_with(got.body.data[len(whole) :], key)["code"] == "insufficient_quota"


def check_broken_off(gate: Gate, upstream: ScriptedUpstream, asks: bool) -> None:
    """Nothing can be put at the end of a compressed stream; so the caller must see that it is not whole."""
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    packed = gzip.compress(b"".join(DELTA.replace(b"word", b"%08x" % (number * 2654435761 % 2**32)) for number in range(1_000)))
    upstream.plan(runs_on(chunk(packed[:-8]), head=head))
    options = {"stream_options": {"include_usage": True}} if asks else {}
    got = call(gate, "cut-gzip-usage" if asks else "cut-gzip", chat(9_000, stream=True, length=200, **options))
    assert got.status == 200
    assert got.body.ending != "complete"
    assert packed.startswith(got.body.data)
    until(lambda: upstream.received[0].link.ended is not None, "the upstream was not closed")


@pytest.mark.parametrize("asks", [False, True], ids=["usage withheld", "usage asked for"])
def test_a_compressed_stream_is_broken_off(asks: bool, gate: Gate, upstream: ScriptedUpstream) -> None:
    check_broken_off(gate, upstream, asks)


@pytest.mark.parametrize("asks", [False, True], ids=["usage withheld", "usage asked for"])
def test_a_compressed_stream_is_broken_off_behind_an_exact_record(asks: bool, exact: Gate, upstream: ScriptedUpstream) -> None:
    check_broken_off(exact, upstream, asks)


def test_a_stream_without_a_length_ends_with_the_error_and_the_connection(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(runs_on(DELTA * ENOUGH, head=b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"))
    got = call(gate, "cut-until-close", chat(9_000, stream=True))
    assert (got.status, got.body.ending) == (200, "complete")
    count, rest = split_at(got.body.data, DELTA)
    assert count > LEAST
    assert ended_with(rest, "cut-until-close")["code"] == "insufficient_quota"


def test_a_stream_that_is_paid_for_passes_whole_and_more_is_held_as_it_runs(gate: Gate, upstream: ScriptedUpstream) -> None:
    pieces = [DELTA * 499 + DELTA.replace(b"word", b"%04d" % number) for number in range(10)]
    first, *later = (chunk(piece) for piece in pieces)
    upstream.plan(in_lockstep(HEAD + first, *later, chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"))
    with RawClient(gate.address) as client:
        client.send(asked("grown", chat(9_000, stream=True)))
        for number in range(10):
            client.until_got(b'"%04d "' % number)
            upstream.signal(f"piece-{number + 1}")
        got = client.answer()
    assert (got.body.data, got.body.ending) == (b"".join(pieces) + b"data: [DONE]\n\n", "complete")
    left = call(gate, "grown", chat(450)).header("x-faregate-budget-remaining-usd")
    held = 100_000 - round(float(left or 0) * 10**9) - 1_000
    assert 100 + 2 * 5_000 <= held <= 100 + 2 * 7_500


@pytest.mark.parametrize("running_budgets", ["protocol"], indirect=True)  # WebSockets are the protocol class's
def test_a_session_is_paid_for_by_its_bytes_and_ends(gate: Gate, upstream: ScriptedUpstream) -> None:
    sound = frame(bytes(60_000), mask=None)
    upstream.plan((Send(SWITCHING), Take(10), Send(sound), Send(sound), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(handshake(SESSION, credential=b"Bearer " + secret("session")))
        client.until_got(b"\r\n\r\n")
        client.send(bytes(10))
        assert client.ending() in {"closed", "reset"}
    until(lambda: upstream.received[0].link.ended is not None, "the upstream was not closed")


@pytest.mark.parametrize("running_budgets", ["protocol"], indirect=True)
def test_a_strict_budget_lets_no_session_begin(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with RawClient(gate.address) as client:
        client.send(handshake(SESSION, credential=b"Bearer " + secret("session-strict")))
        got = client.answer(b"GET")
    assert (got.status, upstream.received) == (429, [])
    assert "a session has no end" in json.loads(got.body.data)["error"]["message"]
