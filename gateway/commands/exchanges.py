"""Exchanges out of JSON lines, for `faregate prices cost`: what somebody recorded elsewhere, in the form in which the gate records it.

Bodies keep their bytes: a cost that a provider reports is a decimal fraction, which would be rounded if it were read and written again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from config.upstreams import KNOWN
from domain.exchange import Attempt, Closing, Dialect, Exchange, Headers, Labels, Opening

NANOSECONDS = 10**9
_LAST_SECOND = 253_402_300_799  # the end of the year 9999
_LEAST_STATUS, _MOST_STATUS, _FIRST_ERROR = 100, 999, 400
_LONGEST_WORD = 500
_MISSING = msgspec.Raw(b"null")
# The bodies in a line are as they were before they were compressed or cut into chunks.
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_HOSTS = {urlsplit(known.base_url).hostname: name for name, known in KNOWN.items() if known.base_url}
_HOST_ENDS = (
    (".openai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".api.openai.com", "openai"),
    ("aiplatform.googleapis.com", "vertex"),
    (".amazonaws.com", "bedrock"),
    (".x.ai", "xai"),
)
# What people write for an API that has a longer path.
_SHORT = {
    "chat": "chat/completions",
    "chat.completions": "chat/completions",
    "images.generations": "images/generations",
    "images.edits": "images/edits",
    "audio.speech": "audio/speech",
    "audio.transcriptions": "audio/transcriptions",
    "audio.translations": "audio/translations",
}


class Unreadable(ValueError):
    """A line that is no exchange; the message says why."""


@dataclass(frozen=True, slots=True)
class Told:
    """An exchange as a line tells it. `address` is the host and path of its base URL; `prices` are overrides as the line has them."""

    exchange: Exchange
    address: str
    prices: Any


class _Line(msgspec.Struct):
    """The fields of a line, each as the bytes that it is."""

    base_url: msgspec.Raw = _MISSING
    endpoint: msgspec.Raw = _MISSING
    method: msgspec.Raw = _MISSING
    timestamp: msgspec.Raw = _MISSING
    request: msgspec.Raw = _MISSING
    http_status: msgspec.Raw = _MISSING
    response_headers: msgspec.Raw = _MISSING
    response: msgspec.Raw = _MISSING
    sse: msgspec.Raw = _MISSING
    upstream: msgspec.Raw = _MISSING
    key: msgspec.Raw = _MISSING
    project: msgspec.Raw = _MISSING
    prices: msgspec.Raw = _MISSING


_decode = msgspec.json.Decoder(_Line).decode


def told_by(line: bytes) -> Told:
    """Return the exchange that a line tells of.

    Raises:
        Unreadable: it does not tell of one.
    """
    fields = _fields(line)
    method, endpoint = _method_and_endpoint(fields)
    base = urlsplit(_url(endpoint if "://" in endpoint else _text(fields.base_url)))
    host, base_path = (base.hostname or "").lower(), base.path.rstrip("/")
    path = base._replace(scheme="", netloc="", fragment="").geturl() if "://" in endpoint else _joined(base_path, endpoint)
    upstream = _text(fields.upstream) or _upstream_at(host)
    dialect = _dialect(path, upstream)
    if dialect == "anthropic" and path.startswith("/messages"):
        path = f"/v1{path}"
    opening = Opening(
        id="0" * 32,
        at=_instant(_value(fields.timestamp)),
        method=method,
        path=path,
        upstream=upstream,
        dialect=dialect,
        key=_text(fields.key) or "",
        key_name=_text(fields.key) or "",
        project=_text(fields.project) or "default",
        labels=Labels(),
    )
    request, response, media_type = _body(fields.request), *_answer(fields)
    answered = _headers(_value(fields.response_headers))
    if media_type:
        answered = (*((name, value) for name, value in answered if name.lower() != "content-type"), ("content-type", media_type))
    status = _status(_value(fields.http_status))
    closing = Closing(
        at=opening.at,
        ending="complete",
        status=status,
        request_headers=(("content-type", "application/json"),) if request else (),
        response_headers=answered,
        attempts=(Attempt(upstream, "1", opening.at, status),),
        request_bytes=len(request),
        response_bytes=len(response),
        sent_us=0,
    )
    return Told(Exchange(opening, closing, request, response), host + base_path, _value(fields.prices))


def _fields(line: bytes) -> _Line:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        value = json.loads(line.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        raise Unreadable("the line is not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("the line is no JSON object")
    given = {name: msgspec.Raw(_dumped(value[name])) for name in _Line.__struct_fields__ if name in value}
    return _Line(**given)


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        raise Unreadable("the line has numbers or nesting beyond what can be read") from None


def _value(raw: msgspec.Raw) -> Any:
    """Return a field's value; one that a strict parser refuses is read with patience, and is None in the end."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return json.loads(bytes(raw).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _is_null(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[:5].tobytes() == b"null"


def _text(raw: msgspec.Raw) -> str:
    """Return a field that is a short text, or an empty one."""
    value = _value(raw)
    if not isinstance(value, str) or len(value) > _LONGEST_WORD:
        return ""
    return value.strip().encode(errors="replace").decode()


