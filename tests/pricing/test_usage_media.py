"""Usage of images, audio and realtime sessions."""

import pytest

from pricing.usage.media import image_usage_of, realtime_usage_of, speech_usage_of, transcription_usage_of

IMAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 4160,
    "total_tokens": 4210,
}


@pytest.mark.parametrize(
    ("details", "drawn"), [({}, 4160), ({"output_tokens_details": {"image_tokens": 4000, "text_tokens": 160}}, 4000)]
)
def test_image_tokens_are_all_of_the_output_unless_details_say_less(details, drawn):
    usage = image_usage_of({**IMAGE, **details}, images=1)
    assert (usage.output_tokens, usage.output_image_tokens, usage.input_image_tokens, usage.images) == (4160, drawn, 40, 1)


def test_images_without_tokens_are_counted():
    usage = image_usage_of(None, images=3)
    assert (usage.images, usage.input_tokens, usage.output_tokens, usage.output_image_tokens) == (3, None, None, None)
    assert image_usage_of(None, images=None) is None


def test_the_model_that_writes_an_svg_is_a_call_of_its_own():
    svg = {"model": "gpt-6-sol", "input_tokens": 10, "output_tokens": 20, "reasoning_tokens": 5, "total_tokens": 30}
    (sub_call,) = image_usage_of(IMAGE, images=1, svg=svg).sub_calls
    usage = sub_call.usage
    assert (sub_call.kind, sub_call.model, usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (
        "svg",
        "gpt-6-sol",
        10,
        20,
        5,
    )


def test_a_transcription_is_billed_by_tokens_or_by_seconds():
    tokens = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"audio_tokens": 10},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    by_tokens, by_seconds = transcription_usage_of(tokens), transcription_usage_of({"type": "duration", "seconds": 9})
    assert (by_tokens.input_tokens, by_tokens.input_audio_tokens, by_tokens.audio_seconds) == (14, 10, None)
    assert (by_seconds.audio_seconds, by_seconds.input_tokens, by_seconds.flags) == (9.0, None, ())


@pytest.mark.parametrize(("duration", "seconds"), [(8.47, 8.47), (0, 0.0), (None, None), (-1, None), ("8", None), (True, None)])
def test_the_length_that_an_answer_names_counts_where_it_has_no_usage(duration, seconds):
    usage = transcription_usage_of(None, duration=duration)
    assert (None if usage is None else usage.audio_seconds) == seconds


@pytest.mark.parametrize("seconds", [-3, "x", True])
def test_an_impossible_length_is_flagged(seconds):
    usage = transcription_usage_of({"type": "duration", "seconds": seconds})
    assert (usage.audio_seconds, usage.flags) == (None, ("anomalous",))


def test_speech_is_billed_by_code_points():
    usage = speech_usage_of(None, text="Grüß Gott 👋")
    assert (usage.characters, usage.input_tokens, usage.flags) == (11, None, ("characters_of_request",))
    assert speech_usage_of(None, text=None) is None
    assert speech_usage_of({}, text=["x"]) is None


def test_speech_with_usage_has_both():
    usage = speech_usage_of({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}, text="Hi")
    assert (usage.input_tokens, usage.output_audio_tokens, usage.characters, usage.flags) == (14, 101, 2, ())


def turn(given, made, cached=0, cached_audio=0):
    details = {"cached_tokens": cached, "audio_tokens": given // 2, "cached_tokens_details": {"audio_tokens": cached_audio}}
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made, "input_token_details": details}


def test_the_responses_of_a_session_are_summed():
    usage = realtime_usage_of([turn(100, 40, 20, 10), None, turn(180, 25, 100, 50)])
    assert (usage.input_tokens, usage.output_tokens) == (280, 65)
    assert (usage.cache_read_tokens, usage.cache_read_audio_tokens, usage.input_audio_tokens) == (120, 60, 140)
    assert [raw["input_tokens"] for raw in usage.raw] == [100, 180]


def test_a_turn_with_impossible_numbers_flags_the_session():
    assert "anomalous" in realtime_usage_of([turn(100, 40), turn(100, 40, cached=200)]).flags
    assert "anomalous" in realtime_usage_of([turn(100, -4)]).flags


def test_transcriptions_are_not_in_the_sessions_own_tokens():
    usage = realtime_usage_of([turn(10, 5)], [("whisper-1", {"type": "duration", "seconds": 2}), ("whisper-1", None)])
    assert (usage.input_tokens, [sub.usage.audio_seconds for sub in usage.sub_calls]) == (10, [2.0])


def test_a_session_without_any_usage_has_none():
    assert realtime_usage_of([None, {}, "x"], [(None, None)]) is None


def test_an_impossible_length_of_a_live_session_is_flagged():
    usage = realtime_usage_of([], live={"seconds": -1})
    assert (usage.audio_seconds, usage.flags) == (None, ("anomalous",))
