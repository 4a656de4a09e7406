"""Realtime sessions, from the raw frames of both directions."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode

from domain.calls import CallError, ToolCall
from domain.exchange import Exchange
from recorder.interpret import call_of
from tests.recorder.exchanges import closing, opening
from tests.recorder.websocket_frames import written

GOLDEN = Path(__file__).parent / "golden" / "realtime"
SPEC = "permessage-deflate; client_max_window_bits=15"


def session(name, *, compressed=False, fragment=None, close=b"", **end):
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    client, server = ([json.dumps(event).encode() for event in case[side]] for side in ("client", "server"))
    packers = [PerMessageDeflate(False, False, 15, 15) if compressed else None for _ in range(2)]
    headers = (("Upgrade", "websocket"), *((("Sec-WebSocket-Extensions", SPEC),) if compressed else ()))
    return Exchange(
        opening(method="GET", path=case["path"], websocket=True),
        closing(status=101, request_headers=(), response_headers=headers, **end),
        written(client, mask=True, extension=packers[0], fragment=fragment),
        written(server, mask=False, extension=packers[1], fragment=fragment) + close,
    )


def test_a_session_is_one_call_with_the_usage_of_all_its_responses():
    call = call_of(session("two_turns"))
    assert (call.operation, call.outcome, call.stream, call.error) == ("realtime", "ok", True, None)
    assert (call.model, call.served_model, call.response_id) == ("gpt-realtime", "gpt-realtime-2025-08-28", "sess_1")
    usage = call.usage
    assert (usage.input_tokens, usage.output_tokens, usage.flags) == (280, 65, ())
    assert (usage.input_audio_tokens, usage.output_audio_tokens) == (140, 30)
    assert (usage.cache_read_tokens, usage.cache_read_audio_tokens) == (120, 60)
    assert len(usage.raw) == 2


def test_transcribed_input_is_a_sub_call_of_the_model_that_transcribed_it():
    (sub_call,) = call_of(session("two_turns")).usage.sub_calls
    assert (sub_call.kind, sub_call.model, sub_call.usage.audio_seconds) == ("transcription", "whisper-1", 3.0)


def test_tools_and_transcripts_are_in_the_call_and_audio_is_described():
    call = call_of(session("two_turns"))
    assert call.tool_calls == (ToolCall("call_1", "get_weather", '{"city": "Paris"}'),)
    assert call.output["transcripts"] == [{"item_id": "item_1", "transcript": "Hi there"}]
    assert call.output["audio"] == {"type": "binary", "bytes": 150, "content_type": "audio/pcm"}
    assert call.input["audio"]["bytes"] == 600
    assert [event["type"] for event in call.input["events"]] == ["session.update", "input_audio_buffer.commit", "response.create"]
    assert call.finish_reasons == ("completed",)
    assert "AAAA" not in repr(call)


@pytest.mark.parametrize("form", [{"compressed": True}, {"fragment": 7}, {"compressed": True, "fragment": 50}])
def test_compression_and_fragments_change_nothing(form):
    assert call_of(session("two_turns", **form)) == call_of(session("two_turns"))


def test_a_session_cut_in_a_response_has_what_came_and_says_that_its_usage_is_not_whole():
    call = call_of(session("cut_in_a_response", ending="client_gone"))
    assert call.outcome == "cancelled"
    assert (call.usage.input_tokens, call.usage.flags) == (280, ("incomplete",))
    assert call.output["responses"][-1] == {"id": "resp_3", "status": "in_progress", "text": "Half an answer"}


def test_an_error_that_the_session_went_on_from_is_no_failure():
    call = call_of(session("error_gone_on_from"))
    assert (call.outcome, call.error) == ("ok", None)
    assert call.output["errors"][0]["code"] == "invalid_value"


def test_an_error_at_the_end_is_the_calls_error():
    call = call_of(session("error_at_the_end"))
    assert (call.outcome, call.error) == ("error", CallError("invalid_request_error", "invalid_value", "Invalid value"))
    assert call.usage.input_tokens == 280


def test_a_failed_response_is_the_calls_error():
    call = call_of(session("failed_response"))
    assert (call.error, call.finish_reasons, call.usage) == (CallError("server_error", "oops", "It broke"), ("failed",), None)


def test_the_names_of_the_beta_are_known_too():
    call = call_of(session("beta"))
    (sub_call,) = call.usage.sub_calls
    assert (sub_call.model, sub_call.usage.input_tokens, sub_call.usage.input_audio_tokens) == ("gpt-4o-transcribe", 9, 8)
    assert (call.output["audio"]["content_type"], call.finish_reasons) == ("audio/pcm16", ("turn_detected",))


def test_a_transcription_session_without_responses_still_has_its_usage():
    call = call_of(session("transcription_session"))
    assert call.usage.input_tokens is None
    assert [sub_call.usage.audio_seconds for sub_call in call.usage.sub_calls] == [2.5]


def test_a_live_session_counts_its_seconds_once_and_what_it_delegated_apart():
    call = call_of(session("live"))
    assert (call.model, call.served_model, call.response_id) == ("gpt-live-1", "gpt-live-1-2026-09-01", "live_1")
    assert (call.usage.audio_seconds, call.usage.input_tokens, call.usage.raw) == (9.25, None, [{"seconds": 9.25}])
    (sub_call,) = call.usage.sub_calls
    assert (sub_call.kind, sub_call.model, sub_call.usage.output_tokens) == ("delegated_response", "gpt-6-sol", 7)
    heard = [{"side": "input", "transcript": "Good day"}, {"side": "output", "transcript": "Hello"}]
    assert (call.output["transcripts"], call.output["audio"]["bytes"]) == (heard, 3)


def test_a_live_session_that_did_not_close_says_that_its_usage_is_not_whole():
    whole = session("live")
    call = call_of(replace(whole, response=whole.response[:600]))
    assert (call.usage.audio_seconds, call.usage.flags) == (4.5, ("incomplete",))


def test_the_model_of_a_session_is_also_found_in_what_the_app_set():
    update = {"type": "session.update", "session": {"model": "gpt-realtime-mini"}}
    whole = session("transcription_session")
    call = call_of(replace(whole, request=written([json.dumps(update).encode(), b"{}"], mask=True)))
    assert (call.model, call.served_model) == ("gpt-realtime-mini", None)


def test_errors_of_every_shape_are_kept_up_to_a_number():
    events = [{"type": "error", "error": "odd"}] * 150
    call = call_of(replace(session("two_turns"), response=written([json.dumps(event).encode() for event in events], mask=False)))
    assert (call.error, len(call.output["errors"])) == (CallError(None, None, "odd"), 100)


def test_an_odd_close_is_noted():
    close = Frame(Opcode.CLOSE, Close(1011, "internal").serialize()).serialize(mask=False)
    assert call_of(session("two_turns", close=close)).notes == ("closed with code 1011",)
    assert call_of(session("two_turns", close=Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False))).notes == ()


def test_a_get_that_is_no_websocket_is_recorded_with_its_answer():
    start = opening(method="GET", path="/v1/realtime")
    error = b'{"error": {"message": "Upgrade required", "type": "invalid_request_error"}}'
    call = call_of(Exchange(start, closing(status=426), b"", error))
    assert (call.operation, call.error) == ("realtime", CallError("invalid_request_error", None, "Upgrade required"))
    assert call_of(Exchange(start, closing(), b"", b"{}")).output == {}


@given(asked=st.integers(0, 1200), answered=st.integers(0, 4000), compressed=st.booleans())
def test_frames_cut_anywhere_are_read_as_far_as_they_go(asked, answered, compressed):
    whole = session("two_turns", compressed=compressed)
    call = call_of(replace(whole, request=whole.request[:asked], response=whole.response[:answered]))
    assert not any("could not be" in note and "read as" in note for note in call.notes)
    assert call.usage is None or (call.usage.input_tokens or 0) in {0, 100, 280}


@given(st.binary(max_size=400), st.binary(max_size=400), st.booleans())
def test_hostile_frames_cost_no_call(asked, answered, compressed):
    whole = session("two_turns", compressed=compressed)
    call = call_of(replace(whole, request=asked, response=answered))
    assert call.operation == "realtime"
    assert not any("read as" in note for note in call.notes)


KINDS = (
    "session.created",
    "session.usage.updated",
    "response.event",
    "response.created",
    "response.done",
    "response.text.delta",
    "response.audio.delta",
    "error",
)
EVENT = st.sampled_from((*KINDS, "conversation.item.input_audio_transcription.completed"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "output", "usage", "status_details", "error", "model", "audio", "input", "type"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(
        st.fixed_dictionaries({"type": EVENT, "session": JSON, "response": JSON, "error": JSON, "delta": JSON, "usage": JSON})
    )
)
def test_events_of_any_shape_cost_no_call(events):
    whole = session("two_turns")
    raw = written([json.dumps(event).encode() for event in events], mask=False)
    call = call_of(replace(whole, response=raw))
    assert not any("read as" in note for note in call.notes)


def test_an_item_of_a_type_that_is_no_text_costs_no_call():
    event = {"type": "response.done", "response": {"id": [], "status": {}, "output": [{"type": []}, {"type": {}}, 3]}}
    call = call_of(replace(session("two_turns"), response=written([json.dumps(event).encode()], mask=False)))
    assert (call.notes, call.tool_calls) == ((), ())


def test_binary_messages_of_the_app_are_counted_as_audio():
    frame = Frame(Opcode.BINARY, bytes(500)).serialize(mask=True)
    call = call_of(replace(session("two_turns"), request=frame))
    assert call.input == {"events": [], "counts": {}, "audio": {"type": "binary", "bytes": 500, "content_type": None}}


@pytest.mark.parametrize("compressed", [False, True])
def test_a_session_that_the_gate_did_not_see_the_end_of_is_read(compressed):
    call = call_of(replace(session("two_turns", compressed=compressed), closing=None))
    assert (call.outcome, call.usage.input_tokens, len(call.tool_calls)) == ("interrupted", 280, 1)
