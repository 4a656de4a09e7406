"""What a model wrote in an answer, in any API's shape, whole or as far as it came: the texts that are billed as output."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pricing.tokens.prompts import json_text

_OF_TOOL_CALL = 7
_TEXTS = ("text", "thinking", "refusal", "transcript", "partial_json", "code")
_THOUGHTS = ("reasoning_content", "reasoning")  # some servers give the same thoughts under both names
_WRITTEN = ("arguments", "input", "args", "action")
# What a provider adds to an answer that the model did not write.
_NOT_WRITTEN = ("tool_result", "_output")


@dataclass(slots=True)
class Answered:
    """Texts of an answer, and tokens beside them."""

    texts: list[str] = field(default_factory=list)
    template: int = 0

    def say(self, text: Any) -> None:
        """Take a text, if it is one."""
        if isinstance(text, str) and text:
            self.texts.append(text)


def answered_of(output: Any) -> Answered:
    """Return what the model wrote in `output`: a call's answer put together from its stream, or as much of its text as there is."""
    answered = Answered()
    if isinstance(output, str):
        answered.say(output)  # an answer cut off in the middle of its JSON: its text is what is left of it
    elif isinstance(output, dict):
        if output.get("cut") is True:
            answered.say(output.get("text"))
        for part in _parts(output):
            _take(answered, part)
    return answered


def _parts(output: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the parts of an answer: of choices, of a message, of output items, of candidates."""
    for choice in _objects(output.get("choices")):
        yield {"type": "text", "text": choice.get("text")}
        message = choice.get("message")
        if isinstance(message, dict):
            yield {name: value for name, value in message.items() if name != "content"}
            yield from _contents(message.get("content"))
            yield from _objects(message.get("tool_calls"))
            yield from _objects([message.get("function_call"), message.get("audio")])
    yield from _contents(output.get("content"))
    for item in _objects(output.get("output")):
        yield item
        yield from _contents(item.get("content"))
        yield from _contents(item.get("summary"))
    for candidate in _objects(output.get("candidates")):
        content = candidate.get("content")
        yield from _objects(content.get("parts") if isinstance(content, dict) else None)


def _take(answered: Answered, part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    if isinstance(kind, str) and kind.endswith(_NOT_WRITTEN):
        return
    for name in _TEXTS:
        answered.say(part.get(name))
    answered.say(next((part[name] for name in _THOUGHTS if isinstance(part.get(name), str)), None))
    code = part.get("executableCode")
    if isinstance(code, dict):
        answered.say(code.get("code"))
    inner = next((part[name] for name in ("function", "custom", "functionCall") if isinstance(part.get(name), dict)), part)
    if isinstance(inner.get("name"), str) and inner["name"]:
        answered.template += _OF_TOOL_CALL
        answered.say(inner["name"])
    for name in _WRITTEN:
        written = inner.get(name)
        if written:
            answered.say(json_text(written))


def _contents(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    yield from _objects(content)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
