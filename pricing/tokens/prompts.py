"""What a request asks a model to read: its texts, pictures and tools, in any API's shape, and what its template adds.

The formula for chats is 3 tokens for each message and 3 before the answer, beside the texts.

Source: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken, read 2026-11-20.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pricing.tokens.image_sizes import size_of_base64
from pricing.tokens.images import Picture

MEDIA, STORED, HOSTED, ODD = "media_not_counted", "stored_context_not_counted", "hosted_tools_not_counted", "parts_not_counted"
THOUGHTS = "earlier_reasoning_not_counted"

_OF_MESSAGE, _OF_ANSWER, _OF_NAME, _OF_TOOL_CALL = 3, 3, 1, 7
_DEEPEST = 8
_SMALL = 128
_TEXTS = ("text", "refusal")
_CALLS = {"tool_use", "server_tool_use", "mcp_tool_use", "function_call", "custom_tool_call", "mcp_call"}
_CONTENTS = ("content", "output", "parts")
# Fields that name what the provider keeps and puts in front of the input.
_KEPT = ("previous_response_id", "conversation", "prompt_id", "cachedContent", "cached_content", "container")
_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking", "compaction"})


@dataclass(slots=True)
class Prompt:
    """What a model has to read.

    `missing` names what cannot be counted: media, what the provider stored, its own tools' results. `unread` are fields of the body that
    nothing was taken from, but for small ones.
    """

    texts: list[str] = field(default_factory=list)
    template: int = 0
    tools: list[Mapping[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    ready_tokens: int = 0
    has_system: bool = False
    unread: dict[str, Any] = field(default_factory=dict)

    def say(self, text: Any) -> None:
        """Take a text, if it is one."""
        if isinstance(text, str) and text:
            self.texts.append(text)


def prompt_of(body: Any, *, embeds: bool = False) -> Prompt | None:
    """Return what the JSON body of a request has a model read; None if it is no request that a model reads.

    `embeds` says that it asks for embeddings: then a plain text as input is no message, and has no template.
    """
    if not isinstance(body, dict):
        return None
    prompt = Prompt()
    known = False
    for name, read in _READERS.items():
        if body.get(name) is not None:
            read(prompt, body[name])
            known = True
    if not known:
        return None
    if isinstance(body.get("input"), str) and not embeds:
        prompt.template += _OF_MESSAGE + _OF_NAME + _OF_ANSWER
    _read_tools(prompt, body)
    if any(body.get(name) for name in _KEPT) or isinstance(body.get("prompt"), dict):
        prompt.missing.add(STORED)
    if body.get("web_search_options") is not None or body.get("plugins"):
        prompt.missing.add(HOSTED)
    prompt.unread = {name: value for name, value in body.items() if name not in _READ and not _is_small(value)}
    return prompt


def json_text(value: Any) -> str:
    """Return a JSON value as its shortest text; a text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _read_messages(prompt: Prompt, messages: Any) -> None:
    prompt.template += _OF_ANSWER
    for message in _objects(messages):
        _read_message(prompt, message)


def _read_message(prompt: Prompt, message: Mapping[str, Any]) -> None:
    prompt.template += _OF_MESSAGE
    prompt.say(message.get("role"))
    prompt.has_system |= message.get("role") in ("system", "developer")
    if isinstance(message.get("name"), str):
        prompt.template += _OF_NAME
        prompt.say(message["name"])
    prompt.say(message.get("refusal"))
    if message.get("audio") is not None:
        prompt.missing.add(MEDIA)
    for name in _CONTENTS:
        _read_content(prompt, message.get(name))
    for call in (*_objects(message.get("tool_calls")), *_objects([message.get("function_call")])):
        inner = next((call[kind] for kind in ("function", "custom") if isinstance(call.get(kind), dict)), call)
        _read_call(prompt, inner)


