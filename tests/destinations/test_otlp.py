import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from pydantic import SecretStr, ValidationError

from destinations.client import client_for
from destinations.exporter import encoded_json, receipt_of
from destinations.http import Answer
from destinations.otlp import OtlpConfig, told_by, traces_url
from domain.calls import Usage
from domain.destinations import Limits, Misconfigured, Payload, Receipt
from domain.exchange import Labels
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, SPAN_ID, TRACE_ID, fixture_content, fixture_span, hostile, many, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import attributes, readable, request_in, spans_in
from tests.destinations.sink import Reply, Sink
from tests.destinations.variants import VARIANTS

PROTOBUF = "application/x-protobuf"
URL = "https://collector.test"
PARENT = "00f067aa0ba902b7"


def built(**told):
    return OtlpConfig(url=URL, **told).build("mine", None)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("dialects", [("genai",), ("openinference", "genai")])
async def test_complies(encoding, dialects):
    with Sink(Reply(200, b"", PROTOBUF)) as sink:
        config = OtlpConfig(
            url=sink.url,
            headers={"authorization": SecretStr("Bearer " + "canary-0123456789")},
            encoding=encoding,
            dialects=dialects,
            allow_private=True,
        )
        await assert_complies(config, sink)
        assert {got.path for got in sink.got} == {"/v1/traces"}
        assert {got.headers["authorization"] for got in sink.got} == {"Bearer " + "canary-0123456789"}
        assert {got.headers["content-encoding"] for got in sink.got} == {"gzip"}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_payload_is_as_its_golden_file(name):
    golden(f"otlp/{name}.json", readable(built(dialects=("genai", "openinference")).encode([VARIANTS[name]()], BATCH)))


@pytest.mark.parametrize("name", [*VARIANTS, "hostile", "many"])
def test_json_and_protobuf_say_the_same(name):
    parcels = {"hostile": hostile, "many": lambda: many(5)}.get(name, lambda: [VARIANTS[name]()])()
    told = [request_in(built(encoding=encoding).encode(parcels, BATCH)) for encoding in ("protobuf", "json")]
    assert told[0] == told[1]


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    asked=_ANYTHING,
    text=st.text(st.characters(codec=None), max_size=40),
    extra=st.dictionaries(st.text(st.characters(codec=None), max_size=8), _ANYTHING, max_size=4),
    count=st.integers() | st.none(),
    milliseconds=st.floats(allow_nan=False) | st.none(),
)
def test_whatever_a_call_holds_there_is_a_request_that_can_be_read(asked, text, extra, count, milliseconds):
    span = replace(
        fixture_span(),
        model=text,
        labels=Labels(session=text, env=text, tags={text: text}),
        usage=Usage(input_tokens=count, output_tokens=count, cache_read_tokens=count),
        cost=count,
        params={"temperature": count, text: text},
        latency_ms=milliseconds,
    )
    one = replace(parcel(span, replace(fixture_content(), input=asked, output=asked)), extra=extra)
    for dialects in (("genai", "openinference"), ("openinference", "genai")):
        told = [request_in(built(encoding=encoding, dialects=dialects).encode([one], BATCH)) for encoding in ("protobuf", "json")]
        assert told[0] == told[1]
        (found,) = told[0].resource_spans[0].scope_spans[0].spans
        assert attributes(found)


def test_json_has_ids_in_hex_and_long_numbers_as_texts():
    (span,) = json.loads(encoded_json([parcel()]))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"], span["kind"]) == (TRACE_ID, SPAN_ID, 3)
    assert span["startTimeUnixNano"] == "1795215600000000000"
    values = {one["key"]: one["value"] for one in span["attributes"]}
    assert values["gen_ai.usage.input_tokens"] == {"intValue": "1200"}
    assert values["gen_ai.request.temperature"] == {"doubleValue": 0.2}


def test_ids_and_times_are_the_calls_own():
    (span,) = spans_in(built().encode([parcel()], BATCH))
    assert span.trace_id.hex() == TRACE_ID
    assert span.span_id.hex() == SPAN_ID
    assert span.start_time_unix_nano == 1_795_215_600_000_000_000
    assert not span.parent_span_id


@pytest.mark.parametrize("bad", ["", "x" * 32, "0af7", "\ud800"])
def test_an_id_that_is_none_does_not_break_the_request(bad):
    span = replace(fixture_span(), trace_id=bad, parent_span_id=bad)
    (found,) = spans_in(built(parents="keep").encode([parcel(span, None)], BATCH))
    assert found.trace_id == bytes(16)


