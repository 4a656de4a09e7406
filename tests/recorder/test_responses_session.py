import json

from hypothesis import given
from hypothesis import strategies as st

from domain.calls import ToolCall
from domain.exchange import Exchange
from recorder.interpret import call_of
from tests.recorder.exchanges import closing, opening
from tests.recorder.websocket_frames import written

ASKED = [{"type": "response.create", "model": "gpt-5-mini", "input": "Hi"}]
USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def response(index, output, usage=USAGE, **changes):
    return {"id": f"resp_{index}", "status": "completed", "model": "gpt-5-mini-1", "output": output, "usage": usage, **changes}


def session(*events):
    client, server = ([json.dumps(event).encode() for event in side] for side in (ASKED, events))
    return Exchange(
        opening(method="GET", path="/v1/responses", websocket=True),
        closing(status=101, request_headers=(), response_headers=(("Upgrade", "websocket"),)),
        written(client, mask=True),
        written(server, mask=False),
    )


CALLED = [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}]
FIRST = {"type": "response.completed", "response": response(1, CALLED)}
SECOND = {"type": "response.completed", "response": response(2, [{"type": "message", "content": []}])}


def test_each_response_of_a_session_has_its_own_usage():
    call = call_of(session({"type": "response.created", "response": response(1, [], None)}, FIRST, SECOND))

    assert (call.operation, call.outcome, call.stream, call.model, call.served_model) == (
        "responses.session",
        "ok",
        True,
        "gpt-5-mini",
        "gpt-5-mini-1",
    )
    assert [(sub.model, sub.kind, sub.usage.input_tokens) for sub in call.usage.sub_calls] == [
        ("gpt-5-mini-1", "response", 3)
    ] * 2
    assert (call.usage.input_tokens, call.response_id) == (None, "resp_2")
    assert call.tool_calls == (ToolCall("c1", "f", "{}"),)
    assert call.input == ASKED
    assert [answer["id"] for answer in call.output] == ["resp_1", "resp_2"]


def test_a_session_with_one_response_has_its_usage():
    call = call_of(session(FIRST))

    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.sub_calls) == (3, 4, ())


def test_a_response_cut_off_in_a_session_is_put_together():
    delta = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "Hi"}

    call = call_of(session({"type": "response.created", "response": response(1, [], None)}, delta))

    assert call.usage is None
    assert call.output[0]["output"][0]["content"] == [{"type": "output_text", "text": "Hi"}]


def test_a_failed_response_and_an_error_event_are_errors():
    failed = {
        "type": "response.failed",
        "response": response(1, [], None, status="failed", error={"code": "x", "message": "It broke"}),
    }

    assert call_of(session(failed)).error.message == "It broke"
    assert call_of(session({"type": "error", "code": "y", "message": "No"})).outcome == "error"


def test_an_empty_session_is_a_call():
    call = call_of(session())

    assert (call.outcome, call.usage, call.output) == ("ok", None, None)


@given(st.integers(0, 2_000), st.binary(max_size=60))
def test_no_frames_raise(at, noise):
    whole = session(FIRST, SECOND)

    call = call_of(Exchange(whole.opening, whole.closing, whole.request + noise, whole.response[:at] + noise))

    assert call.operation == "responses.session"
    assert not [note for note in call.notes if note.startswith("could not be read")]
