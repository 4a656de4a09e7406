"""OTLP payloads as tests look at them, read by the official protobuf classes."""

import base64
import json

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from destinations.exporter import VERSION
from destinations.otlp_json import as_otlp_json

_IDS = ("traceId", "spanId", "parentSpanId")


def request_in(payload):
    """Return the request in a payload, protobuf or OTLP/JSON."""
    if payload.content_type == "application/x-protobuf":
        return ExportTraceServiceRequest.FromString(payload.body)
    # protobuf's own JSON has ids in base64, OTLP's in hex
    document = json.loads(payload.body)
    for span in [span for one in document["resourceSpans"] for scope in one["scopeSpans"] for span in scope["spans"]]:
        for name in _IDS:
            if name in span:
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return Parse(json.dumps(document), ExportTraceServiceRequest())


def spans_in(payload):
    return [span for one in request_in(payload).resource_spans for scope in one.scope_spans for span in scope.spans]


def attributes(owner):
    """Return attributes as plain values; none may be there twice."""
    names = [one.key for one in owner.attributes]
    assert len(names) == len(set(names)), "an attribute is there twice"
    return {one.key: value(one.value) for one in owner.attributes}


def value(any_value):
    kind = any_value.WhichOneof("value")
    found = getattr(any_value, kind)
    return [value(one) for one in found.values] if kind == "array_value" else found


def readable(payload):
    """Return a payload as indented JSON, for golden files; our version is left out, since it changes."""
    text = as_otlp_json(request_in(payload)).decode().replace(f'"version":"{VERSION}"', '"version":"0"')
    return (json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n").encode()
