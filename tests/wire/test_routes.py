"""Routes through real sockets, with a network that misbehaves between the gate and its first upstream."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage.folder import DataFolder
from storage.ledger.sqlite import SqliteSettling
from tests.harness.chaos import NONE, ChaosProxy, Fault
from tests.harness.client import Answer, RawClient
from tests.harness.frames import SWITCHING, frame, handshake
from tests.harness.gate import Gate, run_gate
from tests.harness.messages import chunked
from tests.harness.steps import Await, AwaitClosed, ReadBody, Script, Send, Signal, Take, answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.storage.journal.calls import read_all
from tests.wire.budgets import chat
from tests.wire.routed import COUNTED, PLENTY, asked, call, for_routes, prepare
from tests.wire.settings import MANAGED

OTHER = b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"b": 1}'
LONG = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"
# The request arrives, its answer does not.
LATE = Fault(latency=3_600.0)
HELLO = frame(b'{"type":"session.update"}')
CREATED = frame(b'{"type":"session.created"}', mask=None)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [b'data: {"n":%d}\n\n' % number for number in range(20)] + [b"data: [DONE]\n\n"]


@pytest.fixture(scope="module")
def chaos(upstream: ScriptedUpstream) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(upstream.address)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def running(
    upstream: ScriptedUpstream, second: ScriptedUpstream, chaos: ChaosProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("routes")
    prepare(folder / "data")
    gate = run_gate(for_routes(chaos.port, upstream.port, second.port), data=folder)
    yield gate
    gate.stop()


@pytest.fixture
def gate(running: Gate, upstream: ScriptedUpstream, second: ScriptedUpstream, chaos: ChaosProxy) -> Gate:
    assert running.alive, running.said()[-2000:]
    upstream.plan(answer(OK))
    second.plan(answer(OTHER))
    chaos.fault = NONE
    return running


def fails(status: int, extra: bytes = b"") -> Script:
    return answer(b"HTTP/1.1 %d Oh\r\n%bContent-Length: 2\r\n\r\n{}" % (status, extra))


# Before the first byte


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("refuse", Fault(refuse=True)),
        ("reset-0", Fault(reset_after=0)),
        ("reset-half-head", Fault(reset_after=20)),
        ("half-close", Fault(close_after=20)),
        ("swallow", Fault(swallow=True)),
        ("late", LATE),
        ("stall-head", Fault(stall_after=20)),
    ],
)
def test_the_next_upstream_answers_where_the_first_one_does_not(
    case: str, fault: Fault, gate: Gate, chaos: ChaosProxy, second: ScriptedUpstream
) -> None:
    chaos.fault = fault
    got = call(gate, case)
    assert (got.status, got.body.data) == (200, b'{"b": 1}')
    assert (got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == (f"y-{case}", "2")
    assert [one.body.data for one in second.received if one.body] == [chat()]


@pytest.mark.parametrize(("case", "fault"), [("drip", Fault(drip=True)), ("latency", Fault(latency=0.05))])
def test_what_is_only_slow_is_waited_for(
    case: str, fault: Fault, *, gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.plan(answer(LONG))
    chaos.fault = fault
    got = call(gate, case)
    assert (got.status, got.body.data, got.body.ending) == (200, b"x" * 200, "complete")
    assert (got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == (f"x-{case}", "1")
    assert second.received == []


# After the first byte


def broken_off(gate: Gate, chaos: ChaosProxy, case: str, body: bytes, seen: bytes) -> Answer:
    """Make a call whose answer breaks off as soon as its caller has seen these bytes of it."""
    with RawClient(gate.address) as client:
        client.send(asked(case, body))
        client.until_got(seen)
        chaos.let_go()
        return client.answer()


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("reset-body", Fault(reset_after=len(LONG) - 100, waits=True)),
        ("half-close-body", Fault(close_after=len(LONG) - 100, waits=True)),
        ("stall-body", Fault(stall_after=len(LONG) - 100)),
    ],
)
def test_once_the_answer_has_begun_it_ends_where_the_upstream_breaks_off(
    case: str, fault: Fault, *, gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.plan(answer(LONG))
    chaos.fault = fault
    got = broken_off(gate, chaos, case, chat(), b"x" * 100)
    assert (got.status, got.body.data) == (200, b"x" * 100)
    assert got.body.ending != "complete"
    assert got.header("x-faregate-attempts") == "1"
    assert (len(upstream.received), second.received) == (1, [])


def test_a_head_alone_is_a_beginning(gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    upstream.plan(answer(LONG))
    chaos.fault = Fault(reset_after=len(LONG) - 200, waits=True)
    got = broken_off(gate, chaos, "head-alone", chat(), b"x-faregate-attempts: 1\r\n")
    assert (got.status, got.body.data, second.received) == (200, b"", [])


def test_a_stream_that_breaks_off_is_not_asked_for_again(
    gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.plan(answer(STREAM_HEAD + b"".join(chunked(EVENTS))))
    chaos.fault = Fault(reset_after=len(STREAM_HEAD) + 60, waits=True)
    got = broken_off(gate, chaos, "stream", chat(stream=True, length=140), EVENTS[0])
    assert got.status == 200
    assert got.body.ending != "complete"
    assert (len(upstream.received), second.received) == (1, [])


# Never twice without saying so


@pytest.mark.parametrize(
    ("case", "fault", "received"),
    [
        ("reset-0", Fault(reset_after=0), 1),
        ("late", LATE, 1),
        ("swallow", Fault(swallow=True), 0),
        ("refuse", Fault(refuse=True), 0),
    ],
)
def test_what_was_sent_is_what_the_attempts_say(
    case: str, fault: Fault, received: int, *, gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    """Each provider that may bill the call has got it once, and the answer says how many tries there were."""
    chaos.fault = fault
    got = call(gate, case)
    assert got.header("x-faregate-attempts") == "2"
    assert (len(upstream.received), len(second.received)) == (received, 1)


def test_a_call_whose_kept_connection_breaks_is_not_sent_there_again_without_saying_so(
    gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    """The provider has got it. A POST is not repeated there, as it would be if nothing of it had gone out."""
    assert call(gate, "kept").header("x-faregate-upstream") == "x-kept"
    accepted = chaos.accepted
    chaos.fault = Fault(reset_after=0)
    got = call(gate, "kept")
    assert (got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == ("y-kept", "2")
    assert (len(upstream.received), len(second.received), chaos.accepted) == (2, 1, accepted)


def test_a_body_that_streams_in_is_sent_once(
    gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.plan(fails(503))
    head = asked("upload", b"", headers=b"Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n")
    with RawClient(gate.address) as client:
        client.send(head)
        piece = b"p" * 32_768
        client.send(*[b"%x\r\n%b\r\n" % (len(piece), piece) for _ in range(4)])
        upstream.wait_for(1)
        client.send(b"0\r\n\r\n")
        got = client.answer()
    assert (got.status, got.header("x-faregate-attempts")) == (503, "1")
    assert (len(upstream.received), second.received) == (1, [])


def test_a_body_that_streams_in_goes_to_the_next_upstream_where_nothing_of_it_was_sent(
    gate: Gate, second: ScriptedUpstream
) -> None:
    """Nobody listens at the first one."""
    head = asked("upload-gone", b"", headers=b"Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n")
    piece = b"p" * 32_768
    with RawClient(gate.address) as client:
        client.send(head, *[b"%x\r\n%b\r\n" % (len(piece), piece) for _ in range(4)])
        second.wait_for(1)
        client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece))
        got = client.answer()
    assert (got.status, got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == (200, "b", "2")
    assert second.received[0].body.data == 5 * piece


def test_a_session_falls_back_before_it_begins_and_gets_its_model_in_the_path(gate: Gate, second: ScriptedUpstream) -> None:
    second.plan((Send(SWITCHING), Take(len(HELLO)), Send(CREATED), AwaitClosed()))
    target, credential = b"/@tag.case=session/v1/realtime?model=m&x=1", b"Bearer " + MANAGED.encode()
    with RawClient(gate.address) as client:
        client.send(handshake(target, credential=credential))
        client.until_got(b"\r\n\r\n")
        client.send(HELLO)
        client.until_got(CREATED)
    assert second.received[0].head.start.split(b" ")[1] == b"/v1/realtime?model=m-live&x=1"


# Retries


def test_a_busy_upstream_is_tried_again_as_often_as_its_route_says(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(BUSY), answer(BUSY), answer(OK))
    got = call(gate, "again")
    assert (got.status, got.header("x-faregate-attempts"), len(upstream.received)) == (200, "3", 3)


def test_and_no_more_often_and_then_its_own_answer_passes(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(BUSY))
    got = call(gate, "again")
    assert (got.status, got.header("x-faregate-attempts"), len(upstream.received)) == (503, "3", 3)
    assert got.header("x-faregate-error-origin") == "upstream"


def test_a_status_that_the_route_does_not_name_is_not_tried_again(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(500), answer(OK))
    got = call(gate, "again")
    assert (got.status, len(upstream.received)) == (500, 1)


def test_retry_after_is_waited_for_and_a_longer_one_is_passed_on(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(429, b"retry-after-ms: 300\r\n"), answer(OK))
    got = call(gate, "again-later")
    first, again = upstream.received
    assert (got.status, got.header("x-faregate-attempts")) == (200, "2")
    assert again.at - first.at >= 0.29  # the loop counts in whole milliseconds, from when its turn began

    upstream.plan(fails(429, b"retry-after: 5\r\n"), answer(OK))
    got = call(gate, "again-later")
    assert (got.status, got.header("retry-after"), len(upstream.received)) == (429, "5", 1)


def test_credentials_rotate_before_the_next_upstream(gate: Gate, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    upstream.plan(fails(401), fails(403), fails(429))
    got = call(gate, "keys-rotate")
    assert (got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == ("b", "4")
    assert len({one.head.value(b"authorization") for one in upstream.received}) == 3
    assert second.received[0].head.value(b"authorization") == b"Bearer sk-upstreams-own-0001"


def test_a_route_has_limits_of_time_of_its_own(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), AwaitClosed()))
    got = call(gate, "hasty")
    assert got.status == 504
    assert "sent nothing for 0.3 s" in json.loads(got.body.data)["error"]["message"]


# Breakers


def test_a_breaker_opens_and_the_broken_upstream_is_left_alone(
    gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    """How it closes again is for `tests/gateway/test_trying.py`, which has a clock to set."""
    chaos.fault = Fault(refuse=True)
    for _ in range(5):
        assert call(gate, "breaker").header("x-faregate-attempts") == "2"
    before = chaos.accepted
    chaos.fault = NONE
    for _ in range(3):
        got = call(gate, "breaker")
        assert (got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == ("y-breaker", "1")
    assert chaos.accepted == before
    # Left out is last, not never.
    second.plan(fails(503))
    got = call(gate, "breaker")
    assert (got.status, got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == (200, "x-breaker", "2")
    # It has answered, and is first again.
    assert call(gate, "breaker").header("x-faregate-upstream") == "x-breaker"


# Budgets


def test_every_try_is_held_at_its_own_price(gate: Gate, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    """20,000 nano-USD: a call at the first upstream may cost 1,000, at the second 10,000. Nobody settles here."""
    upstream.plan(fails(503))
    got = call(gate, "dearer", key=COUNTED)
    assert (got.status, got.header("x-faregate-upstream")) == (200, "b")
    assert got.header("x-faregate-budget-remaining-usd") == "0.000009"
    assert json.loads(second.received[0].body.data)["model"] == "m-dear"

    # There is no room for another one there. What the first one says passes.
    upstream.plan(answer(BUSY))
    got = call(gate, "dearer", key=COUNTED)
    assert (got.status, got.body.data, got.header("x-faregate-error-origin")) == (503, b"{}", "upstream")
    assert (got.header("x-faregate-attempts"), len(upstream.received), len(second.received)) == ("1", 1, 1)


@pytest.mark.parametrize(
    ("case", "fault", "held"),
    [
        ("counted-gone", NONE, 10_000),
        ("counted", Fault(reset_after=0), 11_000),
        ("counted", Fault(stall_after=20), 11_000),
        ("counted", LATE, 11_000),
        ("counted", NONE, 1_000),
    ],
    ids=["nobody there", "reset", "stalled", "late", "answered"],
)
def test_a_try_that_may_be_billed_stays_held_beside_the_next_one(
    case: str, fault: Fault, held: int, gate: Gate, chaos: ChaosProxy
) -> None:
    """1,000 nano-USD at the first upstream, unless nothing of the call can have got there, and 10,000 at the second."""
    chaos.fault = fault
    got = call(gate, case, key=PLENTY)
    assert got.status == 200
    with closing(SqliteSettling(DataFolder(gate.data).ledger)) as ledger:
        found = ledger.held([got.header("x-faregate-call") or ""])
    assert list(found.values()) == [(held,)]


# What is changed


def test_the_model_is_spliced_in_and_nothing_else_is_touched(
    gate: Gate, chaos: ChaosProxy, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    chaos.fault = Fault(refuse=True)
    body = b'{ "x":[1.10, 1e2],\t"model" :"m" ,"messages":[{"role":"user","content":"\\u00e9 model m"}] }'
    assert call(gate, "renamed", body).status == 200
    (received,) = second.received
    assert received.body.data == body.replace(b'"model" :"m"', b'"model" :"m-there"')
    assert received.head.value(b"content-length") == b"%d" % (len(body) + len("-there"))


def test_the_model_in_a_form_is_spliced_in_too(gate: Gate, chaos: ChaosProxy, second: ScriptedUpstream) -> None:
    chaos.fault = Fault(refuse=True)
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x\r\n\r\nfile\r\n--x--\r\n'
    extra = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n" % len(body)
    with RawClient(gate.address) as client:
        client.send(asked("renamed", b"", headers=extra, path="/v1/audio/transcriptions") + body)
        assert client.answer().status == 200
    assert second.received[0].body.data == body.replace(b"\r\n\r\nm\r\n", b"\r\n\r\nm-there\r\n")


def test_at_another_provider_no_cookie_and_no_other_credential_arrives(
    gate: Gate, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.plan(fails(503))
    extra = b"Cookie: c=1\r\nX-Api-Key: sk-" + b"of-somebody\r\nOpenAI-Organization: org-1\r\nX-Mine: kept\r\n"
    assert call(gate, "elsewhere", headers=extra).header("x-faregate-upstream") == "b"
    here, there = upstream.received[0].head, second.received[0].head
    assert [here.value(name) for name in (b"cookie", b"openai-organization")] == [b"c=1", b"org-1"]
    names = (b"cookie", b"x-api-key", b"openai-organization", b"x-mine", b"authorization")
    assert [there.value(name) for name in names] == [None, None, None, b"kept", b"Bearer sk-upstreams-own-0001"]


# Refusals


@pytest.mark.parametrize(("path", "kind"), [("/v1/chat/completions", "openai"), ("/anthropic/v1/messages", "anthropic")])
def test_a_denied_call_reaches_nobody_and_hears_why_in_its_own_dialect(
    path: str, kind: str, gate: Gate, upstream: ScriptedUpstream
) -> None:
    got = call(gate, "denied", path=path)
    said = json.loads(got.body.data)
    assert (got.status, got.header("x-should-retry"), got.header("x-faregate-error-origin")) == (403, "false", "gateway")
    message = "Model m is switched off. Use n."
    if kind == "openai":
        assert said == {"error": {"message": message, "type": "permission_error", "param": None, "code": "denied_by_route"}}
    else:
        assert said == {"type": "error", "error": {"type": "permission_error", "message": message}}
    assert upstream.received == []


# Splits


def test_a_split_keeps_sessions_together_and_hits_its_shares(gate: Gate) -> None:
    sessions = [b"x-faregate-session: s-%d\r\n" % number for number in range(120)]
    with RawClient(gate.address) as client:

        def serves(session: bytes) -> str | None:
            client.send(asked("split", headers=session))
            return client.answer().header("x-faregate-upstream")

        once = [serves(session) for session in sessions]
        again = [serves(session) for session in sessions]
    assert once == again
    assert 70 <= Counter(once)["a"] <= 108


# Copies


def test_a_copy_leaves_the_answer_and_its_order_alone(gate: Gate, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    """The answer comes whole while the copy has not been answered; and the copy says another model."""
    second.plan((ReadBody(), Signal("copied"), Await("go on"), Send(OTHER)))
    upstream.plan(answer(*[STREAM_HEAD, *chunked(EVENTS)]))
    body = chat(stream=True, stream_options={"include_usage": True}, length=180)
    got = call(gate, "mirrored", body)
    assert got.body.data == b"".join(EVENTS)
    assert (got.header("x-faregate-upstream"), got.header("x-faregate-attempts")) == ("a", "1")
    second.wait("copied")
    assert second.received[0].body.data == body.replace(b'"model": "m"', b'"model": "m-eval"')
    assert upstream.received[0].body.data == body
    second.signal("go on")


@pytest.mark.parametrize("trouble", ["reset", "error", "silent"])
def test_trouble_with_a_copy_is_no_trouble_of_the_call(trouble: str, gate: Gate, second: ScriptedUpstream) -> None:
    second.plan({"reset": (ReadBody(),), "error": fails(500), "silent": (ReadBody(), AwaitClosed())}[trouble])
    got = call(gate, "mirrored-slow")
    assert (got.status, got.body.data) == (200, b"{}")
    second.wait_for(1)
    _hang_up(gate, second)


def _hang_up(gate: Gate, provider: ScriptedUpstream) -> None:
    """Close the provider's connections, and make the gate's loop turn until it knows: else the next call would meet a dead one."""
    provider.hang_up()
    until(lambda: provider.connections == 0, "the connections do not close")
    with RawClient(gate.address) as client:
        for _ in range(3):
            client.send(b"GET /healthz HTTP/1.1\r\nHost: gate\r\n\r\n")
            assert client.answer(b"GET").status == 200


def test_copies_have_a_budget_of_their_own(gate: Gate, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    """2,500 nano-USD a day, and each copy may cost 1,000."""
    for number in range(4):
        assert call(gate, "mirrored-capped").status == 200
        if number < 2:
            second.wait_for(number + 1)
    assert len(upstream.received) == 4
    # A copy of another route goes out behind the ones that were refused.
    assert call(gate, "mirrored").status == 200
    second.wait_for(3)
    assert [json.loads(one.body.data)["model"] for one in second.received if one.body] == ["m", "m", "m-eval"]


# What is written down


def test_routes_tries_and_copies_are_written_down(upstream: ScriptedUpstream, second: ScriptedUpstream, tmp_path) -> None:
    prepare(tmp_path / "data")
    gate = run_gate(for_routes(upstream.port, upstream.port, second.port), data=tmp_path)
    second.plan(answer(OTHER))
    calls = {}
    try:
        for case, scripts in {"renamed": [fails(503)], "denied": [answer(OK)], "mirrored": [answer(OK)]}.items():
            upstream.plan(*scripts)
            calls[case] = call(gate, case).header("x-faregate-call")
        until(lambda: len(second.received) == 2, "the copy was not sent")
        upstream.plan(fails(503))
        calls["too dear"] = [call(gate, "dearer", key=COUNTED) for _ in range(2)][-1].header("x-faregate-call")
    finally:
        gate.stop()
    found = {exchange.opening.id: exchange for exchange in read_all(tmp_path / "data" / "journal")}
    copies = [exchange for exchange in found.values() if exchange.opening.mirror_of]

    renamed = found[calls["renamed"]]
    matched = [one for one in renamed.opening.decisions if one.matched]
    assert [(one.rule, one.kind) for one in matched] == [("renamed", "route")]
    assert matched[0].why == "in this order: x-renamed, then y-renamed/m-there"
    assert [(one.upstream, one.status, one.model) for one in renamed.closing.attempts] == [
        ("x-renamed", 503, None),
        ("y-renamed", 200, "m-there"),
    ]
    assert (renamed.opening.upstream, renamed.opening.model, renamed.closing.changes) == ("x-renamed", "m", ("model",))
    assert all(not one.matched and one.why == "does not match" for one in renamed.opening.decisions[:-1])

    denied = found[calls["denied"]]
    assert (denied.closing.ending, denied.closing.status, denied.closing.attempts) == ("refused", 403, ())
    assert denied.closing.error.code == "denied_by_route"
    assert denied.opening.decisions[-1].why.startswith("refuses the call: ")

    not_made = found[calls["too dear"]]
    why = not_made.opening.decisions[-1].why
    assert why.startswith("b (credential 1) is not tried: Budget 'key:counted' has no room now: limit $0.00002, ")
    assert [(one.upstream, one.status) for one in not_made.closing.attempts] == [("a", 503)]

    (copy,) = copies
    assert copy.opening.mirror_of == calls["mirrored"]
    assert (copy.opening.key_name, copy.opening.upstream, copy.closing.status) == ("mirror:mirrored", "b", 200)
    assert copy.response == b'{"b": 1}'
    assert found[calls["mirrored"]].response == b"{}"


def test_a_gate_that_stops_does_not_wait_for_a_copy_and_still_writes_it_down(
    upstream: ScriptedUpstream, second: ScriptedUpstream, tmp_path: Path
) -> None:
    """It may drain for an hour; the copy is never answered."""
    prepare(tmp_path / "data")
    settings = for_routes(upstream.port, upstream.port, second.port).replace('drain = "20s"', 'drain = "1h"')
    gate = run_gate(settings, data=tmp_path)
    upstream.plan(answer(OK))
    second.plan((ReadBody(), AwaitClosed()))
    try:
        assert call(gate, "mirrored").status == 200
        second.wait_for(1)
        gate.terminate()
        until(lambda: not gate.alive, "the gate does not stop", 60)
    finally:
        gate.stop()
    (copy,) = [exchange for exchange in read_all(tmp_path / "data" / "journal") if exchange.opening.mirror_of]
    assert copy.closing.ending == "client_gone"
