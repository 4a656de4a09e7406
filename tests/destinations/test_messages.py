import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.answered import reason_of
from destinations.jsontext import json_bytes
from destinations.messages import messages_of
from domain.spans import Content
from recorder.interpret import call_of
from recorder.spans import content_of
from tests.destinations.fixture import IMAGE_URL, fixture_content, hostile
from tests.recorder import recorded_answers
from tests.recorder.golden_cases import PATHS, exchange_of

ROLES = {"system", "user", "assistant", "tool"}
REQUIRED = {
    "text": {"content"},
    "reasoning": {"content"},
    "tool_call": {"name"},
    "tool_call_response": {"response"},
    "server_tool_call": {"name", "server_tool_call"},
    "server_tool_call_response": {"server_tool_call_response"},
    "blob": {"modality", "content"},
    "uri": {"modality", "uri"},
    "file": {"modality", "file_id"},
}


def messages(asked=None, answered=None):
    return messages_of(Content(input=asked, output=answered))


def asked(value):
    return messages(asked=value).input


def answered(value):
    return messages(answered=value).output


def parts(content):
    """Return the parts of one user message with this content."""
    return asked({"messages": [{"role": "user", "content": content}]})[0]["parts"]


def assert_valid(found):
    """Check messages against the conventions' schema: roles, parts, and what each kind of part must have."""
    for message in [*found.input, *found.output]:
        assert isinstance(message["role"], str)
        assert isinstance(message["parts"], list)
        for part in message["parts"]:
            assert isinstance(part["type"], str)
            assert REQUIRED.get(part["type"], set()) <= part.keys(), part
    for tool in found.tools:
        assert isinstance(tool["type"], str)
    assert json_bytes([found.input, found.output, found.system, found.tools]).decode()


def test_the_fixture_is_as_the_reference_has_it():
    found = messages_of(fixture_content())
    assert found.input == [
        {"role": "system", "parts": [{"type": "text", "content": "You are terse."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Weather in Paris?"},
                {"type": "uri", "modality": "image", "uri": IMAGE_URL},
            ],
        },
    ]
    assert found.output == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "User wants weather"},
                {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}},
            ],
            "finish_reason": "tool_call",
        }
    ]
    assert found.system == []
    assert found.tools == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
    ]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("plain", {"type": "text", "content": "plain"}),
        ({"type": "input_text", "text": "t"}, {"type": "text", "content": "t"}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "blob", "modality": "image", "content": "AAAA", "mime_type": "image/png"},
        ),
        ({"type": "input_image", "image_url": "https://x/p.png"}, {"type": "uri", "modality": "image", "uri": "https://x/p.png"}),
        ({"type": "input_image", "file_id": "file-1"}, {"type": "file", "modality": "image", "file_id": "file-1"}),
        (
            {"type": "image_url", "image_url": {"url": {"type": "binary", "bytes": 900, "content_type": "image/png"}}},
            {"type": "binary", "modality": "image", "mime_type": "image/png", "bytes": 900},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"type": "blob", "modality": "audio", "content": "UklG", "mime_type": "audio/wav"},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QQ=="}},
            {"type": "blob", "modality": "image", "content": "QQ==", "mime_type": "image/jpeg"},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/i.jpg"}},
            {"type": "uri", "modality": "image", "uri": "https://x/i.jpg"},
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f1"}},
            {"type": "file", "modality": "document", "file_id": "f1"},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            {"type": "blob", "modality": "document", "content": "words", "mime_type": "text/plain"},
        ),
        ({"type": "file", "file": {"file_id": "f2"}}, {"type": "file", "modality": "document", "file_id": "f2"}),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "blob", "modality": "document", "content": "JVBE", "mime_type": "application/pdf"},
        ),
        ({"type": "video_url", "video_url": {"url": "https://x/v"}}, {"type": "uri", "modality": "video", "uri": "https://x/v"}),
        ({"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "reasoning", "content": "Hm"}),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "reasoning", "content": "Hm"}),
        ({"type": "redacted_thinking", "data": "x"}, {"type": "reasoning", "content": ""}),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
            {"type": "tool_call", "id": "t1", "name": "f", "arguments": {"a": 1}},
        ),
        (
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "server_tool_call",
                "id": "s1",
                "name": "web_search",
                "server_tool_call": {"type": "web_search", "query": "q"},
            },
        ),
        (
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
            {"type": "server_tool_call_response", "id": "s1", "server_tool_call_response": {"type": "web_search", "content": []}},
        ),
        ({"type": "compaction", "id": "c1", "content": "short"}, {"type": "compaction", "id": "c1", "content": "short"}),
        ({"type": "new_kind", "x": 1}, {"type": "new_kind", "x": 1}),
        ({"x": 1}, {"type": "unknown", "x": 1}),
    ],
)
def test_a_block_becomes_a_part(block, part):
    assert parts([block]) == [part]


