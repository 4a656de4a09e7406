"""WebSockets pass both ways, frame bytes untouched."""

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import Case, differences, perform
from tests.harness.frames import BINARY, CLOSE, PING, PONG, SWITCHING, TEXT, frame, handshake
from tests.harness.gate import Gate
from tests.harness.steps import AwaitClosed, Close, Got, Reset, Send, Step, Take, answer
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import MANAGED, OWN

HELLO = frame(b'{"type":"session.update"}')
CREATED = frame(b'{"type":"session.created"}', mask=None)
FRAGMENTS = [frame(b"one, ", final=False), frame(b"ping", PING), frame(b"two", 0)]
REPLIES = [frame(b"\xf0\x9f", TEXT, final=False, mask=None), frame(b"ping", PONG, mask=None), frame(b"\x98\x80", 0, mask=None)]
BIG = frame(bytes(range(256)) * 1000, BINARY)
BIG_REPLY = frame(b"\x00\xff" * 200_000, BINARY, mask=None)
BYE = frame(b"\x03\xe8bye", CLOSE)
BYE_REPLY = frame(b"\x03\xe8bye", CLOSE, mask=None)


@pytest.fixture
def gate(protocol_gate: Gate) -> Gate:
    """WebSockets are tunnelled by the protocol class; through ASGI their frames could not stay as they are."""
    assert protocol_gate.alive, protocol_gate.said()[-2000:]
    return protocol_gate


def turns(*pairs: tuple[bytes, bytes]) -> tuple[tuple[Send | Got, ...], tuple[Step, ...]]:
    """Return what client and upstream do to exchange these pairs of what the one sends and the other replies."""
    client: list[Send | Got] = [Send(handshake()), Got(b"\r\n\r\n")]
    provider: list[Step] = [Send(SWITCHING)]
    for sent, reply in pairs:
        client += [Send(sent), Got(reply)]
        provider += [Take(len(sent)), Send(reply)]
    return tuple(client), tuple(provider)


TALKS = {
    "one message each way": [(HELLO, CREATED)],
    "fragments and control frames between them": list(zip(FRAGMENTS, REPLIES, strict=True)),
    "large frames": [(BIG, BIG_REPLY)],
    "several frames in one piece": [(HELLO + BIG + HELLO, CREATED + BIG_REPLY + CREATED)],
    "a frame in single bytes": [(HELLO[at : at + 1], CREATED[at : at + 1]) for at in range(20)],
    "an orderly close": [(HELLO, CREATED), (BYE, BYE_REPLY)],
}


@pytest.mark.parametrize("name", TALKS)
def test_frames_pass_both_ways(name: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    client, provider = turns(*TALKS[name])
    case = Case(name, client, ((*provider, AwaitClosed()),), (b"GET",), bodies=False)
    direct = perform(case, upstream, upstream.address)
    through = perform(case, upstream, gate.address)
    assert not (found := differences(case, direct, through, asgi=gate.asgi)), "\n".join(found)
    assert through.answers[0].status == 101


def test_the_handshake_is_passed_on_whole(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(handshake(headers=b"Sec-WebSocket-Extensions: permessage-deflate\r\nX-Faregate-Session: s\r\n"))
        got = client.answer(b"GET")
    (received,) = upstream.wait_for(1)
    assert received.head.start == b"GET /v1/realtime?model=gpt-4o-realtime-preview HTTP/1.1"
    assert (received.head.value(b"upgrade") or b"").lower() == b"websocket"
    assert (received.head.value(b"connection") or b"").lower() == b"upgrade"
    assert received.head.value(b"sec-websocket-extensions") == b"permessage-deflate"
    assert received.head.value(b"x-faregate-session") is None
    assert got.header("sec-websocket-accept") is not None
    assert (got.header("upgrade") or "").lower() == "websocket"
    assert (got.header("connection") or "").lower() == "upgrade"
    assert got.header("x-faregate-call") is not None


def test_a_managed_key_is_replaced(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(handshake(credential=b"Bearer " + MANAGED.encode()))
        assert client.answer(b"GET").status == 101
    assert upstream.wait_for(1)[0].head.value(b"authorization") == b"Bearer " + OWN.encode()


def test_a_browsers_key_in_the_protocol_list_is_replaced(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING), AwaitClosed()))
    offered = b"realtime, openai-insecure-api-key.%b, openai-beta.realtime-v1"
    plain = handshake(credential=b"X").replace(b"Authorization: X\r\n", b"")
    with RawClient(gate.address) as client:
        client.send(plain.replace(b"Sec-WebSocket-Protocol: realtime", b"Sec-WebSocket-Protocol: " + offered % MANAGED.encode()))
        got = client.answer(b"GET")
    assert got.status == 101
    assert MANAGED.encode() not in bytes(upstream.wait_for(1)[0].link.raw)
    assert OWN.encode() in upstream.received[0].head.raw


def test_a_refused_handshake_passes_as_it_is(gate: Gate, upstream: ScriptedUpstream) -> None:
    refusal = b'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nX-Odd: 1\r\nContent-Length: 13\r\n\r\n{"error":"no"}'[
        :-1
    ]
    case = Case("refused", (Send(handshake()),), (answer(refusal),), (b"GET",))
    direct = perform(case, upstream, upstream.address)
    through = perform(case, upstream, gate.address)
    assert not (found := differences(case, direct, through, asgi=gate.asgi)), "\n".join(found)


def test_an_unknown_key_gets_no_tunnel(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(handshake(credential=b"Bearer fg-" + b"unknown-unknown-unknown-unknown-123"))
        assert client.answer(b"GET").status == 401
    assert upstream.received == []


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_caller_that_leaves_closes_the_upstream(reset: bool, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING), Take(len(HELLO)), Send(CREATED), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(handshake())
        client.until_got(b"\r\n\r\n")
        client.send(HELLO)
        client.until_got(CREATED)
        client.close(reset=reset)
    until(lambda: upstream.received[0].link.ended_at is not None, "the upstream was not closed")


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["fin", "rst"])
def test_an_upstream_that_leaves_closes_the_caller(end: Close | Reset, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING), Send(CREATED), end))
    with RawClient(gate.address) as client:
        client.send(handshake())
        client.until_got(CREATED)
        assert client.ending() in {"closed", "reset"}


def test_frames_right_behind_the_handshake_are_not_lost(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((Send(SWITCHING + CREATED), Take(len(HELLO)), Send(BYE_REPLY), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(handshake() + HELLO)
        client.until_got(CREATED)
        client.until_got(BYE_REPLY)
    assert bytes(upstream.received[0].taken) == HELLO