def _read_call(prompt: Prompt, call: Mapping[str, Any]) -> None:
    prompt.template += _OF_TOOL_CALL
    prompt.say(call.get("name"))
    written = next((call[name] for name in ("arguments", "input", "args") if call.get(name) is not None), None)
    if written is not None:
        prompt.say(json_text(written))


def _read_content(prompt: Prompt, content: Any, depth: int = 0) -> None:
    """Take a message's content: a text, or parts of any kind."""
    if isinstance(content, str):
        prompt.say(content)
    elif isinstance(content, dict):
        _read_part(prompt, content, depth)
    elif isinstance(content, list):
        for part in content:
            _read_content(prompt, part, depth)


def _read_part(prompt: Prompt, part: Mapping[str, Any], depth: int) -> None:
    kind = part.get("type")
    if depth > _DEEPEST:
        prompt.missing.add(ODD)
    elif isinstance(kind, str) and kind in _CALLS:
        _read_call(prompt, part)
        for name in _CONTENTS:
            _read_content(prompt, part.get(name), depth + 1)
    elif isinstance(kind, str) and kind in _THOUGHTS:
        prompt.missing.add(THOUGHTS)  # read again or not, by rules of the provider's own, and mostly encrypted
    elif any(isinstance(part.get(name), str) for name in _TEXTS):
        for name in _TEXTS:
            prompt.say(part.get(name))
    elif not (_read_picture(prompt, part) or _read_document(prompt, part) or _read_function(prompt, part)):
        inner = [part[name] for name in _CONTENTS if part.get(name) is not None]
        if not inner:
            prompt.missing.add(ODD)
        for content in inner:
            _read_content(prompt, content, depth + 1)


def _read_picture(prompt: Prompt, part: Mapping[str, Any]) -> bool:
    """Take a picture in OpenAI's, Anthropic's or Gemini's form; return whether it was one."""
    named = part.get("image_url")
    source = part.get("source") if part.get("type") == "image" else None
    inline = _inline(part)
    if named is not None or part.get("type") == "input_image":
        inner = named if isinstance(named, dict) else part
        url = inner.get("url") if inner is named else named
        detail = inner.get("detail")
    elif isinstance(source, dict):
        url, detail = source.get("data"), None
    elif str(inline.get("mimeType", inline.get("mime_type"))).startswith("image/"):
        url, detail = inline.get("data"), None
    else:
        return False
    size = size_of_base64(url) if isinstance(url, str) and not url.startswith("http") else None
    prompt.pictures.append(Picture(size, detail if isinstance(detail, str) else None))
    return True


def _read_document(prompt: Prompt, part: Mapping[str, Any]) -> bool:
    """Take a document if it is text; note other media, which only the provider can count. Return whether it was either."""
    source = part.get("source")
    if part.get("type") in {"document", "search_result"}:
        prompt.say(part.get("title"))
        if not isinstance(source, dict):
            _read_content(prompt, part.get("content"), _DEEPEST)
        elif source.get("type") == "text":
            prompt.say(source.get("data"))
        elif source.get("type") == "content":
            _read_content(prompt, source.get("content"), _DEEPEST)
        else:
            prompt.missing.add(MEDIA)
        return True
    media = any(part.get(name) is not None for name in ("input_audio", "file", "file_data", "file_id", "video_url", "fileData"))
    if media or _inline(part) or part.get("type") in {"input_file", "input_audio", "container_upload"}:
        prompt.missing.add(MEDIA)
        return True
    if part.get("type") == "item_reference":
        prompt.missing.add(STORED)
        return True
    return False


def _read_function(prompt: Prompt, part: Mapping[str, Any]) -> bool:
    """Take Gemini's function calls and their results, and code; return whether it was one."""
    call, result = part.get("functionCall"), part.get("functionResponse")
    code = part.get("executableCode") or part.get("codeExecutionResult")
    if isinstance(call, dict):
        _read_call(prompt, call)
    elif isinstance(result, dict):
        _read_call(prompt, {"name": result.get("name"), "args": result.get("response")})
    elif isinstance(code, dict):
        prompt.say(code.get("code"))
        prompt.say(code.get("output"))
    else:
        return False
    return True