def test_arguments_that_are_no_json_stay_a_text():
    called = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a":'}}]}
    assert asked({"messages": [called]})[0]["parts"][0]["arguments"] == '{"a":'


def test_what_a_tool_answered_is_the_tools():
    openai = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    anthropic = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}]}
    item = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    expected = [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "sunny"}]}]
    assert asked({"messages": [openai]}) == expected
    assert asked({"messages": [anthropic]}) == expected
    assert asked({"input": [item]}) == expected


def test_instructions_stand_apart_where_the_api_has_them_apart():
    said = [{"type": "text", "content": "Be brief."}]
    for request in (
        {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]},
        {"system": [{"type": "text", "text": "Be brief."}], "messages": [{"role": "user", "content": "Hi"}]},
        {"instructions": "Be brief.", "input": "Hi"},
        {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    ):
        found = messages(asked=request)
        assert found.input == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
        assert found.system == said


def test_responses_items_are_messages():
    found = asked(
        {
            "input": [
                {"role": "developer", "content": "Be brief."},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            ]
        }
    )
    assert [(message["role"], message["parts"][0]["type"]) for message in found] == [
        ("system", "text"),
        ("user", "text"),
        ("assistant", "reasoning"),
        ("assistant", "tool_call"),
    ]


@pytest.mark.parametrize(
    ("request_body", "texts"),
    [
        ({"input": "one"}, ["one"]),
        ({"input": ["one", "two"]}, ["one", "two"]),
        ({"prompt": "one"}, ["one"]),
        ({"prompt": ["one", "two"]}, ["one", "two"]),
        ("one", ["one"]),
        ({"contents": "one"}, ["one"]),
        ({"content": {"parts": [{"text": "one"}]}}, ["one"]),
        ({"messages": ["one"]}, ["one"]),
        ({"instances": [{"prompt": "one"}, 3]}, ["one"]),
        ({"requests": [{"content": {"parts": [{"text": "one"}]}}]}, ["one"]),
    ],
)
def test_texts_are_the_users(request_body, texts):
    found = asked(request_body)
    assert [part["content"] for message in found for part in message["parts"]] == texts
    assert {message["role"] for message in found} == {"user"}


@pytest.mark.parametrize(
    ("answer", "reason", "kinds"),
    [
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}, "length", ["text"]),
        ({"choices": [{"text": "x", "finish_reason": "stop"}]}, "stop", ["text"]),
        ({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}, "stop", ["text"]),
        ({"content": [{"type": "tool_use", "name": "f", "input": {}}], "stop_reason": "tool_use"}, "tool_call", ["tool_call"]),
        (
            {"output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}], "status": "completed"},
            "stop",
            ["text"],
        ),
        ({"output": [{"type": "function_call", "name": "f"}], "status": "completed"}, "tool_call", ["tool_call"]),
        ({"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, None, None),
        ({"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": "end_turn"}, "stop", ["text"]),
        ({"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}]}, "stop", ["text"]),
        (
            {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]},
            "tool_call",
            ["tool_call"],
        ),
        ({"candidates": [{"finishReason": "SAFETY"}]}, "content_filter", []),
        (
            {"candidates": [{"content": {"parts": [{"text": "x", "thought": True}, {"text": "y"}]}}]},
            None,
            ["reasoning", "text"],
        ),
        ({"data": [{"url": "https://x/i.png"}]}, None, ["uri"]),
        ({"data": [{"b64_json": "QUJD"}]}, None, ["blob"]),
        ({"text": "heard"}, None, ["text"]),
        ({"predictions": [{"bytesBase64Encoded": "QUJD", "mimeType": "image/png"}, 3]}, None, ["blob"]),
        ({"type": "binary", "bytes": 3, "content_type": "audio/mpeg"}, None, ["binary"]),
        ("plain", None, ["text"]),
    ],
)
def test_an_answer_is_a_message_of_the_assistant(answer, reason, kinds):
    found = answered(answer)
    if kinds is None:
        assert found == []
        return
    assert [message["role"] for message in found] == ["assistant"]
    assert [part["type"] for part in found[0]["parts"]] == kinds
    assert found[0].get("finish_reason") == reason


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "no"}},
        {"data": [{"embedding": [1]}]},
        {"data": {"type": "vectors", "count": 1, "dimensions": 3}},
        {"choices": []},
        None,
    ],
)
def test_what_is_no_message_is_none(answer):
    assert answered(answer) == []


