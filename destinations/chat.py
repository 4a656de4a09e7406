"""Messages of the GenAI conventions as messages of chat completions: the shape that most platforms draw best."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from destinations.jsontext import json_text
from destinations.media import Part
from destinations.messages import Message


def chat_messages(messages: Sequence[Message], system: Sequence[Part] = ()) -> list[dict[str, Any]]:
    """Return messages in the shape of chat completions; `system` are instructions apart from them, which go first."""
    first = [{"role": "system", "parts": list(system)}] if system else []
    return [made for message in (*first, *messages) for made in _made(message)]


def _made(message: Message) -> list[dict[str, Any]]:
    """Return one message; what several tools answered is a message for each."""
    parts: Sequence[Part] = [part for part in message.get("parts", ()) if isinstance(part, dict)]
    answers = [_answer(part) for part in parts if part.get("type") == "tool_call_response"]
    calls = [_call(part) for part in parts if part.get("type") == "tool_call"]
    said = [part for part in parts if part.get("type") not in _APART]
    if answers and not said and not calls:
        return answers
    made: dict[str, Any] = {"role": message.get("role", "user"), "content": _content(said)}
    reasoning = "\n".join(str(part.get("content", "")) for part in parts if part.get("type") == "reasoning")
    if reasoning:
        made["reasoning_content"] = reasoning
    if calls:
        made["tool_calls"] = calls
    return [*answers, made]


_APART = frozenset({"tool_call", "tool_call_response", "reasoning"})


def _content(parts: Sequence[Part]) -> Any:
    """Return a text where there is nothing but text, else a list of blocks; None for nothing."""
    if not parts:
        return None
    if all(part.get("type") == "text" for part in parts):
        return "\n".join(str(part.get("content", "")) for part in parts)
    return [_BLOCKS.get(str(part.get("type")), _other)(part) for part in parts]


def _text(part: Part) -> dict[str, Any]:
    return {"type": "text", "text": str(part.get("content", ""))}


def _uri(part: Part) -> dict[str, Any]:
    return _pictured(part, part.get("uri"))


def _blob(part: Part) -> dict[str, Any]:
    return _pictured(part, f"data:{part.get('mime_type', 'application/octet-stream')};base64,{part.get('content', '')}")


def _pictured(part: Part, url: Any) -> dict[str, Any]:
    if part.get("modality") == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"file_data": url}}


def _other(part: Part) -> dict[str, Any]:
    """Return what chat completions have no block for as a text that says it."""
    return {"type": "text", "text": json_text(part)}


_BLOCKS: Mapping[str, Callable[[Part], dict[str, Any]]] = {"text": _text, "refusal": _text, "uri": _uri, "blob": _blob}


def _call(part: Part) -> dict[str, Any]:
    arguments = part.get("arguments")
    text = arguments if isinstance(arguments, str) else json_text({} if arguments is None else arguments)
    made: dict[str, Any] = {"type": "function", "function": {"name": part.get("name") or "", "arguments": text}}
    return {"id": part["id"], **made} if "id" in part else made


def _answer(part: Part) -> dict[str, Any]:
    response = part.get("response")
    made: dict[str, Any] = {"role": "tool", "content": response if isinstance(response, str) else json_text(response)}
    return {**made, "tool_call_id": part["id"]} if "id" in part else made
