"""A request for export as OTLP/JSON, which is not what protobuf's own JSON is: ids are hex, numbers of 64 bits texts, enums numbers.

Source: ../shared/reference/destinations.md section 3.2.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_encode = msgspec.json.Encoder().encode


def as_otlp_json(request: ExportTraceServiceRequest) -> bytes:
    """Return `request` as OTLP/JSON. What is empty is left out."""
    return _encode(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(one.resource.attributes)},
                    "scopeSpans": [_scope(scope) for scope in one.scope_spans],
                }
                for one in request.resource_spans
            ]
        }
    )


def _scope(scope: Any) -> dict[str, Any]:
    return {
        "scope": {"name": scope.scope.name, "version": scope.scope.version},
        "schemaUrl": scope.schema_url,
        "spans": [_span(span) for span in scope.spans],
    }


def _span(span: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_time_unix_nano),
        "endTimeUnixNano": str(span.end_time_unix_nano),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_span_id:
        told["parentSpanId"] = span.parent_span_id.hex()
    if span.events:
        told["events"] = [
            {"name": event.name, "timeUnixNano": str(event.time_unix_nano), "attributes": _attributes(event.attributes)}
            for event in span.events
        ]
    if span.status.code:
        told["status"] = {"code": span.status.code, "message": span.status.message}
    return told


def _attributes(attributes: Any) -> list[dict[str, Any]]:
    return [{"key": one.key, "value": _value(one.value)} for one in attributes]


def _value(value: Any) -> dict[str, Any]:
    return _VALUES[value.WhichOneof("value")](value)


_VALUES: Mapping[str | None, Callable[[Any], dict[str, Any]]] = {
    "string_value": lambda value: {"stringValue": value.string_value},
    "int_value": lambda value: {"intValue": str(value.int_value)},
    "double_value": lambda value: {"doubleValue": value.double_value},
    "bool_value": lambda value: {"boolValue": value.bool_value},
    "array_value": lambda value: {"arrayValue": {"values": [_value(one) for one in value.array_value.values]}},
    None: lambda _: {},
}
