"""What was answered, in every API's shape, as messages of the GenAI conventions, one for each choice."""

from collections.abc import Callable, Mapping
from typing import Any

from destinations.asked import Message, message_of, plain, turn_of
from destinations.media import Part, part_of
from destinations.parts import parts_of

_REASONS = {
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "tool_use": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "failed": "error",
    "cancelled": "error",
    "in_progress": "error",  # it never came to its end
}


def answered_in(answer: Any) -> list[Message]:
    """Return the messages of an answer's body, one for each choice."""
    if not isinstance(answer, dict):
        return plain(answer, "assistant")
    if answer.get("type") == "binary":
        return [{"role": "assistant", "parts": [part_of(answer)]}]
    for name, read in _ANSWERED.items():
        if answer.get(name):
            return read(answer)
    return []


def reason_of(reason: Any) -> str | None:
    """Return a provider's finish reason in the conventions' words; one that they have no word for stays as it is."""
    if not isinstance(reason, str) or not reason:
        return None
    lower = reason.lower()
    return _REASONS.get(lower, lower)


def _choices(answer: Mapping[str, Any]) -> list[Message]:
    choices = answer["choices"]
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return [_choice(choice) for choice in (sorted(found, key=_index) if len(found) > 1 else found)]


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if type(index) is int else 0


def _choice(choice: Mapping[str, Any]) -> Message:
    message = choice.get("message")
    made = message_of(message if isinstance(message, dict) else {"content": choice.get("text")}, "assistant")
    return _finished(made, choice.get("finish_reason"))


def _finished(message: Message, reason: Any) -> Message:
    found = reason_of(reason)
    return message | {"finish_reason": found} if found else message


def _output(answer: Mapping[str, Any]) -> list[Message]:
    """Return the answer of the Responses API as one message; Bedrock's Converse has its message there."""
    output = answer["output"]
    if isinstance(output, dict):
        message = output.get("message")
        return [_finished(message_of(message if isinstance(message, dict) else {}, "assistant"), answer.get("stopReason"))]
    if not isinstance(output, list):
        return plain(output, "assistant")
    parts = [part for item in output for part in _output_parts(item)]
    details = answer.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else answer.get("status")
    if reason == "completed" and any(part.get("type") == "tool_call" for part in parts):
        reason = "tool_call"
    return [_finished({"role": "assistant", "parts": parts}, reason)]


def _output_parts(item: Any) -> list[Part]:
    return parts_of(item.get("content") if isinstance(item, dict) and item.get("type") == "message" else [item])


def _blocks(answer: Mapping[str, Any]) -> list[Message]:
    """Return the answer of Anthropic's Messages."""
    return [_finished({"role": "assistant", "parts": parts_of(answer["content"])}, answer.get("stop_reason"))]


def _candidates(answer: Mapping[str, Any]) -> list[Message]:
    found = answer["candidates"]
    return [_candidate(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _candidate(candidate: Mapping[str, Any]) -> Message:
    content = candidate.get("content")
    message = turn_of(content if isinstance(content, dict) else {"parts": []}, "assistant")
    reason = candidate.get("finishReason")
    if reason == "STOP" and any(part.get("type") == "tool_call" for part in message["parts"]):
        reason = "tool_call"
    return _finished(message, reason)


def _pictures(answer: Mapping[str, Any]) -> list[Message]:
    """Return the pictures of an image answer; vectors and lists of models are no message."""
    data = answer["data"]
    pictures = (
        [one for one in data if isinstance(one, dict) and ("url" in one or "b64_json" in one)] if isinstance(data, list) else []
    )
    return [{"role": "assistant", "parts": [part_of(one, "image") for one in pictures]}] if pictures else []


def _predictions(answer: Mapping[str, Any]) -> list[Message]:
    found = answer["predictions"]
    pictures = [one for one in found if isinstance(one, dict) and "bytesBase64Encoded" in one] if isinstance(found, list) else []
    return [{"role": "assistant", "parts": [part_of(one, "image") for one in pictures]}] if pictures else []


def _transcript(answer: Mapping[str, Any]) -> list[Message]:
    return plain(answer["text"], "assistant")


_ANSWERED: Mapping[str, Callable[[Mapping[str, Any]], list[Message]]] = {
    "choices": _choices,
    "output": _output,
    "content": _blocks,
    "candidates": _candidates,
    "data": _pictures,
    "predictions": _predictions,
    "text": _transcript,
}
