"""What a request is in tokens, for each API's shape."""

import base64
import json

import pytest

from pricing.tokens.counter import SAMPLED, SIZE_GUESSED
from pricing.tokens.prompts import HOSTED, MEDIA, ODD, STORED, THOUGHTS
from pricing.tokens.tools import rendered
from tests.pricing.tokens.test_images import png

# The example of OpenAI's cookbook, whose counts were confirmed by its API: 129 for gpt-4, 124 for gpt-4o.
COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
WEATHER = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}
ASKED = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
# The same text in the shape of each API: 9 tokens.
TEXT = "What is the capital city of France today?"


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 129), ("gpt-4o", 124)])
def test_a_chat_is_what_openais_api_counted(counter, model, tokens):
    assert counter.input({"messages": COOKBOOK}, model).tokens == tokens


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 105), ("gpt-4o", 101)])
def test_a_chat_with_a_tool_is_what_openais_api_counted(counter, model, tokens):
    """The cookbook's second example."""
    body = {"messages": ASKED, "tools": [{"type": "function", "function": WEATHER}]}
    assert counter.input(body, model).tokens == tokens
    assert counter.input({"messages": ASKED, "functions": [WEATHER]}, model).tokens == tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [{"role": "user", "content": TEXT}]}, 16),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]}, 16),
        ({"messages": [{"role": "user", "content": TEXT}], "system": TEXT}, 28),
        ({"messages": [{"role": "user", "content": TEXT}], "system": [{"type": "text", "text": TEXT}]}, 28),
        ({"input": TEXT}, 16),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": TEXT}]}]}, 16),
        ({"input": TEXT, "instructions": TEXT}, 28),
        ({"prompt": TEXT}, 9),
        ({"prompt": [TEXT, TEXT]}, 18),
        ({"prompt": [1, 2, 3]}, 3),
        ({"prompt": [[1, 2, 3], [4]]}, 4),
        ({"input": [TEXT, TEXT]}, 18),
        ({"input": [[1, 2, 3], [4]]}, 4),
        ({"texts": [TEXT, TEXT]}, 18),
        ({"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}, 9),
        ({"contents": {"parts": [{"text": TEXT}]}, "systemInstruction": {"parts": [{"text": TEXT}]}}, 21),
        ({"content": {"parts": [{"text": TEXT}]}}, 9),
        ({"requests": [{"content": {"parts": [{"text": TEXT}]}}] * 3}, 27),
    ],
)
def test_the_text_of_each_shape_is_counted(counter, body, tokens):
    found = counter.input(body, "gpt-4o")
    assert (found.tokens, found.flags) == (tokens, ("tiktoken:o200k",))


def test_a_text_to_embed_is_no_message(counter):
    assert counter.input({"input": TEXT}, "text-embedding-3-small", embeds=True).tokens == 9


@pytest.mark.parametrize(
    "part",
    [
        {"type": "tool_result", "tool_use_id": "t", "content": TEXT},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": TEXT}]},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": TEXT}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": TEXT}]}},
        {"type": "search_result", "source": "http://x.test", "title": "", "content": [{"type": "text", "text": TEXT}]},
        {"type": "function_call_output", "call_id": "c", "output": TEXT},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": TEXT}},
    ],
)
def test_texts_inside_other_parts_are_counted(counter, part):
    found = counter.input({"messages": [{"role": "user", "content": [part]}]}, "gpt-4o")
    assert (found.tokens, found.flags) == (16, ("tiktoken:o200k",))


