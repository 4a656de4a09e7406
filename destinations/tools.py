"""Definitions of tools, in every API's shape, flat as the GenAI conventions have them."""

from collections.abc import Mapping
from typing import Any


def tools_in(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tools that a request offers: `{"type", "name", "description", "parameters"}`, as far as they are said."""
    found = asked.get("tools")
    if isinstance(found, list):
        return [tool for one in found if isinstance(one, dict) for tool in _flat(one)]
    bedrock = asked.get("toolConfig")
    inner = bedrock.get("tools") if isinstance(bedrock, dict) else asked.get("functions")
    return [tool for one in inner if isinstance(one, dict) for tool in _flat(one)] if isinstance(inner, list) else []


def _flat(tool: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one entry of `tools` as flat definitions; one of Gemini's holds several."""
    declared = tool.get("functionDeclarations", tool.get("function_declarations"))
    if isinstance(declared, list):
        return [_definition(one, one) for one in declared if isinstance(one, dict)]
    for name in ("function", "custom", "toolSpec"):
        if isinstance(tool.get(name), dict):
            return [_definition(tool[name], tool)]
    return [_definition(tool, tool)]


def _definition(inner: Mapping[str, Any], tool: Mapping[str, Any]) -> dict[str, Any]:
    kind, name = tool.get("type"), inner.get("name")
    made: dict[str, Any] = {"type": kind if isinstance(kind, str) else "function"}
    if isinstance(name, str):
        made["name"] = name
    if isinstance(inner.get("description"), str):
        made["description"] = inner["description"]
    parameters = next(
        (inner[one] for one in ("parameters", "input_schema", "parametersJsonSchema", "inputSchema") if one in inner), None
    )
    if isinstance(parameters, dict):
        made["parameters"] = parameters.get("json", parameters)
    return made
