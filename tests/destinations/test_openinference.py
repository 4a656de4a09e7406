import json
from dataclasses import replace

import pytest

from domain.exchange import Labels
from tests.destinations.fixture import IMAGE_URL, bare_variant, fixture_content, fixture_span, parcel
from tests.destinations.test_genai import told

BOTH = ("openinference",)


def flat(content, **changes):
    """Return what OpenInference says of the fixture with another content."""
    span = replace(fixture_span(), **changes)
    return told(parcel(span, replace(fixture_content(), **content)), BOTH)[1]


def test_the_fixture_is_told_in_its_terms():
    _, found = told(parcel(), BOTH)
    assert found["openinference.span.kind"] == "LLM"
    assert found["llm.model_name"] == "gpt-4o-mini-2024-07-18"
    assert found["llm.provider"] == "openai"
    assert json.loads(found["llm.invocation_parameters"]) == {"temperature": 0.2, "max_tokens": 256}
    tokens = {
        name.removeprefix("llm.token_count."): count for name, count in found.items() if name.startswith("llm.token_count.")
    }
    assert tokens == {
        "prompt": 1200,
        "completion": 80,
        "total": 1280,
        "prompt_details.cache_read": 1024,
        "prompt_details.cache_write": 16,
        "completion_details.reasoning": 32,
    }
    costs = {name.removeprefix("llm.cost."): amount for name, amount in found.items() if name.startswith("llm.cost.")}
    assert costs == {
        "total": 0.000333,
        "prompt": 0.000111,
        "completion": 0.000222,
        "prompt_details.input": 0.000024,
        "prompt_details.cache_read": 0.0000768,
        "prompt_details.cache_write": 0.0000102,
        "completion_details.output": 0.0001332,
        "completion_details.reasoning": 0.0000888,
    }
    assert (found["session.id"], found["user.id"]) == ("sess-1", "user-1")
    assert found["tag.tags"] == ["prod", "gw"]
    assert json.loads(found["metadata"]) == {
        "team": "search",
        "gateway.call_id": fixture_span().id,
        "gateway.project": "search",
        "gateway.key": "team-search",
        "gateway.upstream": "openai",
        "customer": "cust-1",
        "section": "agent:researcher",
        "env": "prod",
        "release": "2026.11",
        "prompt": "weather@3",
    }


def test_messages_are_flat():
    _, found = told(parcel(), BOTH)
    assert {name: value for name, value in found.items() if name.startswith(("llm.input_messages", "llm.output_messages"))} == {
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "You are terse.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "Weather in Paris?",
        "llm.input_messages.1.message.contents.1.message_content.type": "image",
        "llm.input_messages.1.message.contents.1.message_content.image.image.url": IMAGE_URL,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.contents.0.message_content.type": "reasoning",
        "llm.output_messages.0.message.contents.0.message_content.text": "User wants weather",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_weather",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city":"Paris"}',
    }
    assert json.loads(found["llm.tools.0.tool.json_schema"])["name"] == "get_weather"
    assert json.loads(found["input.value"])["model"] == "gpt-4o-mini"
    assert found["input.mime_type"] == found["output.mime_type"] == "application/json"


def test_instructions_come_first():
    found = flat({"input": {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}})
    assert found["llm.input_messages.0.message.role"] == "system"
    assert found["llm.input_messages.1.message.contents.0.message_content.text"] == "Hi"


def test_what_a_tool_answered_and_what_is_no_text_are_told():
    blob = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lG"}}
    asked = [
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny", "name": "get_weather"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "x"}]},
        {"role": "user", "content": [blob, {"type": "file", "file": {"file_id": "f1"}}]},
    ]
    found = flat({"input": {"messages": asked}})
    assert found["llm.input_messages.0.message.tool_call_id"] == "call_1"
    assert found["llm.input_messages.0.message.content"] == "sunny"
    assert found["llm.input_messages.0.message.name"] == "get_weather"
    assert json.loads(found["llm.input_messages.1.message.content"])[0]["text"] == "x"
    start = "llm.input_messages.2.message.contents"
    assert found[f"{start}.0.message_content.image.image.url"] == "data:image/gif;base64,R0lG"
    assert json.loads(found[f"{start}.1.message_content.text"])["file_id"] == "f1"


def test_embeddings_are_told_by_their_texts():
    found = flat(
        {"input": {"input": ["one", "two"]}, "output": {"data": {"type": "vectors", "count": 2}}}, operation="embeddings"
    )
    assert found["openinference.span.kind"] == "EMBEDDING"
    assert found["embedding.model_name"] == "gpt-4o-mini-2024-07-18"
    assert found["embedding.embeddings.1.embedding.text"] == "two"
    assert not [name for name in found if name.startswith("llm.input_messages")]


@pytest.mark.parametrize(("operation", "kind"), [("rerank", "RERANKER"), ("files", "CHAIN"), ("responses", "LLM")])
def test_other_operations_have_their_kinds(operation, kind):
    assert flat({}, operation=operation)["openinference.span.kind"] == kind


def test_a_text_is_a_text():
    found = flat({"input": "plain", "output": "answer"})
    assert (found["input.value"], found["input.mime_type"]) == ("plain", "text/plain")


def test_a_bare_call_and_one_without_content_tell_no_messages():
    for one in (bare_variant(), parcel(fixture_span(), None)):
        _, found = told(one, BOTH)
        assert not [name for name in found if "message" in name or name.startswith(("input.", "output."))]


def test_with_two_dialects_messages_are_sent_once():
    _, found = told(parcel(), ("genai", "openinference"))
    assert "gen_ai.input.messages" in found
    assert "llm.model_name" in found
    assert not [name for name in found if name.startswith(("llm.input_messages", "input.value"))]
    _, found = told(parcel(), ("openinference", "genai"))
    assert "gen_ai.input.messages" not in found
    assert "gen_ai.usage.cost" in found


def test_metadata_has_what_is_known_alone():
    found = flat({}, labels=Labels(), key_name="")
    assert set(json.loads(found["metadata"])) == {"gateway.call_id", "gateway.project", "gateway.upstream"}
    assert "tag.tags" not in found
