"""The pieces that messages are made of, in every API's shape, as parts of the GenAI conventions.

Contents come from apps and providers, so nothing is taken for granted of them: what is not understood stays as it is, as a part of its own type.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from destinations.media import Part, media_part, part_of

_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})


def parts_of(content: Any) -> list[Part]:
    """Return the parts of a content: a text, a list of blocks, one block."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content else []
    if isinstance(content, list):
        return [part for block in content if (part := block_part(block)) is not None]
    if isinstance(content, dict):
        part = block_part(content)
        return [] if part is None else [part]
    return []


def block_part(block: Any) -> Part | None:
    """Return the part of one block; None where there is nothing."""
    if isinstance(block, str):
        return {"type": "text", "content": block}
    if not isinstance(block, dict) or not block:
        return None
    kind = block.get("type")
    if not isinstance(kind, str):
        return _untyped(block)
    if kind in _TEXTS and isinstance(block.get("text"), str):
        return {"type": "text", "content": block["text"]}
    made = _TYPED.get(kind)
    if made is not None:
        return made(block)
    return media_part(block) or _server_tool(kind, block) or block


def tool_call(call: Any) -> Part | None:
    """Return the part of an OpenAI tool call (`{"id", "type", "function": {"name", "arguments"}}`, or a custom one)."""
    if not isinstance(call, dict):
        return None
    inner = call.get("function")
    if not isinstance(inner, dict):
        inner = call.get("custom")
    if not isinstance(inner, dict):
        inner = call
    return called(call.get("id"), inner.get("name"), inner.get("arguments", inner.get("input")))


def called(call_id: Any, name: Any, arguments: Any) -> Part:
    """Return the part of a tool call. Arguments that are JSON are parsed, others stay a text."""
    part: Part = {"type": "tool_call"}
    if isinstance(call_id, str):
        part["id"] = call_id
    part["name"] = name if isinstance(name, str) else ""
    if arguments is not None:
        part["arguments"] = parsed(arguments)
    return part


def answered(call_id: Any, response: Any, name: Any = None) -> Part:
    """Return the part of what a tool answered."""
    part: Part = {"type": "tool_call_response"}
    if isinstance(call_id, str):
        part["id"] = call_id
    if isinstance(name, str):
        part["name"] = name
    part["response"] = response
    return part


def parsed(arguments: Any) -> Any:
    """Return the JSON object in a text; another text as it is."""
    if not isinstance(arguments, str) or not arguments.lstrip().startswith(("{", "[")):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def texts_in(value: Any) -> str:
    """Return the texts of a list of blocks, a text as it is."""
    if isinstance(value, str):
        return value
    blocks = value if isinstance(value, list) else []
    texts = (block if isinstance(block, str) else block.get("text") if isinstance(block, dict) else None for block in blocks)
    return "\n".join(text for text in texts if isinstance(text, str))


def _reasoning(block: Mapping[str, Any]) -> Part:
    """Return the part of reasoning: `thinking` (Anthropic a text, Mistral a list), a Responses item with `summary` and `content`."""
    texts = (texts_in(block.get(name)) for name in ("thinking", "content", "summary"))
    return {"type": "reasoning", "content": next((text for text in texts if text), "")}


def _item_message(item: Mapping[str, Any]) -> Part:
    return {"type": "message", "content": parts_of(item.get("content"))}


def _server_tool(kind: str, block: Mapping[str, Any]) -> Part | None:
    """Return the part of a tool that the provider ran: `web_search_call`, `web_search_tool_result`, `code_interpreter_call`."""
    if kind.endswith("_tool_result"):
        told = {"type": kind.removesuffix("_tool_result"), "content": block.get("content")}
        return _with_id({"type": "server_tool_call_response", "server_tool_call_response": told}, block.get("tool_use_id"))
    if kind.endswith(("_call", "_call_output")):
        name, _, rest = kind.rpartition("_call")
        inner = {"type": name} | {key: value for key, value in block.items() if key not in {"type", "id"}}
        if rest:
            return _with_id({"type": "server_tool_call_response", "server_tool_call_response": inner}, block.get("call_id"))
        return _with_id({"type": "server_tool_call", "name": name, "server_tool_call": inner}, block.get("id"))
    return None