def test_choices_stand_in_their_order():
    answer = {"choices": [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]}
    assert [message["parts"][0]["content"] for message in answered(answer)] == ["a", "b"]


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {}}}]}, ["a"]),
        ({"tools": [{"type": "function", "name": "a", "parameters": {}}]}, ["a"]),
        ({"tools": [{"name": "a", "input_schema": {"type": "object"}}]}, ["a"]),
        ({"tools": [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]}, ["a", "b"]),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}]}}, ["a"]),
        ({"functions": [{"name": "a"}]}, ["a"]),
        ({"tools": [{"type": "web_search"}]}, [None]),
    ],
)
def test_tools_are_flat(tools, names):
    found = messages(asked=tools).tools
    assert [tool.get("name") for tool in found] == names
    assert all("function" not in tool for tool in found)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_call", "compaction", "error", "odd_one"])
def test_a_reason_of_the_conventions_and_an_unknown_one_stay(reason):
    assert reason_of(reason) == reason


def test_without_content_there_are_no_messages():
    assert messages_of(None) == messages_of(Content())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_whatever_the_recorder_reads_gives_valid_messages(path: Path):
    exchange = exchange_of(json.loads(path.read_text()))
    call = call_of(exchange)
    found = messages_of(content_of(exchange, call))
    assert_valid(found)
    assert {message["role"] for message in [*found.input, *found.output]} <= ROLES
    # Tools that the provider ran itself are calls to the recorder, and parts of another kind here.
    wanted = [tool.name for tool in call.tool_calls]
    told = [part["name"] for message in found.output for part in message["parts"] if part["type"].endswith("tool_call")]
    assert sorted(name for name in told if name) == sorted(wanted)


RECORDED = [
    (api, name) for api in ("anthropic", "gemini", "audio", "images", "files", "batches") for name in recorded_answers.names(api)
]


@pytest.mark.parametrize(("api", "name"), RECORDED)
def test_whatever_the_recorder_reads_of_other_apis_gives_valid_messages(api, name):
    exchange = recorded_answers.exchange_of(api, name)
    call = call_of(exchange)
    found = messages_of(content_of(exchange, call))
    assert_valid(found)
    wanted = {tool.name for tool in call.tool_calls if tool.name}
    told = {part.get("name") for message in found.output for part in message["parts"] if part["type"].endswith("tool_call")}
    assert told == wanted


def test_hostile_contents_give_valid_messages():
    for parcel in hostile():
        assert_valid(messages_of(parcel.content))


_WORDS = st.sampled_from(
    [
        *(
            "messages",
            "content",
            "role",
            "type",
            "text",
            "parts",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "choices",
            "message",
        ),
        *(
            "output",
            "input",
            "contents",
            "candidates",
            "system",
            "tools",
            "image_url",
            "url",
            "source",
            "data",
            "reasoning",
            "summary",
        ),
        *(
            "functionCall",
            "inlineData",
            "toolUse",
            "tool_use",
            "image",
            "tool",
            "user",
            "function_call",
            "audio",
            "web_search_call",
        ),
    ]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=4), inner, max_size=5),
    max_leaves=24,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, _JSON)
def test_any_json_gives_valid_messages(given_input, given_output):
    assert_valid(messages_of(Content(input=given_input, output=given_output)))
