"""One scripted call, made twice: straight to the upstream and through the gate. What is not on the list of changes must be the same."""

from dataclasses import dataclass, field, replace

from tests.harness import steps
from tests.harness.client import Answer, RawClient
from tests.harness.messages import Body, Head, RawHeaders
from tests.harness.steps import ClientStep, Script
from tests.harness.upstream import Received, ScriptedUpstream
from tests.harness.wire import until

HOP_BY_HOP = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)
OURS = b"x-faregate-"
CALLER = b"Bearer sk-" + b"caller-0001"


@dataclass(frozen=True, slots=True)
class Case:
    """One call, or several on one connection.

    `methods` has one method for each answer to read. `dropped` names request headers that the case itself makes hop-by-hop.
    `bodies` says whether the upstream is expected to have read the request's body to its end.
    """

    name: str
    client: tuple[ClientStep, ...]
    scripts: tuple[Script, ...]
    methods: tuple[bytes, ...] = (b"POST",)
    dropped: frozenset[bytes] = field(default_factory=frozenset)
    bodies: bool = True
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both ends saw of a case."""

    answers: tuple[Answer, ...]
    requests: tuple[Received, ...]


def request(
    method: bytes = b"POST",
    target: bytes = b"/v1/chat/completions",
    body: bytes = b"",
    *,
    headers: bytes = b"",
    version: bytes = b"1.1",
    credential: bytes = CALLER,
) -> bytes:
    """Return a request's bytes; `{host}` becomes the address that it is sent to. `content-length` is added to a body."""
    lines = [b"%b %b HTTP/%b\r\n" % (method, target, version), b"Host: {host}\r\nUser-Agent: wire/1.0\r\n"]
    if credential:
        lines.append(b"Authorization: " + credential + b"\r\n")
    if body:
        lines.append(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
    return b"".join([*lines, headers, b"\r\n", body])


def perform(case: Case, upstream: ScriptedUpstream, address: tuple[str, int]) -> Outcome:
    """Make the call of `case` at `address`."""
    upstream.plan(*case.scripts)
    with RawClient(address) as client:
        for step in case.client:
            _act(step, client, upstream, address)
        answers = tuple(client.answer(method) for method in case.methods)
    count = len(case.methods) if case.requests is None else case.requests
    requests = tuple(upstream.wait_for(count))
    if case.bodies:
        until(lambda: all(one.body is not None for one in requests), "the upstream did not read the body")
    return Outcome(answers, requests)


def _act(step: ClientStep, client: RawClient, upstream: ScriptedUpstream, address: tuple[str, int]) -> None:
    match step:
        case steps.Send(data):
            client.send(data.replace(b"{host}", b"%b:%d" % (address[0].encode(), address[1])))
        case steps.Got(data):
            client.until_got(data)
        case steps.Signal(name):
            upstream.signal(name)
        case steps.Await(name):
            upstream.wait(name)
        case steps.HalfClose():
            client.half_close()
        case steps.Leave(reset):
            client.close(reset=reset)


def differences(case: Case, direct: Outcome, through: Outcome, *, asgi: bool = False) -> list[str]:
    """Return what differs and may not; an empty list is a pass.

    `asgi`: the call went through ASGI, which knows no casing of names, no reason phrases, no 1xx answers and no trailers.
    """
    found: list[str] = []
    if asgi:
        direct, through = _as_asgi(direct), _as_asgi(through)
    if len(direct.requests) != len(through.requests):
        found.append(f"requests: {len(direct.requests)} directly, {len(through.requests)} through the gate")
    for number, (one, other) in enumerate(zip(direct.answers, through.answers, strict=True)):
        found += [f"answer {number}: {text}" for text in answer_differences(one, other)]
    for number, (mine, theirs) in enumerate(zip(direct.requests, through.requests, strict=False)):
        found += [f"request {number}: {text}" for text in request_differences(mine, theirs, case.dropped)]
    return found


def _as_asgi(outcome: Outcome) -> Outcome:
    """Return `outcome` without what cannot pass through ASGI."""
    answers = tuple(
        Answer(_plain(answer.head, b" ".join(answer.head.start.split(b" ")[:2])), replace(answer.body, trailers=()))
        for answer in outcome.answers
    )
    requests = tuple(
        replace(each, head=_plain(each.head, each.head.start), body=each.body and replace(each.body, trailers=()))
        for each in outcome.requests
    )
    return Outcome(answers, requests)


def _plain(head: Head, start: bytes) -> Head:
    return Head(start, tuple((name.lower(), value) for name, value in head.headers), head.raw)


def answer_differences(direct: Answer, through: Answer) -> list[str]:
    """Compare two answers; `x-faregate-*` must be there, and hop-by-hop headers and framing may differ."""
    found = _lines(
        "status", direct.head.start.replace(b"HTTP/1.0", b"HTTP/1.1"), through.head.start.replace(b"HTTP/1.0", b"HTTP/1.1")
    )
    found += _lines("headers", _kept_in_answer(direct.head), _kept_in_answer(through.head))
    found += _lines("interim", _interim(direct), _interim(through))
    found += _body_differences(direct.body, through.body)
    if through.head.start and through.head.value(b"x-faregate-call") is None:
        found.append("x-faregate-call is missing")
    return found


def _kept_in_answer(head: Head) -> RawHeaders:
    listed = _listed(head)
    return tuple(
        (name, value)
        for name, value in head.headers
        if name.lower() not in HOP_BY_HOP | listed and not name.lower().startswith(OURS)
    )


def _interim(answer: Answer) -> list[tuple[bytes, RawHeaders]]:
    """Return the 1xx answers; a 100 says nothing but that it came."""
    return [(b"100", ()) if head.status == 100 else (head.start, head.headers) for head in answer.interim]


def _body_differences(direct: Body, through: Body) -> list[str]:
    found = _lines("body", direct.data, through.data)
    found += _lines("trailers", direct.trailers, through.trailers)
    if (direct.ending == "complete") != (through.ending == "complete"):
        found.append(f"ending: {direct.ending} directly, {through.ending} through the gate")
    return found


def request_differences(direct: Received, through: Received, dropped: frozenset[bytes] = frozenset()) -> list[str]:
    """Compare what the upstream got; the value of `host`, hop-by-hop headers and framing may differ."""
    found = _lines("start line", _as_1_1(direct.head.start), _as_1_1(through.head.start))
    found += _lines("headers", _kept_in_request(direct.head, dropped), _kept_in_request(through.head, dropped))
    if direct.body is not None and through.body is not None:
        found += _lines("body", direct.body.data, through.body.data)
        found += _lines("trailers", direct.body.trailers, through.body.trailers)
    if direct.taken or through.taken:
        found += _lines("bytes after the head", bytes(direct.taken), bytes(through.taken))
    return found


def _as_1_1(start: bytes) -> bytes:
    return start.replace(b" HTTP/1.0", b" HTTP/1.1")


def _kept_in_request(head: Head, dropped: frozenset[bytes]) -> RawHeaders:
    leave_out = HOP_BY_HOP | _listed(head) | dropped
    return tuple(
        (name, b"*" if name.lower() == b"host" else value) for name, value in head.headers if name.lower() not in leave_out
    )


def _listed(head: Head) -> frozenset[bytes]:
    """Return the names that `Connection` makes hop-by-hop."""
    return frozenset(name.strip().lower() for value in head.values(b"connection") for name in value.split(b","))


def _lines(what: str, direct: object, through: object) -> list[str]:
    if direct == through:
        return []
    return [f"{what}\n    directly:         {_short(direct)}\n    through the gate: {_short(through)}"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 1500 else f"{text[:700]} … {text[-700:]}"
