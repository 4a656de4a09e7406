"""Messages of any API as chat messages."""

import pytest

from destinations.chat import chat_messages
from destinations.messages import messages_of
from domain.spans import Content
from tests.destinations.fixture import REQUEST, RESPONSE, hostile

PNG = "iVBORw0KGgo="


def asked(**body):
    found = messages_of(Content(input=body))
    return chat_messages(found.input, found.system)


def answered(**body):
    return chat_messages(messages_of(Content(output=body)).output)


def test_chat_completions_stay_what_they_are():
    assert asked(**REQUEST) == REQUEST["messages"]
    assert answered(**RESPONSE) == [RESPONSE["choices"][0]["message"]]


def test_anthropic_instructions_tools_and_pictures():
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "a cat"}]},
    ]
    assert asked(system="Be terse.", messages=messages) == [
        {"role": "system", "content": "Be terse."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}],
        },
        {"role": "tool", "content": "a cat", "tool_call_id": "t1"},
    ]


def test_gemini():
    contents = [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "hello"}]}]
    assert asked(contents=contents) == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def test_a_file_that_is_no_picture_is_a_file():
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    [message] = asked(messages=[{"role": "user", "content": [document]}])
    assert message["content"] == [{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}]


@pytest.mark.parametrize("one", hostile(), ids=range(len(hostile())))
def test_bears_anything(one):
    found = messages_of(one.content)
    for message in chat_messages([*found.input, *found.output], found.system):
        assert isinstance(message["role"], str)
        assert message["content"] is None or isinstance(message["content"], str | list)
