import json
from dataclasses import replace

import pytest

from destinations.otlp import OtlpConfig
from domain.calls import CallError, Usage
from domain.exchange import Labels
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    bare_variant,
    error_variant,
    fixture_content,
    fixture_span,
    parcel,
    streamed_variant,
)
from tests.destinations.otlp_reading import attributes, spans_in

# Every name of ../shared/reference/destinations.md section 3.4 and 3.8 that the fixture has something to say for.
EXPECTED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 256,
    "gen_ai.conversation.id": "sess-1",
    "session.id": "sess-1",
    "user.id": "user-1",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 80,
    "gen_ai.usage.cache_read.input_tokens": 1024,
    "gen_ai.usage.cache_write.input_tokens": 16,
    "gen_ai.usage.cache_creation.input_tokens": 16,
    "gen_ai.usage.reasoning.output_tokens": 32,
    "gen_ai.usage.cost": 0.000333,
    "gen_ai.prompt.name": "weather",
    "gen_ai.prompt.version": "3",
    "http.response.status_code": 200,
    "faregate.call_id": CALL_ID,
    "faregate.project": "search",
    "faregate.key": "team-search",
    "faregate.upstream": "openai",
    "faregate.outcome": "ok",
    "faregate.cost_status": "exact",
    "faregate.customer": "cust-1",
    "faregate.section": "agent:researcher",
    "faregate.release": "2026.11",
    "faregate.tags": ["prod", "gw"],
    "faregate.tag.team": "search",
}
MESSAGES = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}


def told(one, dialects=("genai",)):
    """Return the span that a parcel becomes, and its attributes."""
    destination = OtlpConfig(url="https://collector.test", dialects=dialects).build("mine", None)
    (span,) = spans_in(destination.encode([one], BATCH))
    return span, attributes(span)


def changed(**changes):
    """Return the attributes of the fixture with some of its fields changed."""
    return told(parcel(replace(fixture_span(), **changes), fixture_content()))[1]


def test_the_fixture_says_all_of_the_conventions():
    span, found = told(parcel())
    assert {name: value for name, value in found.items() if name not in MESSAGES} == EXPECTED
    assert span.name == "chat gpt-4o-mini"
    assert span.kind == 3
    assert span.status.code == 0
    assert not span.events
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_234_000_000


def test_messages_are_json_in_a_text():
    _, found = told(parcel())
    assert [message["role"] for message in json.loads(found["gen_ai.input.messages"])] == ["system", "user"]
    (answer,) = json.loads(found["gen_ai.output.messages"])
    assert answer["finish_reason"] == "tool_call"
    assert json.loads(found["gen_ai.tool.definitions"])[0]["name"] == "get_weather"
    asked = {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    _, found = told(parcel(fixture_span(), replace(fixture_content(), input=asked)))
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]


def test_a_failed_call_says_why():
    span, found = told(error_variant())
    assert (span.status.code, span.status.message) == (2, "429 rate limited")
    assert found["error.type"] == "rate_limit_exceeded"
    assert found["gen_ai.response.finish_reasons"] == ["error"]
    assert not [name for name in found if name.startswith("gen_ai.usage")]
    (event,) = span.events
    assert (event.name, event.time_unix_nano) == ("exception", 1_795_215_600_500_000_000)
    assert attributes(event) == {"exception.type": "rate_limit_exceeded", "exception.message": "429 rate limited"}


@pytest.mark.parametrize(
    ("error", "status", "outcome", "kind"),
    [
        (CallError("rate_limit_error", None, "x"), 429, "error", "rate_limit_error"),
        (CallError(None, None, "x"), 500, "error", "500"),
        (CallError(None, None, "x"), None, "error", "_OTHER"),
        (CallError(None, None, "x"), 200, "error", "_OTHER"),
        (None, None, "interrupted", "interrupted"),
        (CallError("x" * 500, None, "x"), 400, "error", "x" * 100),
        (None, 200, "cancelled", None),
        (None, 200, "ok", None),
    ],
)
def test_the_type_of_an_error_is_a_word(error, status, outcome, kind):
    assert changed(error=error, status=status, outcome=outcome).get("error.type") == kind


def test_a_streamed_call_has_its_first_chunk_in_seconds():
    _, found = told(streamed_variant())
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] == 0.41
    assert "gen_ai.request.stream" not in told(parcel())[1]


def test_of_a_bare_call_only_what_is_known_is_said():
    span, found = told(bare_variant())
    assert span.name == "unknown"
    assert span.start_time_unix_nano == span.end_time_unix_nano
    assert found["error.type"] == "interrupted"
    assert set(found) <= {
        *("gen_ai.operation.name", "gen_ai.provider.name", "error.type"),
        *(
            "faregate.call_id",
            "faregate.project",
            "faregate.key",
            "faregate.upstream",
            "faregate.outcome",
            "faregate.cost_status",
        ),
    }


def test_counts_of_zero_are_left_out_but_what_was_used_is_not():
    found = changed(usage=Usage(input_tokens=0, output_tokens=0, cache_read_tokens=0, reasoning_tokens=0, input_audio_tokens=0))
    assert {name: value for name, value in found.items() if "usage" in name and "cost" not in name} == {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 0,
    }


