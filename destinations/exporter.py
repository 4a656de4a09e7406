"""Sends spans by OTLP over HTTP, and reads what came of it. Source: ../shared/reference/destinations.md sections 3.1, 3.2 and 8."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from destinations.answers import LONGEST_EXCERPT, excerpt_of
from destinations.attributes import Attributes, Mapper
from destinations.genai import SCHEMA_URL, error_message_of, error_type_of, genai
from destinations.http import Answer, gzipped, post
from destinations.jsontext import clean
from destinations.otlp import Parents, Preset
from destinations.otlp_json import as_otlp_json
from destinations.providers import name_of
from domain.destinations import Limits, Misconfigured, Parcel, Payload, Receipt

if TYPE_CHECKING:
    import httpx


def _version() -> str:
    try:
        return version("faregate")
    except PackageNotFoundError:  # pragma: no cover - run from a folder that was never installed
        return ""


PROTOBUF, JSON = "application/x-protobuf", "application/json"
# Of an answer, no more than this is read: what OTLP itself says.
ANSWER_BYTES = 4 * 1024 * 1024
SCOPE = "faregate"
VERSION = _version()
ENVIRONMENT = "deployment.environment.name"
# What is read of a message; what it repeats of ours is masked before it is cut to what is shown.
_LONGEST_NOTE = 4 * LONGEST_EXCERPT
_LONGEST_STATUS = 4_096
_LONGEST_LETTER = 4  # bytes of UTF-8
_CUT = "…"
_NANOSECONDS = 1_000_000  # of one millisecond
_LONGEST_MS = 1e12
_LATEST = 2**63 - 1


class OtlpExporter:
    """One destination that takes OTLP. `encode` may run in another thread than `send`: they share nothing that changes."""

    def __init__(
        self, client: "httpx.AsyncClient", preset: Preset, limits: Limits, *, service: str, resource: Mapping[str, str]
    ) -> None:
        self.limits = limits
        self._client = client
        self._preset = preset
        self._resource = {"service.name": service, **preset.resource, **resource}

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the parcels as one request for export."""
        del batch
        preset = self._preset
        request = request_for(parcels, preset.mappers, self._resource, parents=preset.parents)
        if preset.longest_text is not None:
            cut_texts(request, preset.longest_text)
        calls = tuple(parcel.span.id for parcel in parcels)
        if preset.encoding == "json":
            return Payload(as_otlp_json(request), JSON, calls)
        return Payload(request.SerializeToString(), PROTOBUF, calls)

    async def send(self, payload: Payload) -> Receipt:
        """Send a request, once.

        Raises:
            DeliveryFailed: it was not taken; see `destinations.http.post`. `Misconfigured` also where what answered is no receiver of OTLP.

        """
        answer = await post(
            self._client,
            self._preset.url,
            body=payload.body,
            headers=self._preset.headers,
            content_type=payload.content_type,
            pack=gzipped if self._preset.gzip else None,
            answer_bytes=ANSWER_BYTES,
            judge=self._preset.judge,
        )
        receipt = receipt_of(answer)
        if not receipt.note:
            return receipt
        # A message may repeat what was sent, credentials included, as that of an error may.
        sent = (payload.body, self._preset.headers, self._preset.url)
        return replace(receipt, note=await asyncio.to_thread(excerpt_of, receipt.note.encode("utf-8", "replace"), *sent))


def request_for(
    parcels: Sequence[Parcel], mappers: Sequence[Mapper], resource: Mapping[str, str], *, parents: Parents = "root"
) -> ExportTraceServiceRequest:
    """Return a request for the export of parcels, told in the terms of `mappers`, from a sender with the attributes `resource`."""
    request = ExportTraceServiceRequest()
    traces = request.resource_spans.add()
    environment = _one_environment(parcels)
    add = traces.resource.attributes.add
    for name, value in {**({ENVIRONMENT: environment} if environment else {}), **resource}.items():
        attribute = add()
        attribute.key, attribute.value.string_value = clean(name), clean(value)
    scope = traces.scope_spans.add()
    scope.schema_url = SCHEMA_URL
    scope.scope.name, scope.scope.version = SCOPE, VERSION
    for parcel in parcels:
        _write(parcel, scope.spans.add(), mappers, parents, on_span=environment is None)
    return request