def test_a_parent_that_the_platform_never_saw_makes_no_orphan():
    one = parcel(replace(fixture_span(), parent_span_id=PARENT), None)
    (root,) = spans_in(built().encode([one], BATCH))
    assert not root.parent_span_id
    assert attributes(root)["faregate.parent_span_id"] == PARENT
    (child,) = spans_in(built(parents="keep").encode([one], BATCH))
    assert child.parent_span_id.hex() == PARENT
    assert "faregate.parent_span_id" not in attributes(child)


def test_the_sender_is_told_with_the_environment_where_all_have_the_same():
    destination = built(service="llm", resource={"service.namespace": "shop"})
    request = request_in(destination.encode(many(3), BATCH))
    (traces,) = request.resource_spans
    assert attributes(traces.resource) == {
        "deployment.environment.name": "prod",
        "service.name": "llm",
        "service.namespace": "shop",
    }
    (scope,) = traces.scope_spans
    assert scope.schema_url == "https://opentelemetry.io/schemas/gen-ai/1.42.0"
    assert scope.scope.name == "faregate"
    assert len(scope.spans) == 3


def test_where_environments_differ_each_span_has_its_own():
    envs = ("prod", "test", None)
    parcels = [parcel(replace(fixture_span(), labels=Labels(env=env)), None) for env in envs]
    request = request_in(built().encode(parcels, BATCH))
    assert "deployment.environment.name" not in attributes(request.resource_spans[0].resource)
    found = [attributes(span).get("deployment.environment.name") for span in request.resource_spans[0].scope_spans[0].spans]
    assert found == list(envs)


def test_a_large_request_stays_small_enough_to_be_told():
    text = "word " * 200_000
    one = parcel(fixture_span(), replace(fixture_content(), input={"messages": [{"role": "user", "content": text}]}))
    assert 1_000_000 < len(built().encode([one], BATCH).body) < 1_100_000


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("https://c.test", "https://c.test/v1/traces"),
        ("https://c.test/", "https://c.test/v1/traces"),
        ("https://c.test:4318/otlp", "https://c.test:4318/otlp/v1/traces"),
        ("https://c.test/otlp/?a=b", "https://c.test/otlp/v1/traces?a=b"),
        ("https://c.test/v1/traces", "https://c.test/v1/traces"),
        ("https://c.test/api/1/integration/otlp/v1/traces/", "https://c.test/api/1/integration/otlp/v1/traces/"),
    ],
)
def test_a_base_gets_the_path_of_traces_and_a_full_url_does_not(url, full):
    assert traces_url(url) == full


def answer(body, content_type, status=200):
    return Answer(status, {"content-type": content_type}, body)


def partial(rejected, message=""):
    found = ExportTraceServiceResponse()
    found.partial_success.rejected_spans = rejected
    found.partial_success.error_message = message
    return found.SerializeToString()


@pytest.mark.parametrize(
    ("answered", "receipt"),
    [
        (answer(b"", PROTOBUF), Receipt(200)),
        (answer(b"", ""), Receipt(200)),
        (answer(b"{}", "application/json"), Receipt(200)),
        (answer(b'{"partialSuccess":{}}', "application/json; charset=utf-8"), Receipt(200)),
        (answer(partial(3, "too old"), PROTOBUF), Receipt(200, refused=3, note="too old")),
        (answer(partial(0, "careful"), PROTOBUF), Receipt(200, note="careful")),
        (answer(partial(-3), PROTOBUF), Receipt(200)),
        (
            answer(b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}', "application/json"),
            Receipt(200, refused=3, note="too old"),
        ),
        (answer(b'{"partial_success":{"rejected_spans":2}}', "application/json"), Receipt(200, refused=2)),
        (answer(b'{"partialSuccess":{"rejectedSpans":"x","errorMessage":7}}', "application/json"), Receipt(200)),
        (answer(b'{"partialSuccess":{"rejectedSpans":true}}', "application/json"), Receipt(200)),
        (answer(b'[{"partialSuccess":1}]', "application/json"), Receipt(200)),
        (answer(b"\xff\xff", PROTOBUF), Receipt(200, note="the answer could not be read")),
        (answer(b"{", "application/json"), Receipt(200, note="the answer could not be read")),
        (answer(b"ok", "text/plain"), Receipt(200, note="the answer could not be read")),
        (answer(partial(1, "m" * 5_000), PROTOBUF), Receipt(200, refused=1, note="m" * 1_200)),
    ],
)
def test_what_was_refused_is_counted_and_never_sent_again(answered, receipt):
    assert receipt_of(answered) == receipt


