"""Error answers, in the shapes that providers give them."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.calls import CallError
from recorder.bodies import json_of
from recorder.streams import Event

_LONGEST_MESSAGE = 2_000
_MESSAGE_FIELDS = ("message", "detail", "error_message", "error_description", "msg", "title")


def error_of(answer: Any, text: bytes, status: int | None) -> CallError:
    """Return the error in an error answer: OpenAI's shape, Anthropic's, Google's, a plain object's, or text."""
    found = error_in(answer)
    if found is not None:
        return found
    if isinstance(answer, Mapping):
        message = _message_of(answer)
        if message:
            return CallError(_word(answer.get("type") or answer.get("__type")), _word(answer.get("code")), message)
    plain = text[: 4 * _LONGEST_MESSAGE].decode("utf-8", "replace").strip()
    return CallError(None, None, plain[:_LONGEST_MESSAGE] or f"HTTP status {status}")


def error_in(answer: Any) -> CallError | None:
    """Return what the `error` member of an answer says, or None if it has none.

    Google streams wrap the object in a list; OpenRouter and some local servers give a text instead of an object.
    """
    if isinstance(answer, list) and answer:
        answer = answer[0]
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if isinstance(error, Mapping):
        kind = _word(error.get("type")) or _word(error.get("status"))
        return CallError(kind, _word(error.get("code")), _message_of(error) or kind or "error")
    if isinstance(error, str) and error:
        return CallError(_word(answer.get("type")), _word(answer.get("code")), error[:_LONGEST_MESSAGE])
    return None


def error_of_stream(events: Iterable[Event]) -> CallError | None:
    """Return the first error that is told inside a stream."""
    for event in events:
        if event.name == "error" or (b'"error"' in event.data and not _is_part_of_a_response(event.name)):
            error = _event_error(json_of(event.data), event)
            if error is not None:
                return error
    return None


def _is_part_of_a_response(name: str | None) -> bool:
    """Tell whether an event belongs to a Responses stream, whose objects always have a member `error`."""
    return name is not None and name.startswith("response.")


def _event_error(value: Any, event: Event) -> CallError | None:
    found = error_in(value)
    if found is None and event.name == "error":
        return error_of(value, event.data, None)
    return found


def _message_of(error: Mapping[str, Any]) -> str:
    for field in _MESSAGE_FIELDS:
        value = error.get(field)
        if isinstance(value, str) and value:
            return value[:_LONGEST_MESSAGE]
        if isinstance(value, list | Mapping) and value:
            return str(value)[:_LONGEST_MESSAGE]
    return ""


def _word(value: Any) -> str | None:
    """Return a type or a code as text; codes are numbers with some providers."""
    if isinstance(value, str):
        return value[:200] or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
