import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from langfuse import Langfuse, propagate_attributes
from pydantic import SecretStr, ValidationError

from destinations.costs import costs_of
from destinations.langfuse import LangfuseConfig, cost_details, environment_of, usage_details
from domain.calls import Usage
from domain.destinations import Payload
from domain.exchange import Labels
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    error_variant,
    fixture_content,
    fixture_span,
    parcel,
    streamed_variant,
)
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import attributes, readable, request_in, spans_in
from tests.destinations.sink import Reply, Sink
from tests.destinations.variants import VARIANTS

PUBLIC, SECRET = "pk-lf-" + "1234", "sk-lf-" + "canary-5678"
PREFIX = "langfuse."


def config(url="https://cloud.langfuse.com", **more):
    return LangfuseConfig(url=url, public_key=PUBLIC, secret_key=SecretStr(SECRET), allow_private=True, **more)


def told(one, **more):
    (span,) = spans_in(config(**more).build("mine", None).encode([one], BATCH))
    return span, attributes(span)


async def test_complies():
    with Sink(Reply(200, b"{}")) as sink:
        await assert_complies(config(sink.url), sink)
        got = sink.last
        assert got.path == "/api/public/otel/v1/traces"
        assert base64.b64decode(got.headers["authorization"].removeprefix("Basic ")).decode() == f"{PUBLIC}:{SECRET}"
        assert got.headers["x-langfuse-ingestion-version"] == "4"
        # It would switch the path that the server writes by.
        assert "x-langfuse-sdk-name" not in got.headers


@pytest.mark.parametrize("name", VARIANTS)
def test_a_payload_is_as_its_golden_file(name):
    golden(f"langfuse/{name}.json", readable(config().build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_the_fixture_is_shown_as_we_have_it():
    _, found = told(parcel())
    assert found["langfuse.observation.type"] == "generation"
    assert found["langfuse.observation.model.name"] == "gpt-4o-mini-2024-07-18"
    assert json.loads(found["langfuse.observation.model.parameters"]) == {"temperature": 0.2, "max_tokens": 256}
    usage = json.loads(found["langfuse.observation.usage_details"])
    assert usage == {
        "input": 160,
        "input_cached_tokens": 1024,
        "input_cache_creation": 16,
        "output": 48,
        "output_reasoning_tokens": 32,
        "total": 1280,
    }
    # as the platform sums it: by the words in the names
    assert sum(count for name, count in usage.items() if "input" in name) == 1200
    assert sum(count for name, count in usage.items() if "output" in name) == 80
    costs = json.loads(found["langfuse.observation.cost_details"])
    assert costs == {"input": 0.000111, "output": 0.000222, "total": 0.000333}
    assert found["langfuse.observation.level"] == "DEFAULT"
    assert found["langfuse.observation.prompt.name"] == "weather"
    assert found["langfuse.observation.prompt.version"] == 3
    assert found["langfuse.trace.tags"] == ["prod", "gw"]
    assert found["langfuse.trace.metadata.team"] == "search"
    assert found["langfuse.environment"] == "prod"
    assert found["langfuse.release"] == "2026.11"
    assert (found["user.id"], found["session.id"]) == ("user-1", "sess-1")
    assert found["langfuse.observation.metadata.gateway_request_id"] == CALL_ID
    assert found["langfuse.internal.is_app_root"] is True
    assert "langfuse.observation.completion_start_time" not in found


def test_a_streamed_call_has_the_time_of_its_first_token():
    _, found = told(streamed_variant())
    assert json.loads(found["langfuse.observation.completion_start_time"]) == "2026-11-20T23:00:00.410000Z"


def test_a_failed_call_is_an_error_three_times_over():
    span, found = told(error_variant())
    assert found["langfuse.observation.level"] == "ERROR"
    assert found["langfuse.observation.status_message"] == "429 rate limited"
    assert span.status.code == 2
    assert not [name for name in found if "usage" in name or "cost_details" in name]


def test_a_call_that_its_caller_left_is_a_warning():
    _, found = told(parcel(replace(fixture_span(), outcome="cancelled"), None))
    assert found["langfuse.observation.level"] == "WARNING"


@pytest.mark.parametrize(
    ("operation", "usage", "kind"),
    [
        ("chat", None, "generation"),
        ("embeddings", None, "embedding"),
        ("files", None, "span"),
        ("image_generation", Usage(images=1), "generation"),
    ],
)
def test_kinds_of_observations(operation, usage, kind):
    _, found = told(parcel(replace(fixture_span(), operation=operation, usage=usage), None))
    assert found["langfuse.observation.type"] == kind


def test_a_parent_in_the_app_makes_no_orphan():
    span, found = told(parcel(replace(fixture_span(), parent_span_id="00f067aa0ba902b7"), None))
    assert not span.parent_span_id
    assert found["langfuse.internal.as_root"] is True


@pytest.mark.parametrize(
    ("usage", "details"),
    [
        (Usage(), {}),
        (Usage(input_tokens=5), {"input": 5}),
        (Usage(input_tokens=5, output_tokens=0), {"input": 5, "output": 0, "total": 5}),
        (
            Usage(input_tokens=5, cache_read_tokens=9, output_tokens=1),
            {"input": 0, "input_cached_tokens": 9, "output": 1, "total": 6},
        ),
        (
            Usage(output_tokens=9, output_audio_tokens=4, reasoning_tokens=2),
            {"output": 3, "output_reasoning_tokens": 2, "output_audio_tokens": 4},
        ),
    ],
)
def test_tokens_do_not_overlap(usage, details):
    assert usage_details(usage) == details


def test_what_is_unknown_has_no_cost():
    assert cost_details(costs_of(error_variant().span)) == {}
    assert cost_details(costs_of(replace(fixture_span(), cost=5, cost_status="reported"))) == {"total": 5e-12}


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("prod", "prod"),
        ("Prod EU", "prod-eu"),
        ("x" * 90, "x" * 40),
        ("langfuse-own", None),
        (None, None),
        ("", None),
        ("ü", "-"),
    ],
)
def test_an_environment_is_in_its_letters(env, name):
    assert environment_of(env) == name