def cut_texts(request: ExportTraceServiceRequest, longest: int) -> None:
    """Cut the texts among the attributes of spans and their events to `longest` bytes of UTF-8; a cut one ends in an ellipsis."""
    spans = [span for traces in request.resource_spans for scope in traces.scope_spans for span in scope.spans]
    owners: list[Any] = [owner for span in spans for owner in (span, *span.events)]
    for value in [attribute.value for owner in owners for attribute in owner.attributes]:
        text = value.string_value
        if len(text) * _LONGEST_LETTER > longest and len(text.encode()) > longest:
            value.string_value = text.encode()[: longest - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT


def encoded_json(parcels: Sequence[Parcel]) -> bytes:
    """Return parcels as OTLP/JSON in the terms of the GenAI conventions, for those who want that without a collector's manners."""
    return as_otlp_json(request_for(parcels, (genai,), {"service.name": SCOPE}))


def _write(parcel: Parcel, target: Any, mappers: Sequence[Mapper], parents: Parents, *, on_span: bool) -> None:
    span = parcel.span
    target.trace_id, target.span_id = _id(span.trace_id, 16), _id(span.span_id, 8)
    target.name = clean(name_of(span))
    target.kind = OtlpSpan.SPAN_KIND_CLIENT
    started = min(max(span.started_at, 0), _LATEST)
    ended = min(started + int(min(max(span.latency_ms or 0.0, 0.0), _LONGEST_MS) * _NANOSECONDS), _LATEST)
    target.start_time_unix_nano, target.end_time_unix_nano = started, ended
    to = Attributes(target.attributes.add, parcel)
    # The first to write an attribute counts: what rules set is over what we say.
    for name, value in parcel.extra.items():
        to.any(name, value)
    if span.parent_span_id is not None:
        _write_parent(span.parent_span_id, target, to, parents)
    if on_span:
        to.text(ENVIRONMENT, span.labels.env)
    for mapper in mappers:
        mapper(parcel, to)
    _write_error(parcel, target, ended)


def _write_parent(parent: str, target: Any, to: Attributes, parents: Parents) -> None:
    """Write the parent that the app told. Where the platform does not get the app's spans, a parent there would make this one an orphan."""
    if parents == "keep":
        target.parent_span_id = _id(parent, 8)
    else:
        to.text("faregate.parent_span_id", parent)


def receipt_of(answer: Answer) -> Receipt:
    """Return what an answer of status 2xx says: all taken, or some spans refused, which are not to be sent again.

    Raises:
        Misconfigured: a page for people answered.

    """
    if not answer.body:
        return Receipt(answer.status)
    if answer.media_type == PROTOBUF:
        refused, message = _partial(answer.body)
    elif answer.body.lstrip()[:1] == b"<" or answer.media_type == "text/html":
        raise Misconfigured(
            f"HTTP {answer.status}, but what answered is a web page, no receiver of OTLP; look at the URL", status=answer.status
        )
    else:
        refused, message = _partial_json(answer.body)
    return Receipt(answer.status, refused=refused, note=clean(message)[:_LONGEST_NOTE])


def _partial(body: bytes) -> tuple[int, str]:
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return 0, "the answer could not be read"
    return max(partial.rejected_spans, 0), partial.error_message


def _partial_json(body: bytes) -> tuple[int, str]:
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return 0, "the answer could not be read"
    partial = told.get("partialSuccess", told.get("partial_success")) if isinstance(told, dict) else None
    if not isinstance(partial, dict):
        return 0, ""
    message = partial.get("errorMessage", partial.get("error_message"))
    return _count(partial.get("rejectedSpans", partial.get("rejected_spans"))), message if isinstance(message, str) else ""


def _count(value: Any) -> int:
    """Return a count that is a number or, as OTLP's JSON has it, a text."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= 18:  # noqa: PLR2004 - the digits of 64 bits
        return int(value)
    return value if type(value) is int and value > 0 else 0


def _one_environment(parcels: Sequence[Parcel]) -> str | None:
    """Return the environment that all parcels name; None where they name several, or some name none."""
    found = {parcel.span.labels.env for parcel in parcels}
    return found.pop() if len(found) == 1 else None


def _write_error(parcel: Parcel, target: Any, ended: int) -> None:
    kind = error_type_of(parcel.span)
    if kind is None:
        return
    message = clean(error_message_of(parcel.span))[:_LONGEST_STATUS]
    target.status.code = Status.STATUS_CODE_ERROR
    target.status.message = message
    event = target.events.add()
    event.name, event.time_unix_nano = "exception", ended
    for name, value in (("exception.type", clean(kind)), ("exception.message", message)):
        attribute = event.attributes.add()
        attribute.key, attribute.value.string_value = name, value


def _id(text: str, size: int) -> bytes:
    """Return the bytes of an id in hex digits; what is none gives zeros of the right length."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    return found if len(found) == size else bytes(size)
