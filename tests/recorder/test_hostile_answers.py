"""Answers cut anywhere, and bytes of any kind: a call is made of each, and no reader ever fails on it.

`call_of` would catch an error and note it; so the notes are what these tests look at.
"""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.exchange import Exchange
from recorder.interpret import call_of
from tests.recorder.exchanges import closing, exchange
from tests.recorder.recorded_answers import exchange_of, names

APIS = ("anthropic", "gemini", "images", "audio", "files", "batches")
CASES = [(api, name) for api in APIS for name in names(api)]
STREAM = (("content-type", "text/event-stream"),)
PATHS = (
    ("anthropic", "POST", "/v1/messages"),
    ("anthropic", "GET", "/v1/messages/batches/b/results"),
    ("gemini", "POST", "/v1beta/models/m:generateContent"),
    ("gemini", "POST", "/v1beta/models/m:streamGenerateContent"),
    ("gemini", "POST", "/v1beta/models/m:batchEmbedContents"),
    ("gemini", "POST", "/v1beta/models/imagen:predict"),
    ("openai", "POST", "/v1/images/generations"),
    ("openai", "POST", "/v1/audio/speech"),
    ("openai", "POST", "/v1/audio/transcriptions"),
    ("openai", "GET", "/v1/files/f/content"),
    ("openai", "POST", "/v1/files"),
    ("openai", "GET", "/v1/batches/b"),
)


def assert_read(call):
    assert not any("could not be" in note for note in call.notes), call.notes
    msgspec.json.encode([call.input, call.output, call.usage])


@pytest.mark.parametrize(("api", "name"), CASES)
def test_a_golden_answer_cut_at_any_byte_is_read(api, name):
    whole = exchange_of(api, name)
    step = max(1, len(whole.response) // 150)
    for size in range(0, len(whole.response), step):
        assert_read(call_of(exchange_of(api, name, response=whole.response[:size], ending="upstream_cut")))


@given(case=st.sampled_from(CASES), data=st.data())
def test_a_golden_answer_with_a_wrong_byte_is_read(case, data):
    body = bytearray(exchange_of(*case).response)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    assert_read(call_of(exchange_of(*case, response=bytes(body))))


@given(where=st.sampled_from(PATHS), body=st.binary(max_size=300), streamed=st.booleans())
def test_any_bytes_are_recorded(where, body, streamed):
    dialect, method, path = where
    end = closing(response_headers=STREAM) if streamed else closing()
    assert_read(call_of(exchange(response=body, end=end, dialect=dialect, method=method, path=path)))


NAMES = [
    "type",
    "message",
    "delta",
    "index",
    "content_block",
    "content",
    "usage",
    "text",
    "partial_json",
    "citation",
    "error",
    "id",
    "input",
    "name",
    "iterations",
    "cache_creation",
    "server_tool_use",
    "candidates",
    "parts",
    "functionCall",
    "usageMetadata",
    "promptTokensDetails",
    "modality",
    "tokenCount",
    "data",
    "predictions",
    "result",
    "response",
    "body",
    "custom_id",
    "stop_reason",
    "groundingMetadata",
    "webSearchQueries",
    "promptFeedback",
    "embeddings",
    "svg_usage",
    "duration",
]
WORDS = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "error",
        "text_delta",
        "input_json_delta",
        "citations_delta",
        "compaction",
        "tool_use",
        "TEXT",
        "image_generation.completed",
        "transcript.text.done",
        "speech.audio.done",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(where=st.sampled_from(PATHS), values=st.lists(VALUES, max_size=5))
def test_events_of_any_shape_are_recorded(where, values):
    dialect, method, path = where
    body = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    end = closing(response_headers=STREAM)
    assert_read(call_of(exchange(response=body, end=end, dialect=dialect, method=method, path=path)))


@given(where=st.sampled_from(PATHS), value=VALUES)
def test_json_of_any_shape_is_recorded(where, value):
    dialect, method, path = where
    body = json.dumps(value).encode()
    assert_read(call_of(exchange(request=body, response=body, dialect=dialect, method=method, path=path)))


@pytest.mark.parametrize("kind", [[], {}, 3, None, True])
@pytest.mark.parametrize(("dialect", "path"), [("anthropic", "/v1/messages"), ("openai", "/v1/audio/speech")])
def test_a_type_that_is_no_text_is_read(dialect, path, kind):
    events = [{"type": kind}, {"type": "content_block_delta", "index": [], "delta": {"type": kind}}]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    assert_read(call_of(exchange(response=body, end=closing(response_headers=STREAM), dialect=dialect, path=path)))


@pytest.mark.parametrize(("api", "name"), CASES)
def test_an_interrupted_call_is_read_without_its_headers(api, name):
    whole = exchange_of(api, name)
    call = call_of(Exchange(whole.opening, None, whole.request, whole.response))
    assert call.outcome == "interrupted"
    assert_read(call)


@pytest.mark.parametrize("name", ["stream", "tools_stream"])
def test_an_interrupted_stream_keeps_its_message(name):
    whole = exchange_of("anthropic", name)
    call = call_of(Exchange(whole.opening, None, b"", whole.response))
    assert call.output == call_of(whole).output
    assert call.usage == call_of(whole).usage
