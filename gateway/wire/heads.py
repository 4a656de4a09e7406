"""Everything that follows from a request's head alone, worked out once for heads that come again.

An app sends the same headers with every call, but for the body's length. So the length is kept apart, and the rest is looked up: what
the headers mean, which of them go on, what is written down of them. Only small heads are kept, so that nobody can fill the memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

from domain.errors import HeadersTooLarge, InvalidRequest
from domain.exchange import Headers, Labels
from domain.keys import PREFIX
from domain.upstreams import Upstream
from gateway.wire.answer import Answer, Header
from gateway.wire.targets import Place, checked_target, place_of
from routing.labels import labels_of

Kind = Literal["pass", "stop", "host", "credential", "length", "coding", "ours", "read", "encoding"]
LARGEST_KEPT = 2048
HIDDEN = "***"
PER_HEADER = len(b": \r\n")
LENGTH_SIZE = len(b"content-length")

OURS = b"x-faregate-"
BROWSER_KEY = b"openai-insecure-api-key."
_OUR_KEYS = PREFIX.encode()
CREDENTIALS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_STOPPED = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"te",
        b"upgrade",
        b"expect",
        # Other gateways' credentials: of no use to a provider, and not theirs to see.
        b"helicone-auth",
        b"x-portkey-api-key",
        b"cf-aig-authorization",
    }
)
_READ = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"traceparent",
        b"baggage",
        b"sec-websocket-protocol",
        b"anthropic-version",
        b"helicone-session-id",
        b"helicone-session-path",
        b"helicone-user-id",
        b"helicone-prompt-id",
        b"x-portkey-metadata",
        b"x-portkey-trace-id",
        b"x-litellm-tags",
        b"x-litellm-customer-id",
        b"x-litellm-end-user-id",
        b"x-litellm-trace-id",
        b"x-litellm-spend-logs-metadata",
        b"cf-aig-metadata",
        b"x-session-id",
        b"x-title",
        b"x-openrouter-title",
        b"http-referer",
    }
)
_READ_PREFIX = b"helicone-property-"
_NAMED_KINDS: dict[bytes, Kind] = {
    b"host": "host",
    b"content-length": "length",
    b"transfer-encoding": "coding",
    b"accept-encoding": "encoding",
    **dict.fromkeys(_STOPPED, "stop"),
    **dict.fromkeys(CREDENTIALS, "credential"),
    **dict.fromkeys(_READ, "read"),
}
_PLAIN_CONNECTION = frozenset({b"close", b"keep-alive"})
_JOINED = frozenset({b"connection", b"baggage", b"sec-websocket-protocol"})
_NOT_PASSING = frozenset({"stop", "ours"})
_NEVER_FOR_ONE_HOP = _PLAIN_CONNECTION | {b"content-length", b"transfer-encoding"}
_NEVER_LISTED = frozenset({"host", "length", "coding"})
_SECRET_PARTS = ("authorization", "cookie", "api-key", "apikey", "secret", "password", "credential", "faregate-key", "-auth")
_SECRET_NAMES = frozenset({"sec-websocket-protocol"})
_PERSONAL = frozenset({b"openai-organization", b"openai-project"})
_ADDRESSES = frozenset({"location", "content-location", "operation-location"})
_NO_SECRETS = frozenset({"idempotency-key", "sec-websocket-key", "x-idempotency-key"})
_SECRET_ENDS = ("-token", "-key")
_SECRET_QUERY = ("key", "token", "secret", "sig", "password", "credential", "auth")
# Answers of these hold new credentials: short-lived keys for browsers, keys of an organisation.
_HANDING_OUT_SECRETS = (
    b"/realtime/client_secrets",
    b"/realtime/sessions",
    b"/realtime/transcription_sessions",
    b"/organization/",
)


@dataclass(slots=True)
class RequestHead:
    """A request's head, understood.

    `passing` are the headers that may go on, in order and casing. `found` are those that mean something to us, by lower-case name.
    `length_at` is where the body's length stood among the headers (-1: nowhere) and `length_name` how its name was written. `path` is the native path as it may be kept; `secretive` says that the bodies there hold credentials. `ours_in_query` says that
    a gateway key stands there, which must not go on, `key_in_protocols` that any key stands among a browser's WebSocket subprotocols. `identity` is for
    `Keys`, to remember whose head this is, `plans` for the proxy and `outgoing` for `outgoing_head`.
    """

    target: bytes
    http11: bool
    place: Place
    passing: list[tuple[Kind, bytes, bytes]]
    found: dict[bytes, bytes]
    labels: Labels
    recorded: Headers
    coded: bool
    expects: bool
    anthropic: bool
    secretive: bool
    ours_in_query: bool
    key_in_protocols: bool
    path: str
    length_at: int
    length_name: bytes
    identity: Any = None
    plans: dict[tuple[str | None, bytes], Any] = field(default_factory=dict)
    outgoing: dict[tuple[int, str, bool, bytes, bytes, bool, bool], tuple[Upstream, bytes, bytes]] = field(default_factory=dict)

    def recorded_with(self, length: bytes | None) -> Headers:
        """Return the headers as they may be kept, with the length in its place."""
        if length is None:
            return self.recorded
        at = self.length_at
        return (*self.recorded[:at], (self.length_name.decode("latin-1"), length.decode("latin-1")), *self.recorded[at:])


def head_of(target: bytes, headers: list[Header], *, http11: bool, most: int = 32 * 1024) -> tuple[RequestHead, bytes | None]:
    """Return what a head means, and the body's length as it was sent.

    Raises:
        HeadersTooLarge: it is longer than `most` bytes.
        InvalidRequest: no Host, two Hosts, a transfer coding other than chunked, or a target that could be read in two ways.

    """
    size = len(target)
    length_at, length_name, length = -1, b"", None
    for place, (name, value) in enumerate(headers):
        size += len(name) + len(value)
        if len(name) == LENGTH_SIZE and name.lower() == b"content-length":
            length_at, length_name, length = place, name, value
    if size + PER_HEADER * len(headers) > most:
        raise HeadersTooLarge(f"The request's head is over {most} bytes. Send less, or raise `server.header_bytes`.")
    kept = tuple(headers) if length is None else (*headers[:length_at], *headers[length_at + 1 :])
    work_out = _kept if size <= LARGEST_KEPT else _understood
    return work_out(target, kept, length_at, length_name, http11), length


def _understood(target: bytes, headers: tuple[Header, ...], length_at: int, length_name: bytes, http11: bool) -> RequestHead:
    checked_target(target)
    passing: list[tuple[Kind, bytes, bytes]] = []
    found: dict[bytes, bytes] = {}
    for place, (name, value) in enumerate((*headers, (b"", b""))):
        if place == length_at:
            passing.append(("length", length_name, b""))
        kind, lower = _kind_of(name)
        if kind not in _NOT_PASSING and name:
            passing.append((kind, name, value))
        if kind != "pass":
            found[lower] = found[lower] + b", " + value if lower in _JOINED and lower in found else found.get(lower, value)
    hosts = sum(kind == "host" for kind, _, _ in passing)
    if hosts > 1 or (hosts == 0 and http11):
        raise InvalidRequest("Send exactly one Host header.")
    coding = found.get(b"transfer-encoding")
    if coding is not None and coding.lower() != b"chunked":
        raise InvalidRequest("The only transfer coding taken is `chunked`.")
    listed = _listed(found.get(b"connection", b""))
    place_there = place_of(target)
    return RequestHead(
        target=target,
        http11=http11,
        place=place_there,
        passing=[each for each in passing if each[0] in _NEVER_LISTED or each[1].lower() not in listed] if listed else passing,
        found=found,
        labels=labels_of(found, path=place_there.labels),
        recorded=recorded(headers),
        coded=coding is not None,
        expects=http11 and found.pop(b"expect", b"").lower() == b"100-continue",
        anthropic=b"anthropic-version" in found,
        secretive=any(part in place_there.path for part in _HANDING_OUT_SECRETS),
        ours_in_query=any(is_our_key_parameter(part) for part in place_there.path.partition(b"?")[2].split(b"&")),
        key_in_protocols=BROWSER_KEY in found.get(b"sec-websocket-protocol", b""),
        path=hidden_query(place_there.path),
        length_at=length_at,
        length_name=length_name,
    )


_kept = lru_cache(maxsize=1024)(_understood)


def _listed(connection: bytes) -> set[bytes]:
    """Return the headers that `Connection` says are for one hop only."""
    return {token.strip() for token in connection.lower().split(b",")} - _PLAIN_CONNECTION if connection else set()


@lru_cache(maxsize=4096)
def _kind_of(name: bytes) -> tuple[Kind, bytes]:
    lower = name.lower()
    kind = _NAMED_KINDS.get(lower)
    if kind is None:
        kind = "ours" if lower.startswith(OURS) else "read" if lower.startswith(_READ_PREFIX) else "pass"
    return kind, lower


_ANSWER_STOPPED = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade"})


def answer_headers(answer: Answer) -> list[Header]:
    """Return the answer's headers as they came, hop-by-hop ones left out."""
    if not answer.hops:
        return answer.headers
    listed: set[bytes] = set()
    for name, value in answer.headers:
        if len(name) == len(b"connection") and name.lower() == b"connection":
            listed.update(token.strip() for token in value.lower().split(b","))
    stopped = _ANSWER_STOPPED | (listed - _NEVER_FOR_ONE_HOP) if listed else _ANSWER_STOPPED
    return [header for header in answer.headers if _kind_of(header[0])[1] not in stopped]


