"""What is kept of an answer whose content may not be: usage, names and counts; never a word of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tee.bare import BareBody, BareEvents, bare_answer

SAID = "never-to-be-kept"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "choices": [{"message": {"role": "assistant", "content": SAID}}],
    "usage": USAGE,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5",
    "output": [{"type": "web_search_call", "action": {"query": SAID}}, {"type": "message", "content": [{"text": SAID}]}],
    "usage": {"input_tokens": 7, "output_tokens": 5},
}
GEMINI = {
    "candidates": [{"content": {"parts": [{"text": SAID}]}}],
    "modelVersion": "gemini-2.5-flash",
    "usageMetadata": {"promptTokenCount": 5, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]},
}
STREAM = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": {"input_tokens": 3}}},
    {"type": "content_block_delta", "delta": {"text": SAID}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 6}},
]


@pytest.mark.parametrize("answer", [CHAT, RESPONSE, GEMINI, {"response": RESPONSE, "type": "response.completed"}])
def test_usage_and_names_stay_and_nothing_that_was_said(answer):
    kept = bare_answer(json.dumps(answer).encode())
    assert SAID.encode() not in kept
    bare, whole = json.loads(kept), answer
    if "response" in bare:
        bare, whole = bare["response"], answer["response"]
    for name in ("usage", "usageMetadata", "model", "modelVersion", "id", "service_tier"):
        assert bare.get(name) == whole.get(name)


def test_items_that_are_charged_each_can_still_be_counted():
    assert json.loads(bare_answer(json.dumps(RESPONSE).encode()))["output"] == [{"type": "web_search_call"}, {"type": "message"}]
    assert json.loads(bare_answer(b'{"data":[{"b64_json":"aaaa"},{"url":"x"}]}'))["data"] == [{}, {}]


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"not json", b'{"a":', b"[" * 100_000, b"\xff\xfe", b'{"usage":' * 5000])
def test_what_cannot_be_read_leaves_nothing(body):
    assert bare_answer(body) == b""


def test_texts_that_hide_in_usage_or_names_are_dropped():
    long = SAID * 100
    hiding = {"model": long, "usage": {"note": long, "a": {"b": {"c": {"d": {"e": long}}}}, "list": [long, {"x": long}]}}
    assert SAID.encode() not in bare_answer(json.dumps(hiding).encode())


@given(st.data())
def test_a_stream_keeps_the_same_however_it_is_cut(data):
    whole = b"".join(b"event: x\r\ndata: %b\r\n\r\n" % json.dumps(event).encode() for event in STREAM) + b"data: [DONE]"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    events = BareEvents()
    kept = b"".join(events.came(whole[start:end]) for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True))
    kept += events.rest()
    told = [json.loads(line[6:]) for line in kept.split(b"\n\n") if line]
    assert [event["type"] for event in told] == ["message_start", "message_delta"]
    assert told[0]["message"]["usage"] == {"input_tokens": 3}
    assert told[1]["usage"] == {"output_tokens": 6}
    assert SAID.encode() not in kept


def test_a_line_without_an_end_takes_no_more_memory_than_its_bound_and_the_next_is_read():
    events = BareEvents()
    assert b"".join(events.came(b"data: " + b"x" * 300_000) for _ in range(20)) == b""
    assert events.came(b'"usage"\ndata: {"usage":{"a":1}}\n') == b'data: {"usage":{"a":1}}\n\n'


def test_an_answer_over_its_bound_has_no_bare_form():
    body = BareBody(10)
    assert body.came(b'{"usage":') == b""
    assert body.came(b'{"a":1}}') == b""
    assert body.rest() == b""