def test_sounds_and_pictures_are_counted_apart():
    usage = Usage(input_audio_tokens=1, input_image_tokens=2, output_audio_tokens=3, output_image_tokens=4)
    found = changed(usage=usage)
    assert found["gen_ai.usage.audio.input_tokens"] == 1
    assert found["gen_ai.usage.image.input_tokens"] == 2
    assert found["gen_ai.usage.audio.output_tokens"] == 3
    assert found["gen_ai.usage.image.output_tokens"] == 4


def test_what_is_free_costs_nothing_and_what_is_unknown_says_nothing():
    assert changed(cost=0, cost_status="free")["gen_ai.usage.cost"] == 0.0
    assert "gen_ai.usage.cost" not in changed(cost=None, cost_status="unknown")


def test_parameters_keep_their_types():
    params = {
        "temperature": 1,
        "top_p": 0.9,
        "top_k": 40,
        "seed": 7,
        "choice.count": 1,
        "stop_sequences": ["a", "b"],
        "reasoning.level": "low",
        "previous_response.id": "resp_1",
    }
    found = changed(params=params)
    assert found["gen_ai.request.temperature"] == 1.0
    assert isinstance(found["gen_ai.request.temperature"], float)
    assert found["gen_ai.request.top_k"] == 40
    assert found["gen_ai.request.stop_sequences"] == ["a", "b"]
    assert found["gen_ai.request.reasoning.level"] == "low"
    assert found["gen_ai.request.previous_response.id"] == "resp_1"
    assert "gen_ai.request.choice.count" not in found
    assert changed(params={"choice.count": 3})["gen_ai.request.choice.count"] == 3


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("chat", "chat"),
        ("responses", "chat"),
        ("responses.retrieve", "fetch_response"),
        ("text_completion", "text_completion"),
        ("generate_content", "generate_content"),
        ("embeddings", "embeddings"),
        ("image_generation", "image_generation"),
    ],
)
def test_operations_go_by_the_conventions_names(operation, name):
    assert changed(operation=operation)["gen_ai.operation.name"] == name


@pytest.mark.parametrize(
    ("upstream", "host", "name"),
    [
        ("openai", "api.openai.com", "openai"),
        ("mine", "api.openai.com", "openai"),
        ("mine", "eu.api.openai.com", "openai"),
        ("azure", "x.openai.azure.com", "azure.ai.openai"),
        ("gemini", "generativelanguage.googleapis.com", "gcp.gemini"),
        ("mine", "us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("mine", "bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("mistral", "gateway.example.com", "mistral_ai"),
        ("xai", "api.x.ai", "x_ai"),
        ("mine", "notapi.openai.com.example.com", "mine"),
        ("mine", "evil-openai.com", "mine"),
    ],
)
def test_providers_go_by_the_conventions_names(upstream, host, name):
    one = replace(parcel(replace(fixture_span(), upstream=upstream), None), server=(host, 443))
    assert told(one)[1]["gen_ai.provider.name"] == name
    assert told(replace(one, server=None))[1]["gen_ai.provider.name"]


def test_a_port_that_is_not_known_is_not_told():
    _, found = told(replace(parcel(), server=("sim", 0)))
    assert found["server.address"] == "sim"
    assert "server.port" not in found


def test_the_form_of_the_answer_is_told():
    asked = {"response_format": {"type": "json_schema"}}
    assert told(parcel(fixture_span(), replace(fixture_content(), input=asked)))[1]["gen_ai.output.type"] == "json"
    assert changed(operation="speech")["gen_ai.output.type"] == "speech"
    assert changed(operation="image_edit")["gen_ai.output.type"] == "image"


def test_what_rules_set_is_over_what_we_say():
    one = replace(
        parcel(),
        extra={
            "gen_ai.operation.name": "invoke_agent",
            "team": "x",
            "share": 0.5,
            "hits": 3,
            "beta": True,
            "list": ["a"],
            "map": {"a": 1},
        },
    )
    _, found = told(one)
    assert found["gen_ai.operation.name"] == "invoke_agent"
    assert (found["team"], found["share"], found["hits"], found["beta"], found["list"]) == ("x", 0.5, 3, True, ["a"])
    assert json.loads(found["map"]) == {"a": 1}


def test_a_shortened_call_and_a_copy_say_so():
    one = replace(parcel(replace(fixture_span(), mirror_of="0" * 32), fixture_content()), shortened="media")
    _, found = told(one)
    assert found["faregate.shortened"] == "media"
    assert found["faregate.mirror_of"] == "0" * 32


def test_several_tries_are_counted():
    span = fixture_span()
    assert changed(attempts=span.attempts * 3)["faregate.attempts"] == 3


def test_a_prompt_without_a_version_has_none():
    found = changed(labels=Labels(prompt="weather"))
    assert found["gen_ai.prompt.name"] == "weather"
    assert "gen_ai.prompt.version" not in found
