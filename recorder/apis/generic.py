"""Everything that no other module knows: its JSON is kept, anything else is described."""

from typing import Any

from domain.calls import Call
from recorder.apis.reading import Api, Reading, text_of, text_or_description
from recorder.bodies import json_of


def read(reading: Reading) -> Call:
    """Record what there is: both bodies, the model, the id. No usage: what it would mean is not known."""
    answer = reading.answered
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(answer.get("model")),
        response_id=text_of(answer.get("id")),
        input=reading.input,
        output=output_of(reading),
        stream=reading.streamed,
    )


def output_of(reading: Reading) -> Any:
    """Return the answer as JSON, as the events of a stream, as text, or described."""
    if reading.response is not None or not reading.text:
        return reading.response
    if reading.streamed:
        return [_data_of(event.data) for event in reading.events]
    return text_or_description(reading.text, reading.media_type)


def _data_of(data: bytes) -> Any:
    value = json_of(data)
    return data.decode("utf-8", "replace") if value is None else value


UNKNOWN = Api("unknown", "", read, methods=())

APIS: tuple[Api, ...] = (Api("models", r"models(?:/.+)?", read, methods=("GET",), dialects=("openai", "anthropic", "gemini")),)
