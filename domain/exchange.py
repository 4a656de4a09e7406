"""One HTTP request and its response, byte for byte and unparsed: what the gate writes down and the office reads.

The gate writes an exchange to the journal in parts: `Opening` as the call goes upstream, now and then the bytes that
came since, and `Closing` at the end. The journal's reader puts the parts together to an `Exchange`.
They are values all the same, but not frozen: a frozen dataclass costs microseconds to make, and the gate makes them for each call.
Times are Unix nanoseconds (`at`) or microseconds since the opening (`_us`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from domain.decisions import Decision

Dialect = Literal["openai", "anthropic", "gemini"]
Capture = Literal["full", "redacted", "none"]
Ending = Literal["complete", "upstream_cut", "client_gone", "refused", "failed"]
Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Labels:
    """What an app says about a call, so that it can be found and charged to somebody.

    `section` is a path such as `agent:researcher/tool:search`. `trace_id` (32 hex digits) and `parent_span_id` (16) come
    from W3C `traceparent`. `shortened` names the labels that were longer than allowed and were cut.
    """

    session: str | None = None
    run: str | None = None
    section: str | None = None
    customer: str | None = None
    user: str | None = None
    env: str | None = None
    release: str | None = None
    prompt: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    parent_span_id: str | None = None
    shortened: tuple[str, ...] = ()


@dataclass(slots=True)
class Attempt:
    """One try at one upstream. `credential` is a name ("1", "2", "caller"), never a secret. `sent`: something of the request went out.

    `model` is the model's name as it was sent, where a route gave it another one than the app. `held` is what was held for this try on each claim of
    the call's hold, in its order; empty where that is what the hold says.
    """

    upstream: str
    credential: str
    at: int
    status: int | None = None
    first_byte_us: int | None = None
    error: str | None = None
    sent: bool = False
    model: str | None = None
    held: tuple[int, ...] = ()


@dataclass(slots=True)
class OwnError:
    """An error answer that the gate made itself (see `domain.errors`)."""

    type: str
    code: str
    message: str


@dataclass(slots=True)
class Opening:
    """What is known of a call as it goes upstream.

    `id` is a UUIDv7 as 32 hex digits. `path` is the path and query at the upstream's API as the app sent them, without
    path labels and without credentials (`/v1/chat/completions`, `/v1beta/models/x:generateContent?alt=sse`).
    `key` is the id of an `ApiKey`. `model` is the model asked for, where the gate could read it, without an `upstream/`
    prefix. `hold` is for the ledger. `decisions` are those of routes. `mirror_of` is the id of the call that this one is a copy of.
    """

    id: str
    at: int
    method: str
    path: str
    upstream: str
    dialect: Dialect
    key: str
    key_name: str
    project: str
    labels: Labels
    model: str | None = None
    stream: bool | None = None
    capture: Capture = "full"
    websocket: bool = False
    hold: str | None = None
    decisions: tuple[Decision, ...] = ()
    mirror_of: str | None = None


@dataclass(slots=True)
class Closing:
    """How a call ended, and everything about it but the bodies.

    `ending`: `complete` (the answer reached its end, whatever its status), `upstream_cut` (the upstream broke off),
    `client_gone` (the app left), `refused` (denied by us, nothing was sent upstream), `failed` (no upstream answered; `error`
    says why). Sizes are of the whole bodies; `request_cut` and `response_cut` say that the copies are shorter. Headers are as they
    passed, in order and casing, credentials replaced by `***`. `changes` names what was changed in the request on the way
    (`model`, `stream_options`), `withheld` how many bytes of the answer the app did not get because it had not asked for them;
    the copy holds them.

    `marks` says when which byte of the answer came: pairs of 32-bit little-endian integers (microseconds since the opening,
    bytes so far), one for each read from the upstream, at most 4,096.
    """

    at: int
    ending: Ending
    status: int | None
    request_headers: Headers
    response_headers: Headers
    attempts: tuple[Attempt, ...]
    request_bytes: int
    response_bytes: int
    request_cut: bool = False
    response_cut: bool = False
    sent_us: int | None = None
    first_byte_us: int | None = None
    overhead_us: int | None = None
    marks: bytes = b""
    changes: tuple[str, ...] = ()
    withheld: int = 0
    error: OwnError | None = None
    response_trailers: Headers = ()


@dataclass(slots=True)
class Exchange:
    """A whole exchange as read from the journal.

    `closing` is None where the gate died before the end: the call was interrupted, and the bodies are what had been written
    until then. `request` and `response` are copies of the bodies as they passed (still compressed, chunk framing removed), bounded
    in size. For a WebSocket both hold the raw frames of their direction.
    """

    opening: Opening
    closing: Closing | None
    request: bytes
    response: bytes