@pytest.mark.parametrize(
    "message",
    [
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}],
        },
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "look", "input": '{"a":1}'}}]},
        {"role": "assistant", "function_call": {"name": "look", "arguments": '{"a":1}'}},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}}]},
        {"role": "assistant", "parts": [{"functionCall": {"name": "look", "args": {"a": 1}}}]},
        {"role": "assistant", "parts": [{"functionResponse": {"name": "look", "response": {"a": 1}}}]},
    ],
)
def test_tool_calls_of_earlier_turns_are_counted(counter, message):
    """Two of templates with 3, the role, 7 for the call, one for its name and 5 for the arguments."""
    assert counter.input({"messages": [message]}, "gpt-4o").tokens == 3 + 3 + 1 + 7 + 1 + 5


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,@"}},
        {"type": "image_url", "image_url": "data:image/png;base64,@"},
        {"type": "input_image", "image_url": "data:image/png;base64,@"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "@"}},
        {"inlineData": {"mimeType": "image/png", "data": "@"}},
        {"inline_data": {"mime_type": "image/png", "data": "@"}},
    ],
)
def test_a_picture_counts_by_its_size_and_not_by_its_text(counter, part):
    text = json.dumps(part).replace("@", base64.b64encode(png(512, 512) + b"\0" * 50_000).decode())
    found = counter.input({"messages": [{"role": "user", "content": [json.loads(text)]}]}, "gpt-4o")
    assert (found.tokens, found.flags) == (3 + 3 + 1 + 255, ("tiktoken:o200k",))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "high"}},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
    ],
)
def test_a_picture_that_is_not_in_the_request_is_guessed_and_said_to_be(counter, part):
    found = counter.input({"messages": [{"role": "user", "content": [part]}]}, "gpt-4o")
    assert (found.tokens, found.flags) == (3 + 3 + 1 + 765, ("tiktoken:o200k", SIZE_GUESSED))


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ({"previous_response_id": "resp_1"}, STORED),
        ({"conversation": "conv_1"}, STORED),
        ({"prompt": {"id": "pmpt_1"}}, STORED),
        ({"cachedContent": "cachedContents/1"}, STORED),
        ({"input": [{"type": "item_reference", "id": "i"}]}, STORED),
        ({"tools": [{"type": "web_search"}]}, HOSTED),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, HOSTED),
        ({"tools": [{"googleSearch": {}}]}, HOSTED),
        ({"web_search_options": {}}, HOSTED),
        ({"plugins": [{"id": "web"}]}, HOSTED),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA=="}}]}]}, MEDIA),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, MEDIA),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64", "data": "A"}}]}]}, MEDIA),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://x"}}]}]}, MEDIA),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}]}]}, MEDIA),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, MEDIA),
        ({"messages": [{"role": "user", "content": [{"type": "brand_new", "thing": 1}]}]}, ODD),
        ({"input": [{"type": "reasoning", "encrypted_content": "x" * 10_000, "summary": []}]}, THOUGHTS),
        ({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "y"}]}]}, THOUGHTS),
    ],
)
def test_what_cannot_be_counted_is_named_and_leaves_no_bound(counter, more, flag):
    body = {"input": TEXT, **more}
    assert flag in counter.input(body, "gpt-4o").flags
    assert counter.bound(body, "gpt-4o") is None


@pytest.mark.parametrize("body", [None, 3, "text", [], {}, {"model": "gpt-4o"}, {"messages": None}, {"file": "x"}])
def test_what_no_model_reads_has_no_count_and_no_bound(counter, body):
    assert counter.input(body, "gpt-4o") is None
    assert counter.bound(body, "gpt-4o") is None


@pytest.mark.parametrize(
    "value",
    [
        3,
        -1.5,
        True,
        "text",
        [],
        {},
        [3, None, True],
        [[]],
        [{}],
        {"a": 1},
        [{"role": 3, "content": 4, "name": 5, "tool_calls": 6}],
    ],
)
@pytest.mark.parametrize("name", ["messages", "input", "prompt", "contents", "content", "requests", "texts", "system", "tools"])
def test_any_value_in_any_place_is_counted_somehow(counter, name, value):
    found = counter.input({"input": "x", name: value}, "gpt-4o")
    assert found.tokens >= 0


def test_deep_parts_are_counted_to_a_depth_and_said_to_be_deeper(counter):
    deep = {"type": "text", "text": TEXT}
    for _ in range(100):
        deep = {"type": "tool_result", "content": [deep]}
    found = counter.input({"messages": [{"role": "user", "content": [deep]}]}, "gpt-4o")
    assert ODD in found.flags


def test_a_deep_schema_is_shown_to_a_depth():
    schema = {"type": "string"}
    for _ in range(120):
        schema = {"type": "object", "properties": {"x": schema}}
    assert rendered([{"name": "f", "parameters": schema}]).count("x?: ") == 18