def secret_in(value: bytes) -> bytes:
    """Return the secret in a credential's header, whether a scheme such as `Bearer` stands before it or not."""
    parts = value.split(None, 1)
    return parts[1].strip() if len(parts) > 1 and parts[0].lower() == b"bearer" else value.strip()


def is_our_key_parameter(part: bytes) -> bool:
    """Return whether a parameter of a query is `key=` with a gateway key."""
    name, _, value = part.partition(b"=")
    return unquote(name.decode("latin-1")) == "key" and unquote(value.decode("latin-1")).strip().startswith(PREFIX)


def is_ours(value: bytes) -> bool:
    """Return whether a credential's header holds a gateway key."""
    return secret_in(value).startswith(_OUR_KEYS)


@lru_cache(maxsize=4096)
def _recorded_name(name: bytes) -> tuple[str, bool]:
    text = name.decode("latin-1")
    lower = text.lower().replace("_", "-")
    secret = lower.endswith(_SECRET_ENDS) or lower in _SECRET_NAMES or any(part in lower for part in _SECRET_PARTS)
    return text, secret and lower not in _NO_SECRETS


def hidden_query(path: bytes) -> str:
    """Return a path as it may be kept: credentials in its query are hidden."""
    before, separator, query = path.decode("latin-1").partition("?")
    if not separator:
        return before
    kept = [f"{part.partition('=')[0]}={HIDDEN}" if _is_secret_parameter(part) else part for part in query.split("&")]
    return f"{before}?{'&'.join(kept)}"


def without_secrets(path: bytes) -> bytes:
    """Return a path for somebody who may not see what its caller brought for another: without the credentials in its query."""
    before, _, query = path.partition(b"?")
    kept = b"&".join(part for part in query.split(b"&") if not _is_secret_parameter(part.decode("latin-1")))
    return before + b"?" + kept if kept else before


def _is_secret_parameter(part: str) -> bool:
    name, equals, _ = part.partition("=")
    return bool(equals) and any(word in unquote(name).lower() for word in _SECRET_QUERY)


def is_personal(name: bytes) -> bool:
    """Return whether a header says who a caller is to one provider, and is none of another's business."""
    lower = name.lower()
    return lower in _PERSONAL or (lower not in _READ and _recorded_name(name)[1])


def recorded(headers: Iterable[Header]) -> Headers:
    """Return headers as they may be kept: what could be a credential is hidden."""
    kept = []
    for name, value in headers:
        text, secret = _recorded_name(name)
        shown = HIDDEN if secret else value.decode("latin-1")
        # Where an answer points to may be a signed address.
        kept.append((text, hidden_query(value) if "?" in shown and text.lower() in _ADDRESSES else shown))
    return tuple(kept)
