"""Audio: speech, transcription and translation. What is heard is kept as text, what sounds is described.

Source: https://platform.openai.com/docs/api-reference/audio.
"""

from typing import Any

from domain.calls import Call, Usage
from pricing.usage.media import speech_usage_of, transcription_usage_of
from recorder.apis.binary import base64_size
from recorder.apis.events import objects_of
from recorder.apis.generic import output_of
from recorder.apis.reading import Api, Reading, described

_MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def read_speech(reading: Reading) -> Call:
    """Read speech: audio as it is, or events with pieces of it in base64 (`stream_format: sse`)."""
    usage, size = None, None
    for event in objects_of(reading.events):
        if event.get("type") == "speech.audio.delta":
            size = (size or 0) + base64_size(event.get("audio"))
        elif event.get("type") == "speech.audio.done":
            usage = event.get("usage")
    media_type = reading.media_type
    if reading.streamed:
        media_type = _MEDIA_TYPES.get(str(reading.asked.get("response_format", "mp3")), "")
    closing = reading.exchange.closing
    if size is None:
        size = len(reading.text) if closing is None or not closing.response_cut else closing.response_bytes
    return _call(reading, speech_usage_of(usage, text=reading.asked.get("input")), described(b"", media_type, size=size))


def read_transcript(reading: Reading) -> Call:
    """Read a transcription or translation: JSON, plain text, subtitles, or a stream of text."""
    if reading.streamed:
        answer = _transcript(reading)
        return _call(reading, transcription_usage_of(answer.get("usage")), answer or None)
    answer = reading.answered
    usage = transcription_usage_of(answer.get("usage"), duration=answer.get("duration"))
    return _call(reading, usage, output_of(reading))


def _transcript(reading: Reading) -> dict[str, Any]:
    """Return the transcript of a stream: that of its last event, or the pieces if it broke off before."""
    pieces: list[str] = []
    segments: list[dict[str, Any]] = []
    for event in objects_of(reading.events):
        kind = event.get("type")
        if kind == "transcript.text.done":
            done = {name: value for name, value in event.items() if name != "type"}
            return {**done, "segments": segments} if segments else done
        if kind == "transcript.text.delta" and isinstance(event.get("delta"), str):
            pieces.append(event["delta"])
        elif kind == "transcript.text.segment":
            segments.append({name: value for name, value in event.items() if name != "type"})
    return {"text": "".join(pieces)} if pieces else {}


def _call(reading: Reading, usage: Usage | None, output: Any) -> Call:
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        usage=usage,
        input=reading.input,
        output=output,
        stream=reading.streamed,
    )


APIS: tuple[Api, ...] = (
    Api("speech", "audio/speech", read_speech),
    Api("transcription", "audio/transcriptions", read_transcript),
    Api("translation", "audio/translations", read_transcript),
)
