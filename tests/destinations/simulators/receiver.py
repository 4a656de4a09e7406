"""A receiver of OTLP with the manners that most platforms share: `with Sink(Receiver(…)) as sink`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from domain.destinations import Payload
from tests.destinations.otlp_reading import attributes, request_in
from tests.destinations.sink import Got, Reply

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PAGE = Reply(200, b"<!doctype html><html><body>Sign in</body></html>", "text/html; charset=utf-8")

UNKNOWN = Reply(401, b'{"error":"invalid credentials"}')


@dataclass(slots=True)
class Seen:
    """One span as it came: its ids in hex, its attributes, those of its sender, and the whole of it."""

    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    sender: dict[str, Any]
    whole: Any


@dataclass
class Receiver:
    """Takes OTLP at `path` with the headers `wants`; another path is answered with its web page.

    `takes` are the content types that it reads, `largest` its limit for a body. `kept` are the spans that it keeps, by trace and span.
    """

    path: str = "/v1/traces"
    wants: Mapping[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = (PROTOBUF, JSON)
    largest: int = 64 * 1024 * 1024
    unreadable: int = 400
    kept: dict[tuple[str, str], Seen] = field(default_factory=dict)

    def __call__(self, got: Got) -> Reply:
        refused = self.refusal(got)
        if refused is not None:
            return refused
        try:
            spans = spans_of(got)
        except (DecodeError, ValueError, KeyError):
            return Reply(self.unreadable, b"cannot be read", "text/plain")
        return self.take(spans)

    def refusal(self, got: Got) -> Reply | None:
        """Return the answer to a request that is not even read; None to one that is."""
        checks = (
            (got.path != self.path, PAGE),
            (any(got.headers.get(name) != value for name, value in self.wants.items()), UNKNOWN),
            (got.headers.get("content-type") not in self.takes, Reply(415, b"unsupported content type", "text/plain")),
            (got.headers.get("content-encoding") not in {"gzip", None}, Reply(415, b"unsupported encoding", "text/plain")),
            (len(got.body) > self.largest, Reply(413, b"payload too large", "text/plain")),
        )
        return next((answer for wrong, answer in checks if wrong), None)

    def take(self, spans: list[Seen]) -> Reply:
        """Keep spans, and answer."""
        self.keep(spans)
        return taken()

    def keep(self, spans: Iterable[Seen]) -> None:
        """Keep spans; the last of an id wins."""
        for span in spans:
            self.kept[span.trace_id, span.span_id] = span


def spans_of(got: Got) -> list[Seen]:
    """Return the spans in a request."""
    request = request_in(Payload(got.body, got.headers["content-type"], ()))
    if not isinstance(request, ExportTraceServiceRequest) or not request.resource_spans:
        raise ValueError("there are no spans")
    return [
        Seen(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), attributes(span), attributes(one.resource), span)
        for one in request.resource_spans
        for scope in one.scope_spans
        for span in scope.spans
    ]


def taken(refused: int = 0, message: str = "") -> Reply:
    """Return OTLP's own answer: empty where all was taken."""
    answer = ExportTraceServiceResponse()
    if refused or message:
        answer.partial_success.rejected_spans = refused
        answer.partial_success.error_message = message
    return Reply(200, answer.SerializeToString(), PROTOBUF)