def test_tools_are_shown_as_types():
    tools = [
        WEATHER,
        {"name": "now", "parameters": {"type": "object", "properties": {}}},
        {
            "name": "f",
            "parameters": {
                "properties": {
                    "a": {"type": "array", "items": {"type": "integer"}},
                    "b": {"type": "object", "properties": {"c": {"type": "boolean"}}, "required": ["c"]},
                    "d": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "e": {"type": ["number", "null"]},
                }
            },
        },
    ]
    assert rendered(tools) == (
        "namespace functions {\n\n"
        "// Get the current weather in a given location\n"
        "type get_current_weather = (_: {\n"
        "// The city and state, e.g. San Francisco, CA\nlocation: string,\n"
        '// The unit of temperature to return\nunit?: "celsius" | "fahrenheit",\n'
        "}) => any;\n\n"
        "type now = () => any;\n\n"
        "type f = (_: {\na?: number[],\nb?: {\nc: boolean,\n},\nd?: string | null,\ne?: number | null,\n}) => any;\n\n"
        "} // namespace functions"
    )


def test_anthropics_tools_are_counted_as_their_json_and_what_anthropic_adds(counter):
    tool = {"name": "look", "description": "Look", "input_schema": {"type": "object"}}
    body = {"messages": [{"role": "user", "content": TEXT}]}
    without = counter.input(body, "claude-sonnet-4-5").tokens
    assert 346 < counter.input({**body, "tools": [tool]}, "claude-sonnet-4-5").tokens - without < 400


def test_a_schema_for_the_answer_is_counted(counter):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    plain = counter.input({"messages": COOKBOOK}, "gpt-4o").tokens
    for more in (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
        {"text": {"format": {"type": "json_schema", "schema": schema}}},
        {"generationConfig": {"responseSchema": schema}},
    ):
        assert counter.input({"messages": COOKBOOK, **more}, "gpt-4o").tokens > plain + 5
    for more in ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "text"}}}):
        assert counter.input({"messages": COOKBOOK, **more}, "gpt-4o").tokens == plain


def test_a_field_that_nobody_knows_is_in_the_bound_by_its_bytes(counter):
    body = {"input": TEXT}
    assert counter.bound({**body, "temperature": 1, "user": "somebody"}, "gpt-4o") == counter.bound(body, "gpt-4o")
    assert counter.bound({**body, "brand_new": ["x" * 10_000]}, "gpt-4o") > counter.bound(body, "gpt-4o") + 10_000


def test_the_bound_has_pictures_at_their_dearest(counter):
    def bound(detail):
        part = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": detail}}
        return counter.bound({"messages": [{"role": "user", "content": [part]}]}, "gpt-6-sol")

    assert bound("auto") == bound("original") > 12_000
    assert bound("low") < 400


def test_what_a_tool_of_the_provider_answered_is_counted(counter):
    item = {"type": "mcp_call", "name": "look", "arguments": "{}", "output": TEXT}
    assert counter.input({"input": [item]}, "gpt-4o").tokens == 3 + 7 + 1 + 1 + 9


def test_a_huge_request_is_counted_in_part_and_the_bound_counts_all_of_it(counter):
    body = {"messages": [{"role": "user", "content": "The quick brown fox. " * 50_000}]}
    found = counter.input(body, "gpt-4o")
    assert SAMPLED in found.flags
    assert found.tokens == pytest.approx(250_000, rel=0.02)
    assert counter.bound(body, "gpt-4o") == pytest.approx(275_000, rel=0.02)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": COOKBOOK},
        {"messages": ASKED, "tools": [{"type": "function", "function": WEATHER}]},
        {"input": TEXT},
        {"messages": [{"role": "user", "content": "\x01" * 10_000}]},
        {"messages": [{"role": "user", "content": "漢字仮名" * 1_000}]},
    ],
)
def test_the_bound_is_above_the_count_and_exists_for_public_tokenizers_only(counter, body):
    assert counter.bound(body, "gpt-4o") > counter.input(body, "gpt-4o").tokens
    assert counter.bound(body, "claude-sonnet-4-5") is None
    assert counter.bound(body, None) is None
