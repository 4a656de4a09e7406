"""What was asked, in every API's shape, as messages of the GenAI conventions."""

from collections.abc import Callable, Mapping
from typing import Any

from destinations.media import Part, part_of
from destinations.parts import answered, called, parts_of, tool_call

Message = dict[str, Any]
_ROLES = {"developer": "system", "model": "assistant", "function": "tool", "ai": "assistant", "human": "user"}


def asked_in(body: Any) -> list[Message]:
    """Return the messages of a request's body."""
    if not isinstance(body, dict):
        return plain(body, "user")
    for name, read in _ASKED.items():
        value = body.get(name)
        if value:
            return read(value)
    return []


def instructions_in(asked: Mapping[str, Any]) -> list[Part]:
    """Return the instructions of a request, where its API has them apart from the messages."""
    told = next((asked[name] for name in _INSTRUCTIONS if asked.get(name)), None)
    return parts_of(told["parts"] if isinstance(told, dict) and "parts" in told else told)


_INSTRUCTIONS = ("system", "instructions", "systemInstruction", "system_instruction")


def plain(value: Any, role: str) -> list[Message]:
    """Return a body that is no object, or a text of one, as a message."""
    parts = parts_of(value)
    return [{"role": role, "parts": parts}] if parts else []


def _chat(messages: Any) -> list[Message]:
    """Return the messages of chat completions, Anthropic's Messages, Bedrock's Converse."""
    if not isinstance(messages, list):
        return plain(messages, "user")
    return [message_of(message) for message in messages if isinstance(message, dict | str)]


def message_of(message: Any, otherwise: str = "user") -> Message:
    """Return a message of chat completions, Anthropic's Messages, or Bedrock's Converse; `otherwise` is the role of one that says none."""
    if isinstance(message, str):
        return {"role": otherwise, "parts": parts_of(message)}
    role = message.get("role", otherwise)
    role = _ROLES.get(role, role) if isinstance(role, str) else otherwise
    content = message.get("content")
    if role == "tool":
        parts = [answered(message.get("tool_call_id"), content)]
    else:
        parts = _reasoning(message) + parts_of(content) + _calls(message)
        if role == "user" and parts and all(part.get("type") == "tool_call_response" for part in parts):
            role = "tool"  # Anthropic and Bedrock have what tools answered in the user's turn
    made: Message = {"role": role, "parts": parts}
    if isinstance(message.get("name"), str):
        made["name"] = message["name"]
    return made


def _reasoning(message: Mapping[str, Any]) -> list[Part]:
    text = message.get("reasoning_content") or message.get("reasoning")
    return [{"type": "reasoning", "content": text}] if isinstance(text, str) and text else []


def _calls(message: Mapping[str, Any]) -> list[Part]:
    calls = message.get("tool_calls")
    parts = [part for call in calls if (part := tool_call(call)) is not None] if isinstance(calls, list) else []
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(called(None, legacy.get("name"), legacy.get("arguments")))
    if isinstance(message.get("refusal"), str):
        parts.append({"type": "refusal", "content": message["refusal"]})
    if isinstance(message.get("audio"), dict):
        parts.append(part_of(message["audio"], "audio"))
    return parts


def _items(items: Any) -> list[Message]:
    """Return the items of the Responses API, or texts (embeddings, moderation, speech)."""
    if not isinstance(items, list):
        return plain(items, "user")
    return [_item(item) for item in items if isinstance(item, dict | str)]


def _item(item: Any) -> Message:
    if isinstance(item, str) or "role" in item:
        return message_of(item)
    parts = parts_of([item])
    if parts and parts[0].get("type") == "tool_call_response":
        return {"role": "tool", "parts": parts}
    return {"role": "assistant" if item.get("type") in _OF_THE_MODEL else "user", "parts": parts}


_OF_THE_MODEL = frozenset({"reasoning", "function_call", "custom_tool_call", "web_search_call", "file_search_call"})


def _contents(contents: Any) -> list[Message]:
    """Return Gemini's contents."""
    turns = contents if isinstance(contents, list) else [contents]
    return [turn_of(turn, "user") for turn in turns if isinstance(turn, dict | str)]


def turn_of(turn: Any, otherwise: str) -> Message:
    """Return a turn of Gemini's."""
    if isinstance(turn, str) or "parts" not in turn:
        return message_of(turn, otherwise)
    role = turn.get("role")
    parts = parts_of(turn.get("parts"))
    if parts and all(part.get("type") == "tool_call_response" for part in parts):
        role = "tool"
    return {"role": _ROLES.get(role, role) if isinstance(role, str) else otherwise, "parts": parts}


def _texts(texts: Any) -> list[Message]:
    return plain(texts, "user")


def _requests(requests: Any) -> list[Message]:
    """Return what Gemini's batches of embeddings and Imagen's `:predict` ask, one message for each."""
    found = [one for one in requests if isinstance(one, dict)] if isinstance(requests, list) else []
    return [
        message for one in found for message in (_contents(one["content"]) if "content" in one else _texts(one.get("prompt")))
    ]


_ASKED: Mapping[str, Callable[[Any], list[Message]]] = {
    "messages": _chat,
    "input": _items,
    "contents": _contents,
    "content": _contents,
    "prompt": _texts,
    "query": _texts,
    "texts": _texts,
    "requests": _requests,
    "instances": _requests,
}
