"""Where no content may go, no text of a prompt or an answer goes: neither at capture nor to a destination."""

import json
from dataclasses import replace

import pytest

from domain.calls import CallError, ToolCall
from domain.exchange import Attempt
from domain.spans import as_json
from recorder.fitting import fitted
from recorder.interpret import call_of
from recorder.spans import record_of
from recorder.withholding import WITHHELD
from tests.destinations.fixture import fixture_span
from tests.recorder.exchanges import AT, closing, exchange

# Each text of a request and an answer has it, as a provider may repeat any of them.
CANARY = "zebra crossing"
FAILED = {
    "error": {
        "type": "invalid_request_error",
        "code": "bad_prompt",
        "message": f"Your prompt {CANARY!r} is too long",
        "param": CANARY,
    }
}
CASES = {
    "chat": (
        "openai",
        "/v1/chat/completions",
        {
            "model": "gpt-4o",
            "temperature": 0.5,
            "stop": [f"{CANARY} end", "\n\nHuman:"],
            "reasoning_effort": f"high {CANARY}",
            "messages": [{"role": "user", "content": CANARY}],
        },
        {
            "id": "chatcmpl-1",
            "model": "gpt-4o",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {
                        "role": "assistant",
                        "content": CANARY,
                        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "find", "arguments": f'{{"q":"{CANARY}"}}'}}],
                    },
                }
            ],
        },
    ),
    "anthropic": (
        "anthropic",
        "/v1/messages",
        {"model": "claude", "max_tokens": 10, "system": CANARY, "stop_sequences": [CANARY], "messages": [{"role": "user", "content": CANARY}]},
        {"id": "msg_1", "type": "message", "model": "claude", "content": [{"type": "text", "text": CANARY}], "stop_reason": "end_turn"},
    ),
    "gemini": (
        "gemini",
        f"/v1beta/models/gemini-pro:generateContent?q={CANARY.replace(' ', '+')}&{CANARY}",
        {"contents": [{"parts": [{"text": CANARY}]}], "generationConfig": {"stopSequences": [CANARY], "temperature": 1}},
        {"candidates": [{"content": {"parts": [{"text": CANARY}]}, "finishReason": "STOP"}]},
    ),
    "responses": (
        "openai",
        "/v1/responses",
        {"model": "gpt-4o", "input": CANARY, "instructions": CANARY, "previous_response_id": CANARY},
        {"id": "resp_1", "model": "gpt-4o", "status": "failed", "error": {"code": "server_error", "message": f"about {CANARY}"}},
    ),
}  # fmt: skip


def called(name, status=200, answer=None):
    dialect, path, asked, said = CASES[name]
    body = json.dumps(said if answer is None else answer).encode()
    end = closing(
        status=status,
        request_headers=(("x-note", CANARY),),
        response_headers=(("content-type", "application/json"), ("x", CANARY)),
    )
    one = exchange(request=json.dumps(asked).encode(), response=body, end=end, path=path, dialect=dialect, upstream=dialect)
    return one, call_of(one)


@pytest.mark.parametrize("answer", [None, FAILED], ids=["answered", "refused"])
@pytest.mark.parametrize("name", CASES)
def test_no_text_of_a_prompt_or_an_answer_is_kept_or_sent(name, answer):
    one, call = called(name, 200 if answer is None else 400, answer)
    kept, none = record_of(one, call, capture="none")
    whole, content = record_of(one, call)
    sent, nothing = fitted(whole, content, mode="none", profile=())
    assert (none, nothing) == (None, None)
    assert CANARY in repr((whole, content))
    for span in (kept, sent):
        assert "zebra" not in repr(span)
        assert "zebra" not in json.dumps(as_json(span))
        assert "Human" not in repr(span)
        assert span.content == "none"
    assert fitted(kept, None, mode="none", profile=()) == (kept, None)


def test_what_is_a_number_or_a_name_is_still_there():
    one, call = called("chat")
    kept, _ = record_of(one, call, capture="none")
    assert kept.params == {"temperature": 0.5}
    assert kept.tool_calls == (ToolCall("t1", "find", ""),)
    assert fitted(replace(kept, params={"reasoning.level": "high", "seed": 7}), None, mode="none", profile=())[0].params == {
        "reasoning.level": "high",
        "seed": 7,
    }


def test_of_a_providers_error_its_type_and_code_are_left_where_they_are_words():
    def left(type_, code):
        error = CallError(type_, code, CANARY)
        return fitted(replace(fixture_span(), error=error), None, mode="none", profile=())[0].error

    assert left("rate_limit_error", "429") == CallError("rate_limit_error", "429", WITHHELD)
    assert left(f"about {CANARY}", None) == CallError(None, None, WITHHELD)


def test_what_we_said_ourselves_is_still_said():
    refused = replace(fixture_span(), outcome="denied", attempts=(), error=CallError("t", "c", "The budget is used up."))
    unreached = replace(
        fixture_span(), outcome="error", attempts=(Attempt("a", "1", AT, error="refused"),), error=CallError("t", "c", "No upstream answered.")
    )  # fmt: skip
    for span in (refused, unreached):
        assert fitted(span, None, mode="none", profile=())[0].error == span.error
    tried = replace(unreached, attempts=(*unreached.attempts, Attempt("b", "1", AT, 500)))
    assert fitted(tried, None, mode="none", profile=())[0].error == CallError("t", "c", WITHHELD)
    assert fitted(replace(tried, attempts=()), None, mode="none", profile=())[0].error.message == WITHHELD
