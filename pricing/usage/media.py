"""Usage of images, audio and realtime sessions: tokens by modality, seconds, characters.

Source: https://platform.openai.com/docs/api-reference and ../shared/reference/pricing.md section 2.2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from domain.calls import SubCall, Usage
from pricing.usage.numbers import ANOMALOUS, Numbers, added
from pricing.usage.openai import usage_of


def image_usage_of(raw: Any, *, images: int | None, svg: Any = None) -> Usage | None:
    """Return the usage of generated or edited images, None if neither tokens nor images are known.

    Without details every output token is one of an image. `svg` is the `svg_usage` object: tokens of another model.
    """
    usage = usage_of(raw)
    if usage is None and images is None:
        return None
    usage = usage or Usage()
    drawn = usage.output_tokens if usage.output_image_tokens is None else usage.output_image_tokens
    return replace(usage, output_image_tokens=drawn, images=images, sub_calls=_svg(svg))


def _svg(raw: Any) -> tuple[SubCall, ...]:
    usage = usage_of(raw)
    if usage is None:
        return ()
    return (SubCall(Numbers(raw).word("model"), "svg", usage),)


def transcription_usage_of(raw: Any, *, duration: Any = None) -> Usage | None:
    """Return the usage of a transcription or translation: tokens, or seconds of audio.

    `duration` is the length that `verbose_json` names, for servers that send no usage object.
    """
    if not isinstance(raw, dict) or not raw:
        seconds = Numbers({"duration": duration}).seconds("duration")
        return None if seconds is None else Usage(audio_seconds=seconds, flags=("from_duration",))
    numbers = Numbers(raw)
    seconds = numbers.seconds("seconds")
    usage = usage_of(raw) or Usage(raw=raw)
    flags = (*usage.flags, ANOMALOUS) if numbers.impossible else usage.flags
    return replace(usage, audio_seconds=seconds, flags=tuple(dict.fromkeys(flags)))


def speech_usage_of(raw: Any, *, text: Any) -> Usage | None:
    """Return the usage of speech: the provider's tokens where it names them, and the characters of the text that was read.

    Characters are code points, as they are billed. They are counted in the request, since no answer names them.
    """
    characters = len(text) if isinstance(text, str) else None
    usage = usage_of(raw)
    if usage is not None:
        return replace(usage, output_audio_tokens=usage.output_tokens, characters=characters)
    return None if characters is None else Usage(characters=characters, flags=("characters_of_request",))


_SUMMED = (
    "input_tokens",
    "cache_read_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)


def realtime_usage_of(
    responses: Sequence[Any],
    transcriptions: Sequence[tuple[str | None, Any]] = (),
    delegated: Sequence[tuple[str | None, Any]] = (),
    *,
    live: Any = None,
) -> Usage | None:
    """Return the usage of a whole realtime session.

    `responses` are the usage objects of every `response.done`: each is billed for itself, so they are summed. `transcriptions` and
    `delegated` are models and usage objects of what other models did, which is billed apart: those are sub-calls. `live` is a live
    session's own usage, in seconds for the whole session.
    """
    turns = [turn for turn in map(_turn, responses) if turn is not None]
    sub_calls = (
        *_sub_calls("transcription", ((model, transcription_usage_of(raw)) for model, raw in transcriptions)),
        *_sub_calls("delegated_response", ((model, usage_of(raw)) for model, raw in delegated)),
    )
    seconds = transcription_usage_of(live)
    if not turns and not sub_calls and seconds is None:
        return None
    parts = (*turns, *(sub_call.usage for sub_call in sub_calls), *(() if seconds is None else (seconds,)))
    sums: dict[str, Any] = {name: added(*(getattr(turn, name) for turn in turns)) for name in _SUMMED}
    return Usage(
        **sums,
        audio_seconds=None if seconds is None else seconds.audio_seconds,
        sub_calls=sub_calls,
        flags=tuple(dict.fromkeys(flag for part in parts for flag in part.flags)),
        raw=[part.raw for part in (*turns, *(() if seconds is None else (seconds,)))],
    )


def _sub_calls(kind: str, usages: Iterable[tuple[str | None, Usage | None]]) -> tuple[SubCall, ...]:
    return tuple(SubCall(model, kind, usage) for model, usage in usages if usage is not None)


def _turn(raw: Any) -> Usage | None:
    """Return the usage of one response in a session."""
    usage = usage_of(raw)
    if usage is None:
        return None
    numbers = Numbers(raw)
    audio = numbers.whole("input_token_details", "cached_tokens_details", "audio_tokens")
    image = numbers.whole("input_token_details", "cached_tokens_details", "image_tokens")
    return replace(usage, cache_read_audio_tokens=audio, cache_read_image_tokens=image)
