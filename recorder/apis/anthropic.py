"""Anthropic's Messages API: messages (plain and streamed), token counts, message batches and their results.

Source: https://docs.anthropic.com/en/api/messages.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from domain.calls import Call, ToolCall, Usage
from pricing.usage.anthropic import usage_of
from recorder.apis.anthropic_stream import streamed_message
from recorder.apis.binary import without_binary
from recorder.apis.jsonl import Line, batch_usage, lines_of, summary_of
from recorder.apis.reading import Api, Reading, text_of


def read_message(reading: Reading) -> Call:
    """Read an answer of `POST /v1/messages`."""
    return _streamed(reading) if reading.streamed else _call(reading, reading.answered, usage_of(reading.answered.get("usage")))


def read_vertex_message(reading: Reading) -> Call:
    """Read an answer of Google's Vertex AI, where Claude is called with the same bodies and the model stands in the path."""
    found = _VERTEX_MODEL.search(reading.path)
    return replace(read_message(reading), model=unquote(found[1]) if found else reading.model)


def _streamed(reading: Reading) -> Call:
    stream = streamed_message(reading.events)
    message = stream.message() or {}
    usage = usage_of(message.get("usage"))
    if usage is not None and not stream.counted:
        # what message_start says of the output is what was ready when it was sent, not what was billed
        usage = replace(usage, output_tokens=None, flags=(*usage.flags, "incomplete"))
    call = _call(reading, message, usage, stream.arguments())
    notes = tuple(f"unknown event or delta: {kind}" for kind in sorted(stream.unknown)[:8])
    return replace(call, stream=True, error=stream.error, notes=notes)


def _call(reading: Reading, message: dict[str, Any], usage: Usage | None, arguments: Mapping[int, str] | None = None) -> Call:
    reason = text_of(message.get("stop_reason"))
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(message.get("model")),
        usage=usage,
        input=without_binary(reading.input),
        output=without_binary(message) or None,
        tool_calls=_tool_calls(message.get("content"), arguments or {}),
        finish_reasons=(reason,) if reason else (),
        response_id=text_of(message.get("id")),
    )


def _tool_calls(content: Any, arguments: Mapping[int, str]) -> tuple[ToolCall, ...]:
    """Return the tools that the blocks of `content` ask for: the app's, and those that run at the provider's."""
    found = []
    for place, block in enumerate(content if isinstance(content, list) else ()):
        kind = block.get("type") if isinstance(block, dict) else None
        if isinstance(kind, str) and kind.endswith("tool_use"):
            written = arguments.get(place)
            if written is None:
                written = json.dumps(block.get("input", {}), ensure_ascii=False, separators=(",", ":"))
            found.append(ToolCall(text_of(block.get("id")), text_of(block.get("name")), written))
    return tuple(found)


def read_object(reading: Reading) -> Call:
    """Read an answer that is a plain object and is not billed: token counts, batches."""
    answer = reading.answered
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        input=without_binary(reading.input),
        output=reading.response,
        response_id=text_of(answer.get("id")),
    )


def read_results(reading: Reading) -> Call:
    """Read the results of a batch: one JSON object on each line. Each message in it is billed, at the batch's price."""
    lines = [_line(value) for value in lines_of(reading.text)]
    return Call(
        operation=reading.operation,
        outcome="ok",
        usage=batch_usage(lines, reading),
        output=summary_of(lines, reading),
        response_id=reading.path.removesuffix("/results").rpartition("/")[2],
    )


def _line(value: Any) -> Line:
    result = value.get("result") if isinstance(value, dict) else None
    result = result if isinstance(result, dict) else {}
    message = result.get("message")
    message = message if isinstance(message, dict) else {}
    return Line(
        status=text_of(result.get("type")) or "unknown",
        model=text_of(message.get("model")),
        usage=usage_of(message.get("usage"), batch=True),
    )


_VERTEX_MODEL = re.compile(r"([^/]+):\w+$")
# `v1/` stays in the patterns: OpenAI's threads have messages too, behind other paths
_BATCH = r"v1/messages/batches(?:/[^/]+(?:/cancel)?)?"

APIS: tuple[Api, ...] = (
    Api("chat", "v1/messages", read_message, dialects=("anthropic",)),
    Api(
        "chat",
        r"publishers/anthropic/models/[^/]+:(?:raw|streamRaw)Predict",
        read_vertex_message,
        dialects=("anthropic", "gemini"),
    ),
    Api("count_tokens", "v1/messages/count_tokens", read_object, dialects=("anthropic",)),
    Api("batches", r"v1/messages/batches/[^/]+/results", read_results, methods=("GET",), dialects=("anthropic",)),
    Api("batches", _BATCH, read_object, methods=("GET", "POST", "DELETE"), dialects=("anthropic",)),
)
