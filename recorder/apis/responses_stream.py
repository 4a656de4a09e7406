"""Put the events of a Responses stream together to the response that they tell of.

The last event brings the whole response. Only where it is missing, because the stream was cut, or came without its output, is
the response built from the items and deltas before it.

Source: https://platform.openai.com/docs/api-reference/responses-streaming and the event types of the openai package 3.52.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from recorder.bodies import json_of
from recorder.streams import Event

LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_MOST_PLACES = 4_096

# Deltas of a part of an item: (list in the item, number of the part, type of the part, field of the part).
_OF_PARTS = {
    "response.output_text": ("content", "content_index", "output_text", "text"),
    "response.refusal": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("summary", "summary_index", "summary_text", "text"),
}
# Deltas of a field of an item itself, and the item's type where it was never announced.
_OF_ITEMS = {
    "response.function_call_arguments": ("arguments", "function_call"),
    "response.mcp_call_arguments": ("arguments", "mcp_call"),
    "response.custom_tool_call_input": ("input", "custom_tool_call"),
    "response.code_interpreter_call_code": ("code", "code_interpreter_call"),
}
_PARTS = {"response.content_part": ("content", "content_index"), "response.reasoning_summary_part": ("summary", "summary_index")}


def streamed_response(events: Sequence[Event]) -> tuple[dict[str, Any], bool]:
    """Return the response that `events` tell of, and whether it came to its end."""
    last = _last_response(events)
    if last is not None and last.get("output"):
        return last, True
    builder = _Builder()
    for event in events:
        value = json_of(event.data)
        if isinstance(value, dict):
            builder.add(value.get("type") or event.name or "", value)
    return builder.response(), last is not None


def _last_response(events: Sequence[Event]) -> dict[str, Any] | None:
    """Return the response of the last event that brings a finished one."""
    for event in reversed(events[-4:]):
        if event.name in LAST_EVENTS or event.name is None:
            value = json_of(event.data)
            if isinstance(value, dict) and value.get("type") in LAST_EVENTS and isinstance(value.get("response"), dict):
                return dict(value["response"])
    return None


class _Builder:
    """Collects items and their parts by number."""

    def __init__(self) -> None:
        self._base: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}

    def add(self, kind: str, event: Mapping[str, Any]) -> None:
        """Take one event; those that only tell of progress change nothing."""
        response = event.get("response")
        if isinstance(response, dict):
            self._base = response
        name, _, verb = kind.rpartition(".")
        if name == "response.output_item":
            item = event.get("item")
            if isinstance(item, dict):
                self._items[_number(event, "output_index")] = item
        elif verb in {"delta", "done"} and name in _OF_PARTS:
            place, number, part_type, field = _OF_PARTS[name]
            part = _part(self._item(event, "message" if place == "content" else "reasoning"), place, _number(event, number))
            part.setdefault("type", part_type)
            _write(part, field, event, verb)
        elif verb in {"delta", "done"} and name in _OF_ITEMS:
            field, item_type = _OF_ITEMS[name]
            _write(self._item(event, item_type), field, event, verb)
        elif name in _PARTS and isinstance(event.get("part"), dict):
            place, number = _PARTS[name]
            part = _part(self._item(event, "message" if place == "content" else "reasoning"), place, _number(event, number))
            part.update(event["part"])

    def response(self) -> dict[str, Any]:
        """Return what there is of the response."""
        items = [_joined(item) for _, item in sorted(self._items.items())]
        if not self._base and not items:
            return {}
        return {**self._base, "output": items or self._base.get("output", [])}

    def _item(self, event: Mapping[str, Any], item_type: str) -> dict[str, Any]:
        """Return the item that a delta belongs to; a stream that was joined late never announced it."""
        number = _number(event, "output_index")
        item = self._items.get(number)
        if item is None:
            item = self._items[number] = {"id": event.get("item_id"), "type": item_type}
        return item


def _number(event: Mapping[str, Any], name: str) -> int:
    number = event.get(name)
    return number if isinstance(number, int) else 0


def _part(item: dict[str, Any], place: str, number: int) -> dict[str, Any]:
    """Return part `number` of an item, made with those before it if it is new."""
    parts = item.get(place)
    if not isinstance(parts, list):
        parts = item[place] = []
    number = min(max(number, 0), _MOST_PLACES)
    while len(parts) <= number:
        parts.append({})
    if not isinstance(parts[number], dict):
        parts[number] = {}
    found: dict[str, Any] = parts[number]
    return found


class _Text(list[str]):
    """A text in pieces."""


def _write(target: dict[str, Any], field: str, event: Mapping[str, Any], verb: str) -> None:
    """Add a delta to a field, or set what is said to be the whole."""
    value = event.get("delta" if verb == "delta" else field)
    if not isinstance(value, str):
        return
    known = target.get(field)
    if verb == "done":
        target[field] = value
    elif isinstance(known, _Text):
        known.append(value)
    else:
        target[field] = _Text((known, value) if isinstance(known, str) else (value,))


def _joined(value: Any) -> Any:
    """Return an item with its texts joined."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _joined(item) for name, item in value.items()}
    return [_joined(item) for item in value] if isinstance(value, list) else value
