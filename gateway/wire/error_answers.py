"""Our own error answers, in the shape that the caller's SDK understands."""

import json
from math import ceil
from typing import Any

from domain.errors import GatewayError
from domain.exchange import Dialect
from gateway.wire.answer import Header

REASONS = {
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    408: b"Request Timeout",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(error: GatewayError, dialect: Dialect = "openai") -> bytes:
    """Return the body of the answer to `error`."""
    if dialect == "anthropic":
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": error.message}}).encode()
    if dialect == "gemini":
        status = _GOOGLE_STATUSES.get(error.status, "INTERNAL")
        return json.dumps({"error": {"code": error.status, "message": error.message, "status": status}}).encode()
    shape = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return json.dumps({"error": shape}).encode()


def error_headers(error: GatewayError, body: bytes) -> list[Header]:
    """Return the headers of the answer to `error`: whose error it is, and whether to try again."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-should-retry", b"true" if error.retry else b"false"),
        (b"x-faregate-error-origin", b"gateway"),
    ]
    headers.extend((name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in error.headers)
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
    return headers


def stream_error(error: GatewayError, dialect: Dialect, path: bytes) -> bytes:
    """Return the event that ends a stream of server-sent events with `error`, as the caller's SDK understands it."""
    body = error_body(error, dialect)
    if dialect == "anthropic":
        return b"event: error\ndata: " + body + b"\n\n"
    if dialect == "openai" and b"/responses" in path:
        event: dict[str, Any] = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        event["error"] = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"
    return b"data: " + body + b"\n\n"


def wire_answer(error: GatewayError) -> bytes:
    """Return a whole HTTP/1.1 answer to `error` that closes the connection."""
    body = error_body(error)
    head = b"HTTP/1.1 %d %b\r\n" % (error.status, REASONS.get(error.status, b"Error"))
    lines = b"".join(b"%b: %b\r\n" % header for header in error_headers(error, body))
    return head + lines + b"connection: close\r\n\r\n" + body
