"""Gemini's content, plain and in both forms of its streams."""

import json

import pytest

from recorder.interpret import call_of
from tests.recorder.exchanges import closing, exchange
from tests.recorder.recorded_answers import assert_as_expected, exchange_of, names


@pytest.mark.parametrize("name", names("gemini"))
def test_a_golden_answer_is_read_as_it_was_meant(name):
    call = call_of(exchange_of("gemini", name))
    assert_as_expected("gemini", name, call)


@pytest.mark.parametrize(("plain", "stream"), [("plain", "stream_sse"), ("plain", "stream_array"), ("tools", "tools_stream")])
def test_a_stream_means_what_the_plain_answer_means(plain, stream):
    one, other = (call_of(exchange_of("gemini", name)) for name in (plain, stream))
    assert (one.output, one.finish_reasons, one.usage, one.tool_calls) == (
        other.output,
        other.finish_reasons,
        other.usage,
        other.tool_calls,
    )


def test_a_model_in_the_path_is_unquoted():
    path = "/v1beta/tunedModels/my%20model:generateContent"
    call = call_of(exchange(path=path, request=b"{}", response=b"{}", dialect="gemini"))
    assert call.model == "my model"


def test_a_signed_part_of_text_is_not_joined_with_what_follows():
    chunks = [
        {"candidates": [{"content": {"parts": [{"text": "one", "thoughtSignature": "s"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "two"}]}, "finishReason": "STOP"}]},
    ]
    call = call_of(
        exchange(
            path="/v1beta/models/m:streamGenerateContent", request=b"{}", response=json.dumps(chunks).encode(), dialect="gemini"
        )
    )
    parts = call.output["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "one", "thoughtSignature": "s"}, {"text": "two"}]


def test_several_candidates_of_a_stream_stay_apart():
    chunks = [
        {
            "candidates": [
                {"index": 1, "content": {"parts": [{"text": "b1"}]}},
                {"index": 0, "content": {"parts": [{"text": "a1"}]}},
            ]
        },
        {"candidates": [{"index": 0, "content": {"parts": [{"text": "a2"}]}, "finishReason": "STOP"}]},
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "b2"}]}, "finishReason": "MAX_TOKENS"}]},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
    end = closing(response_headers=(("content-type", "text/event-stream"),))
    path = "/v1beta/models/m:streamGenerateContent?alt=sse"
    call = call_of(exchange(path=path, request=b"{}", response=body, end=end, dialect="gemini"))
    texts = [candidate["content"]["parts"][0]["text"] for candidate in call.output["candidates"]]
    assert (texts, call.finish_reasons) == (["a1a2", "b1b2"], ("STOP", "MAX_TOKENS"))


@pytest.mark.parametrize("answer", [b'{"predictions": "none"}', b'{"predictions": []}', b"{}"])
def test_an_image_model_that_made_none_has_no_usage(answer):
    call = call_of(exchange(path="/v1beta/models/imagen-4:predict", request=b"{}", response=answer, dialect="gemini"))
    assert call.usage is None


def test_an_answer_that_is_one_object_is_a_stream_of_one_chunk():
    answer = b'{"candidates": [{"content": {"parts": [3, {"text": "x"}]}, "finishReason": "STOP"}, 7]}'
    call = call_of(exchange(path="/v1beta/models/m:streamGenerateContent", request=b"{}", response=answer, dialect="gemini"))
    assert call.output["candidates"] == [{"content": {"parts": [3, {"text": "x"}]}, "finishReason": "STOP"}]


def test_a_candidate_without_content_is_kept_with_its_reason():
    answer = b'[{"candidates": [{"finishReason": "RECITATION", "index": 0}]}]'
    call = call_of(exchange(path="/v1beta/models/m:streamGenerateContent", request=b"{}", response=answer, dialect="gemini"))
    assert (call.output["candidates"], call.finish_reasons) == ([{"finishReason": "RECITATION", "index": 0}], ("RECITATION",))