def _url(text: str) -> str:
    """Check that `text` is a base URL; one without a scheme is meant to have one. It may be missing where the endpoint is a whole address."""
    text = text if "://" in text or not text else f"https://{text}"
    try:
        _ = urlsplit(text).port, urlsplit(text).hostname
    except ValueError:
        raise Unreadable("`base_url` is no address") from None
    return text


def _method_and_endpoint(fields: _Line) -> tuple[str, str]:
    """Return the method, which may stand before the endpoint (`GET /responses/resp_1`), and the endpoint.

    Raises:
        Unreadable: it is not told where the call was sent.
    """
    endpoint = _text(fields.endpoint)
    method, separator, rest = endpoint.partition(" ")
    if separator and method.isalpha():
        endpoint = rest.strip()
    else:
        method = _text(fields.method) or ("GET" if _is_null(fields.request) else "POST")
    if not endpoint or (_is_null(fields.base_url) and "://" not in endpoint):
        raise Unreadable("`base_url` and `endpoint` are needed: where was the call sent?")
    return method.upper(), _SHORT.get(endpoint, endpoint)


def _joined(base_path: str, endpoint: str) -> str:
    """Return the path and query as the gate would have seen them; an endpoint may repeat the path of the base URL."""
    path = endpoint if endpoint.startswith("/") else f"/{endpoint}"
    within = base_path and (path == base_path or path.startswith((f"{base_path}/", f"{base_path}?")))
    return path if within else base_path + path


def _upstream_at(host: str) -> str:
    known = _HOSTS.get(host)
    return known or next((name for end, name in _HOST_ENDS if host.endswith(end)), host)


def _dialect(path: str, upstream: str) -> Dialect:
    path = path.partition("?")[0]
    if path.endswith(("/messages", "/messages/count_tokens")) or "/messages/batches" in path or "/publishers/anthropic/" in path:
        return "anthropic"
    if ":" in path.rpartition("/")[2] and "/openai" not in path:
        return "gemini"
    return KNOWN[upstream].dialect if upstream in KNOWN and not _speaks_openai(path) else "openai"


def _speaks_openai(path: str) -> bool:
    return path.endswith(("/chat/completions", "/embeddings", "/completions", "/responses"))


def _instant(value: Any) -> int:
    """Return a time as Unix nanoseconds: RFC 3339, or Unix seconds as a number or a text.

    Raises:
        Unreadable: it is neither. A price depends on when the call was made.
    """
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            value = _number(value)
        else:
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            return _checked_seconds(at.timestamp())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable("`timestamp` is needed: RFC 3339, or Unix seconds")
    return _checked_seconds(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _checked_seconds(seconds: float) -> int:
    if not 0 <= seconds <= _LAST_SECOND:  # so is what is no number
        raise Unreadable("`timestamp` is no time after 1970 in Unix seconds")
    return int(seconds) * NANOSECONDS + int(seconds % 1 * NANOSECONDS)


def _status(value: Any) -> int | None:
    """Return the HTTP status; an answer of which none is told went well."""
    if value is None:
        return 200
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST_STATUS <= value <= _MOST_STATUS:
        raise Unreadable("`http_status` is no HTTP status")
    return value


def _headers(value: Any) -> Headers:
    """Return headers given as an object, or as a list of pairs, without those that tell of the wire."""
    found = []
    for name, content in value.items() if isinstance(value, dict) else _pairs(value):
        values = content if isinstance(content, list) else [content]
        found += [(str(name), str(one)) for one in values if isinstance(one, str | int | float)]
    return tuple((name, content) for name, content in found if name.lower() not in _OF_THE_WIRE)


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value if isinstance(value, list) else ()
    return ((item[0], item[1]) for item in items if isinstance(item, list) and len(item) > 1)


def _body(raw: msgspec.Raw) -> bytes:
    """Return a body: a text is the body itself, anything else is its JSON."""
    if _is_null(raw):
        return b""
    if memoryview(raw)[:1].tobytes() == b'"':
        value = _value(raw)
        return value.encode(errors="replace") if isinstance(value, str) else b""
    return bytes(raw)


def _answer(fields: _Line) -> tuple[bytes, str]:
    """Return the answer's body, and its media type where that follows from how it is told."""
    payloads = _payloads(fields.sse)
    if payloads is not None:
        return b"".join(map(_event, payloads)), "text/event-stream"
    body = _body(fields.response)
    return body, "application/json" if body[:1] in {b"{", b"["} else ""


def _payloads(raw: msgspec.Raw) -> list[bytes] | None:
    """Return the data of each event, None where the answer was no stream."""
    if _is_null(raw):
        return None
    try:
        items = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        value = _value(raw)
        if not isinstance(value, list):
            raise Unreadable("`sse` is no list of data payloads") from None
        items = [msgspec.Raw(_dumped(item)) for item in value]
    return [_body(item) for item in items]


def _event(payload: bytes) -> bytes:
    """Return a payload as the event that it came in. Where its JSON has a type, the event has that name, as all who send types do."""
    kind = b""
    if payload[:1] == b"{" and b'"type"' in payload:
        value = _value(msgspec.Raw(payload))
        named = value.get("type") if isinstance(value, dict) else None
        if isinstance(named, str) and named.isascii() and named.isprintable():
            kind = b"event: %b\n" % named.encode()
    lines = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return kind + b"".join(b"data: %b\n" % line for line in lines) + b"\n"