@pytest.mark.parametrize(
    "page", [(b"<!doctype html><html>", "text/html"), (b"\n <html>", ""), (b"hello", "text/html; charset=utf-8")]
)
async def test_a_web_page_is_no_receiver(page):
    with Sink(Reply(200, *page)) as sink:
        config = OtlpConfig(url=sink.url, allow_private=True)
        async with client_for(config) as client:
            with pytest.raises(Misconfigured, match="look at the URL"):
                await config.build("mine", client).send(Payload(b"", PROTOBUF, ()))


async def test_a_partial_success_comes_through_the_wire():
    with Sink(Reply(200, partial(2, "two were too old"), PROTOBUF)) as sink:
        config = OtlpConfig(url=sink.url, allow_private=True, compression="none")
        async with client_for(config) as client:
            destination = config.build("mine", client)
            receipt = await destination.send(destination.encode(many(3), BATCH))
        assert receipt == Receipt(200, refused=2, note="two were too old")
        assert sink.last.raw == sink.last.body
        assert len(spans_in(Payload(sink.last.body, PROTOBUF, ()))) == 3


def test_the_standard_variables_are_understood(monkeypatch):
    for name, value in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://base.test/otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=se%20cret,x-a = b",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "9",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/etc/ca.pem",
    }.items():
        monkeypatch.setenv(name, value)
    config = OtlpConfig.model_validate({"from_env": True})
    preset = config.preset()
    assert preset.url == "https://base.test/otlp/v1/traces"
    assert preset.headers == {"api-key": "se cret", "x-a": "b"}
    assert (preset.gzip, preset.encoding, str(config.ca_file)) == (False, "json", "/etc/ca.pem")
    assert config.limits().timeout == 2.5
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://whole.test/x/v1/traces")
    assert OtlpConfig.model_validate({"from_env": True}).preset().url == "https://whole.test/x/v1/traces"
    told = OtlpConfig.model_validate({"from_env": True, "url": "https://mine.test", "encoding": "protobuf"})
    assert (told.preset().url, told.preset().encoding) == ("https://mine.test/v1/traces", "protobuf")
    with pytest.raises(ValidationError):
        OtlpConfig.model_validate({})


def test_without_variables_nothing_is_told():
    assert told_by({}) == {}
    assert told_by({"OTEL_EXPORTER_OTLP_HEADERS": "nonsense,,"}) == {}
    with pytest.raises(ValueError, match="grpc"):
        told_by({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "collector.test"},
        {"url": "ftp://collector.test"},
        {"url": "http://collector.test"},
        {"url": "https://"},
        {"url": "https://user:word@collector.test"},
        {"url": "https://collector.test/#x"},
        {"url": "https://collector.test:port/"},
        {"url": "https://[::1/"},
        {"url": "https://a b/"},
        {"url": "https://" + "x" * 3_000},
        {"url": URL, "headers": {"a b": "c"}},
        {"url": URL, "headers": {"a": "b\r\nc: d"}},
        {"url": URL, "headers": {"a": "\u00fc"}},
        {"url": URL, "headers": {"content-length": "3"}},
        {"url": URL, "dialects": []},
        {"url": URL, "dialects": ["openllmetry"]},
        {"url": URL, "encoding": "thrift"},
        {"url": URL, "service": ""},
        {"url": URL, "unknown": 1},
        {"url": URL, "batch_items": 0},
        {"url": URL, "flush": "soon"},
    ],
)
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ValidationError):
        OtlpConfig.model_validate(wrong)


def test_limits_are_the_kinds_unless_settings_say_otherwise():
    assert OtlpConfig(url=URL).limits() == Limits(items=200)
    told = OtlpConfig.model_validate(
        {"url": URL, "batch_items": 7, "batch_mb": 0.5, "flush": "250ms", "parallel": 3, "timeout": "5s", "max_age": "1d"}
    )
    assert told.limits() == Limits(items=7, body_bytes=524_288, flush=0.25, parallel=3, timeout=5.0, max_age=86_400.0)