@pytest.mark.parametrize("prompt", ["weather", "weather@latest", "weather@\u0663", "weather@"])
def test_a_version_that_is_no_number_is_none_there(prompt):
    _, found = told(parcel(replace(fixture_span(), labels=Labels(prompt=prompt)), fixture_content()))
    assert found["langfuse.observation.prompt.name"] == "weather"
    assert "langfuse.observation.prompt.version" not in found


def test_the_name_of_a_prompt_is_not_taken_for_the_input():
    """Its server takes whatever begins with `gen_ai.prompt` or `gen_ai.completion` for the input and output, before it looks at the messages."""
    _, found = told(parcel())
    assert not [name for name in found if name.startswith(("gen_ai.prompt", "gen_ai.completion"))]
    assert {"gen_ai.input.messages", "gen_ai.output.messages", "langfuse.observation.prompt.name"} <= found.keys()


def test_keys_must_be_there():
    for wrong in ({}, {"public_key": PUBLIC}, {"public_key": "", "secret_key": SECRET}, {"public_key": PUBLIC, "secret_key": ""}):
        with pytest.raises(ValidationError):
            LangfuseConfig.model_validate(wrong)


def test_the_official_sdk_says_the_same_in_the_same_way():
    """The SDK against our sink: the same endpoint and headers, and each of our names with the value that the SDK would send."""
    with Sink(Reply(200, b"{}")) as sink:
        client = Langfuse(public_key=PUBLIC, secret_key=SECRET, base_url=sink.url, environment="prod", release="2026.11")
        with propagate_attributes(user_id="user-1", session_id="sess-1", tags=["prod", "gw"], trace_name="agent:researcher"):
            one = client.start_observation(name="chat gpt-4o-mini", as_type="generation", model="gpt-4o-mini-2024-07-18")
            one.update(
                model_parameters={"temperature": 0.2, "max_tokens": 256},
                usage_details=usage_details(fixture_span().usage),
                cost_details=cost_details(costs_of(fixture_span())),
                completion_start_time=datetime(2026, 11, 20, 23, 0, 0, 410_000, tzinfo=UTC),
                level="DEFAULT",
            )
            one.end()
        client.flush()
        client.shutdown()
        (got,) = [got for got in sink.got if got.path.startswith("/api/public/otel")]
    preset = config(sink.url).preset()
    assert sink.url + got.path == preset.url
    assert {name: got.headers[name] for name in preset.headers} == preset.headers
    assert got.headers["content-type"] == "application/x-protobuf"
    (theirs,) = [
        span
        for traces in request_in(Payload(got.body, "application/x-protobuf", ())).resource_spans
        for scope in traces.scope_spans
        for span in scope.spans
    ]
    sent, ours = attributes(theirs), told(streamed_variant())[1]
    shared = {name for name in sent if name.startswith((PREFIX, "user.id", "session.id"))}
    assert len(shared & ours.keys()) >= 12
    assert shared <= ours.keys()
    assert {name: _read(sent[name]) for name in shared} == {name: _read(ours[name]) for name in shared}


def _read(value):
    """Return a value, read where it is JSON."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value
