"""Golden answers of the audio API."""

import json

import pytest

from recorder.interpret import call_of
from tests.recorder.exchanges import closing
from tests.recorder.recorded_answers import assert_as_expected, exchange_of, names


@pytest.mark.parametrize("name", names("audio"))
def test_a_golden_answer_is_read_as_it_was_meant(name):
    call = call_of(exchange_of("audio", name))
    assert_as_expected("audio", name, call)


def test_speech_cut_in_the_copy_is_described_with_its_whole_size():
    end = closing(response_headers=(("content-type", "audio/mpeg"),), response_bytes=9_000_000, response_cut=True)
    call = call_of(exchange_of("audio", "speech", end=end))
    assert call.output["bytes"] == 9_000_000


def test_no_audio_is_held():
    call = call_of(exchange_of("audio", "speech_sse"))
    assert "SUQz" not in repr(call)


def test_the_segments_of_a_stream_are_in_the_transcript():
    events = [
        {"type": "transcript.text.segment", "id": "seg_1", "speaker": "A", "text": "Hi"},
        {"type": "transcript.text.done", "text": "Hi"},
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    call = call_of(exchange_of("audio", "transcription_stream", response=body))
    assert call.output == {"text": "Hi", "segments": [{"id": "seg_1", "speaker": "A", "text": "Hi"}]}
