"""Anthropic's messages, plain and streamed."""

import json

import pytest

from recorder.interpret import call_of
from tests.recorder.exchanges import closing, exchange
from tests.recorder.recorded_answers import assert_as_expected, exchange_of, names


@pytest.mark.parametrize("name", names("anthropic"))
def test_a_golden_answer_is_read_as_it_was_meant(name):
    call = call_of(exchange_of("anthropic", name))
    assert_as_expected("anthropic", name, call)


@pytest.mark.parametrize(
    ("plain", "stream"),
    [("plain", "stream"), ("plain", "stream_crlf"), ("tools", "tools_stream"), ("iterations", "iterations_stream")],
)
def test_a_stream_means_what_the_plain_answer_means(plain, stream):
    one, other = (call_of(exchange_of("anthropic", name)) for name in (plain, stream))
    assert (one.output, one.finish_reasons, one.usage) == (other.output, other.finish_reasons, other.usage)
    assert [(tool.name, json.loads(tool.arguments)) for tool in one.tool_calls] == [
        (tool.name, json.loads(tool.arguments)) for tool in other.tool_calls
    ]


def test_a_message_count_in_an_assistants_thread_is_not_a_message():
    call = call_of(exchange(path="/v1/threads/thread_1/messages", response=b'{"id": "msg_1", "object": "thread.message"}'))
    assert call.operation != "chat"


def test_the_copy_of_a_stream_cut_by_our_bound_says_so():
    spec = exchange_of("anthropic", "stream")
    end = closing(response_headers=(("content-type", "text/event-stream"),), response_cut=True)
    call = call_of(exchange_of("anthropic", "stream", response=spec.response[:700], end=end))
    assert call.usage.flags == ("incomplete",)
    assert "the copy of the answer was cut" in call.notes


def test_a_stream_in_an_upstream_of_another_dialect_is_read_all_the_same():
    spec = exchange_of("anthropic", "stream")
    end = closing(response_headers=(("content-type", "text/event-stream"),))
    call = call_of(exchange(path="/v1/messages", request=spec.request, response=spec.response, end=end, dialect="openai"))
    assert (call.operation, call.usage.output_tokens) == ("chat", 9)


def test_a_stream_without_its_beginning_has_what_came():
    events = [[], {"type": "message_start", "message": 3}, {"type": "content_block_delta", "index": 0, "delta": "x"}]
    events.append({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "late"}})
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    end = closing(response_headers=(("content-type", "text/event-stream"),))
    call = call_of(exchange(path="/v1/messages", response=body, end=end, dialect="anthropic"))
    assert (call.output, call.usage) == ({"content": [{"text": "late"}]}, None)


def test_an_error_event_without_an_object_is_an_error():
    end = closing(response_headers=(("content-type", "text/event-stream"),))
    body = b'event: error\ndata: {"type": "error", "error": null}\n\n'
    call = call_of(exchange(path="/v1/messages", response=body, end=end, dialect="anthropic"))
    assert call.outcome == "error"


@pytest.mark.parametrize(("name", "verb"), [("plain", "rawPredict"), ("stream", "streamRawPredict")])
@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_claude_at_vertex_is_read_with_its_usage(name, verb, dialect):
    spec = exchange_of("anthropic", name)
    path = f"/v1/projects/p/locations/eu/publishers/anthropic/models/claude-sonnet-4-5@20250929:{verb}"
    request = b'{"anthropic_version": "vertex-2023-10-16", "messages": []}'
    call = call_of(exchange(path=path, request=request, response=spec.response, end=spec.closing, dialect=dialect))
    assert (call.operation, call.model, call.usage.output_tokens) == ("chat", "claude-sonnet-4-5@20250929", 9)
