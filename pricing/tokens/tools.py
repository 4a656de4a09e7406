"""How OpenAI's models are shown the functions that they may call: as the types of a TypeScript namespace.

The form is not documented; it was found by others by asking models for it, and by comparing counts.

Source: https://github.com/hmarr/openai-chat-tokens, read 2026-11-20.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Tokens beside those of the text, and how many fewer they are where the definitions join a system message that is there anyway.
TEMPLATE, JOINED = 9, 4
_DEEPEST = 16
_NAMED = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def rendered(tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the definitions of functions as a model is shown them."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        lines += _function(tool)
    lines.append("} // namespace functions")
    return "\n".join(lines)


def _function(tool: Mapping[str, Any]) -> Iterator[str]:
    description = tool.get("description")
    if isinstance(description, str) and description:
        yield f"// {description}"
    parameters = tool.get("parameters", tool.get("input_schema"))
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if isinstance(parameters, dict) and isinstance(properties, dict) and properties:
        yield f"type {tool.get('name')} = (_: {{"
        yield from _properties(parameters, 0)
        yield "}) => any;"
    else:
        yield f"type {tool.get('name')} = () => any;"
    yield ""


def _properties(schema: Mapping[str, Any], depth: int) -> Iterator[str]:
    required = schema.get("required")
    needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        field = inner if isinstance(inner, dict) else {}
        description = field.get("description")
        if isinstance(description, str) and description and depth < 2:  # noqa: PLR2004 - deeper ones are not shown
            yield f"// {description}"
        yield f"{name}{'' if name in needed else '?'}: {_type(field, depth)},"


def _type(schema: Mapping[str, Any], depth: int) -> str:
    kind, options = schema.get("type"), schema.get("enum")
    if depth > _DEEPEST:
        return "any"
    if isinstance(options, list) and options:
        return " | ".join(json.dumps(option, ensure_ascii=False) for option in options)
    if kind == "array":
        items = schema.get("items")
        return f"{_type(items, depth + 1)}[]" if isinstance(items, dict) else "any[]"
    if kind == "object":
        return "\n".join(("{", *_properties(schema, depth + 1), "}"))
    return _one_of(schema, kind, depth)


def _one_of(schema: Mapping[str, Any], kind: Any, depth: int) -> str:
    """Return a plain type, or the types that it may be."""
    several = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(several, list):
        return " | ".join(_type(option, depth + 1) for option in several if isinstance(option, dict))
    kinds = kind if isinstance(kind, list) else [kind]
    return " | ".join(_NAMED.get(one, "any") if isinstance(one, str) else "any" for one in kinds)