def _server_use(block: Mapping[str, Any]) -> Part:
    name = block.get("name") if isinstance(block.get("name"), str) else ""
    given = block.get("input")
    inner = {"type": name, **(given if isinstance(given, dict) else {"input": given})}
    return _with_id({"type": "server_tool_call", "name": name, "server_tool_call": inner}, block.get("id"))


def _with_id(part: Part, found: Any) -> Part:
    return part | {"id": found} if isinstance(found, str) else part


_TYPED: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    "thinking": _reasoning,
    "reasoning": _reasoning,
    "redacted_thinking": lambda _: {"type": "reasoning", "content": ""},
    "refusal": lambda block: {"type": "refusal", "content": block.get("refusal")},
    "tool_use": lambda block: called(block.get("id"), block.get("name"), block.get("input")),
    "tool_result": lambda block: answered(block.get("tool_use_id"), block.get("content")),
    "server_tool_use": _server_use,
    "mcp_tool_use": _server_use,
    "function_call": lambda item: called(item.get("call_id", item.get("id")), item.get("name"), item.get("arguments")),
    "custom_tool_call": lambda item: called(item.get("call_id", item.get("id")), item.get("name"), item.get("input")),
    "function_call_output": lambda item: answered(item.get("call_id"), item.get("output")),
    "custom_tool_call_output": lambda item: answered(item.get("call_id"), item.get("output")),
    "compaction": lambda block: (
        _with_id({"type": "compaction"}, block.get("id"))
        | ({"content": block["content"]} if isinstance(block.get("content"), str) else {})
    ),
    "message": _item_message,
}


def _untyped(block: dict[str, Any]) -> Part:
    """Return the part of a block that is known by its member: Gemini's and Bedrock's."""
    text = block.get("text")
    if isinstance(text, str):
        return {"type": "reasoning" if block.get("thought") is True else "text", "content": text}
    for name, made in _UNTYPED.items():
        inner = block.get(name)
        if isinstance(inner, dict):
            return made(inner)
    # A part must have a type, and a text one.
    return {**block, "type": "unknown"}


def _gemini_code(inner: Mapping[str, Any]) -> Part:
    told = {"type": "code_execution", **inner}
    return {"type": "server_tool_call", "name": "code_execution", "server_tool_call": told}


def _bedrock_reasoning(inner: Mapping[str, Any]) -> Part:
    text = inner.get("reasoningText")
    return {"type": "reasoning", "content": text.get("text") if isinstance(text, dict) else ""}


def _bedrock_media(modality: str) -> Callable[[Mapping[str, Any]], Part]:
    def made(inner: Mapping[str, Any]) -> Part:
        source = inner.get("source")
        return part_of({**inner, **source} if isinstance(source, dict) else inner, modality)

    return made


_UNTYPED: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    "functionCall": lambda inner: called(inner.get("id"), inner.get("name"), inner.get("args")),
    "functionResponse": lambda inner: answered(inner.get("id"), inner.get("response"), inner.get("name")),
    "inlineData": part_of,
    "inline_data": part_of,
    "fileData": part_of,
    "file_data": part_of,
    "executableCode": _gemini_code,
    "codeExecutionResult": lambda inner: {
        "type": "server_tool_call_response",
        "server_tool_call_response": {"type": "code_execution", **inner},
    },
    "toolUse": lambda inner: called(inner.get("toolUseId"), inner.get("name"), inner.get("input")),
    "toolResult": lambda inner: answered(inner.get("toolUseId"), inner.get("content")),
    "reasoningContent": _bedrock_reasoning,
    "image": _bedrock_media("image"),
    "video": _bedrock_media("video"),
    "document": _bedrock_media("document"),
}
