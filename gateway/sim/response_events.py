"""The events of a streamed response, in the order and with the names of OpenAI's responses API."""

from collections.abc import Iterator
from itertools import count as counted

from gateway.sim.http import Event, Json, named_event
from gateway.sim.script import Reply

_BEFORE: Json = {"output": [], "usage": None, "incomplete_details": None, "completed_at": None}


def response_events(response: Json, one: Reply, gap: float) -> Iterator[Event]:
    """Yield every event; each token's is followed by `gap` seconds of silence."""
    numbers = counted()
    for fields, pause in _steps(response, one, gap):
        yield named_event({"type": fields["type"], "sequence_number": next(numbers)} | fields, pause)


def _steps(response: Json, one: Reply, gap: float) -> Iterator[tuple[Json, float]]:
    begun = response | _BEFORE
    if response["background"]:
        yield {"type": "response.queued", "response": begun | {"status": "queued"}}, 0.0
    yield {"type": "response.created", "response": begun | {"status": "in_progress"}}, 0.0
    yield {"type": "response.in_progress", "response": begun | {"status": "in_progress"}}, 0.0
    item = response["output"][0]
    steps = _call_steps(item, one, gap) if one.tool else _text_steps(item, one, gap)
    yield from steps
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}, 0.0
    yield {"type": f"response.{response['status']}", "response": response}, 0.0


def _text_steps(item: Json, one: Reply, gap: float) -> Iterator[tuple[Json, float]]:
    part = item["content"][0]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    begun = item | {"status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": 0, "item": begun}, 0.0
    yield {"type": "response.content_part.added", **place, "part": part | {"text": ""}}, 0.0
    for piece in one.pieces:
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}, gap
    yield {"type": "response.output_text.done", **place, "text": one.text, "logprobs": []}, 0.0
    yield {"type": "response.content_part.done", **place, "part": part}, 0.0


def _call_steps(item: Json, one: Reply, gap: float) -> Iterator[tuple[Json, float]]:
    place = {"item_id": item["id"], "output_index": 0}
    begun = item | {"status": "in_progress", "arguments": ""}
    yield {"type": "response.output_item.added", "output_index": 0, "item": begun}, 0.0
    for piece in one.pieces:
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}, gap
    done = {"type": "response.function_call_arguments.done", **place, "name": item["name"], "arguments": one.text}
    yield done, 0.0