def _inline(part: Mapping[str, Any]) -> Mapping[str, Any]:
    inline = part.get("inlineData", part.get("inline_data"))
    return inline if isinstance(inline, dict) else {}


def _read_input(prompt: Prompt, value: Any) -> None:
    """Take the input of responses (a text, or items) or of embeddings (texts, or tokens)."""
    if not isinstance(value, list) or not value:
        _read_plain(prompt, value)
        return
    if not any(isinstance(item, dict) for item in value):
        _read_plain(prompt, value)
        return
    prompt.template += _OF_ANSWER
    for item in _objects(value):
        if "role" in item:
            _read_message(prompt, item)
        else:
            _read_part(prompt, item, 0)


def _read_plain(prompt: Prompt, value: Any) -> None:
    """Take texts, or lists of tokens that are counted already."""
    if isinstance(value, str):
        prompt.say(value)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                prompt.say(item)
            elif isinstance(item, list):
                prompt.ready_tokens += len(item)
            elif isinstance(item, int):
                prompt.ready_tokens += 1


def _read_contents(prompt: Prompt, contents: Any) -> None:
    """Take Gemini's contents: a list, or one."""
    for content in _objects(contents if isinstance(contents, list) else [contents]):
        _read_content(prompt, content.get("parts"))


def _read_requests(prompt: Prompt, requests: Any) -> None:
    """Take Gemini's requests for many embeddings."""
    for request in _objects(requests):
        _read_contents(prompt, request.get("content"))


def _read_one_content(prompt: Prompt, content: Any) -> None:
    _read_contents(prompt, content)


def _read_system(prompt: Prompt, system: Any) -> None:
    prompt.template += _OF_MESSAGE
    prompt.has_system = True
    _read_content(prompt, system)


def _read_tools(prompt: Prompt, body: Mapping[str, Any]) -> None:
    """Take the definitions of functions; note tools that run at the provider's, whose results are input that nobody sees."""
    for tool in (*_objects(body.get("tools")), *_objects(body.get("functions"))):
        declared = tool.get("functionDeclarations", tool.get("function_declarations"))
        if isinstance(declared, list):
            prompt.tools.extend(_objects(declared))
        elif isinstance(inner := tool.get("function", tool.get("custom")), dict):
            prompt.tools.append(inner)
        elif "name" in tool and tool.get("type") in {None, "function", "custom"}:
            prompt.tools.append(tool)
        else:
            prompt.missing.add(HOSTED)
    for schema in _schemas(body):
        prompt.say(json_text(schema))


def _schemas(body: Mapping[str, Any]) -> Iterable[Any]:
    """Yield the schemas that the answer must follow: they are read like a tool's."""
    for outer, name in (("response_format", "json_schema"), ("text", "format"), ("generationConfig", "responseSchema")):
        holder = body.get(outer)
        schema = holder.get(name) if isinstance(holder, dict) else None
        inner = schema.get("schema", schema) if isinstance(schema, dict) else None
        if isinstance(inner, dict) and inner.keys() - {"type"}:
            yield inner


def _is_small(value: Any) -> bool:
    """Tell whether a value is a setting, and no text to read."""
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) < _SMALL)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


_READERS = {
    "system": _read_system,
    "instructions": _read_system,
    "systemInstruction": _read_system,
    "system_instruction": _read_system,
    "messages": _read_messages,
    "input": _read_input,
    "prompt": _read_plain,
    "suffix": _read_plain,
    "contents": _read_contents,
    "content": _read_one_content,
    "requests": _read_requests,
    "texts": _read_plain,
}
_READ = _READERS.keys() | {"tools", "functions"}
