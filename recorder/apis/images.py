"""Images: generations, edits and variations, plain and streamed. Pictures are described, not kept.

Source: https://platform.openai.com/docs/api-reference/images and .../images-streaming.
"""

from typing import Any

from domain.calls import Call
from pricing.usage.media import image_usage_of
from recorder.apis.binary import without_binary
from recorder.apis.events import objects_of
from recorder.apis.reading import Api, Reading

_PICTURE = ("b64_json", "url", "revised_prompt")
_ABOUT_THE_EVENT = ("type", "partial_image_index", "sequence_number")


def read(reading: Reading) -> Call:
    """Read an answer with images, or the stream that ends with one event for each."""
    answer = _of_stream(reading) if reading.streamed else reading.answered
    pictures = answer.get("data")
    count = len(pictures) if isinstance(pictures, list) else None
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        usage=image_usage_of(answer.get("usage"), images=count, svg=answer.get("svg_usage")),
        input=without_binary(reading.input),
        output=without_binary(answer, "image/png") or None,
        stream=reading.streamed,
    )


def _of_stream(reading: Reading) -> dict[str, Any]:
    """Return the answer that the completed images of a stream make; partial images are left out."""
    completed = [event for event in objects_of(reading.events) if str(event.get("type", "")).endswith(".completed")]
    answer: dict[str, Any] = {}
    for event in completed:
        answer.update({name: value for name, value in event.items() if name not in (*_PICTURE, *_ABOUT_THE_EVENT)})
    if "created_at" in answer:
        answer["created"] = answer.pop("created_at")
    if completed:
        answer["data"] = [{name: event[name] for name in _PICTURE if name in event} for event in completed]
    return answer


APIS: tuple[Api, ...] = (
    Api("image_generation", "images/generations", read),
    Api("image_edit", "images/edits", read),
    Api("image_variation", "images/variations", read),
)
