"""`POST /v1/messages` and `/v1/messages/count_tokens` of the simulated upstream, in Anthropic's shape."""

import json
from collections.abc import Iterator
from typing import Any

from gateway.sim.dice import Dice
from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, Event, Json, json_answer, named_event, stream_answer
from gateway.sim.reading import Setting, document, model_of, needed, objects, text_of, whole_number
from gateway.sim.script import Reply, Tool, Turn, reply

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def messages(asked: Asked, setting: Setting) -> Answer:
    """Answer one conversation, whole or as a stream."""
    body = document(asked)
    if whole_number(body, "max_tokens") is None:
        raise Refused(400, "max_tokens: Field required")
    turn = _turn(body, setting.digest(asked))
    one = reply(turn)
    if body.get("stream") is True:
        return stream_answer(_events(turn, one), delay=turn.model.ttft)
    return json_answer(_message(turn, one), delay=turn.model.takes(one.tokens))


def count_tokens(asked: Asked, setting: Setting) -> Answer:
    """Answer how many tokens a conversation has, without answering it."""
    return json_answer({"input_tokens": _turn(document(asked), setting.digest(asked)).input_tokens})


def _turn(body: Json, digest: bytes) -> Turn:
    model = model_of(body)
    found = objects(needed(body, "messages", list))
    if not found:
        raise Refused(400, "messages: at least one message is required")
    texts = tuple(text_of(message.get("content")) for message in found)
    said = [text for text, message in zip(texts, found, strict=True) if message.get("role") == "user"]
    start = (text_of(body["system"]),) if body.get("system") else ()
    return Turn(
        model=model,
        digest=digest,
        texts=start + texts,
        said=said[-1] if said else "",
        result=_result(found[-1]),
        tools=tuple(_tools(body)),
        choice=_tool_choice(body.get("tool_choice")),
        schema=_schema(body),
        limit=whole_number(body, "max_tokens"),
    )


def _result(message: Json) -> str | None:
    results = [block for block in objects(message.get("content")) if block.get("type") == "tool_result"]
    return text_of(results[-1].get("content", "")) if results else None


def _tools(body: Json) -> Iterator[Tool]:
    for tool in objects(body.get("tools")):
        if isinstance(tool.get("name"), str) and isinstance(tool.get("input_schema"), dict):
            yield Tool(tool["name"], tool["input_schema"])


def _tool_choice(found: Any) -> str:
    if not isinstance(found, dict):
        return "auto"
    return _CHOICES.get(str(found.get("type")), str(found.get("name", "auto")))


def _schema(body: Json) -> Json | None:
    """Return the schema of a structured output, in its present place or its first one."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else body.get("output_format")
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def _message(turn: Turn, one: Reply) -> Json:
    block: Json = {"type": "text", "text": one.text}
    if one.tool:
        block = _tool_block(turn, one.tool) | {"input": json.loads(one.text)}
    stop = {"stop_reason": _stop_reason(one), "stop_sequence": None}
    return _head(turn) | {"content": [block]} | stop | {"usage": _usage(turn.input_tokens, one.tokens)}


def _events(turn: Turn, one: Reply) -> Iterator[Event]:
    head = _head(turn) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(turn.input_tokens, 1)}
    yield named_event({"type": "message_start", "message": head})
    block: Json = _tool_block(turn, one.tool) | {"input": {}} if one.tool else {"type": "text", "text": ""}
    yield named_event({"type": "content_block_start", "index": 0, "content_block": block})
    yield named_event({"type": "ping"})
    for piece in one.pieces:
        delta = {"type": "input_json_delta", "partial_json": piece} if one.tool else {"type": "text_delta", "text": piece}
        yield named_event({"type": "content_block_delta", "index": 0, "delta": delta}, turn.model.gap)
    yield named_event({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": _stop_reason(one), "stop_sequence": None}
    yield named_event({"type": "message_delta", "delta": end, "usage": {"output_tokens": one.tokens}})
    yield named_event({"type": "message_stop"})


def _head(turn: Turn) -> Json:
    return {"id": f"msg_01{Dice(turn.digest).mark(22)}", "type": "message", "role": "assistant", "model": turn.model.name}


def _tool_block(turn: Turn, name: str) -> Json:
    return {"type": "tool_use", "id": f"toolu_01{Dice(turn.digest + b'tool').mark(22)}", "name": name}


def _usage(asked: int, answered: int) -> Json:
    return {
        "input_tokens": asked,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answered,
        "service_tier": "standard",
    }


def _stop_reason(one: Reply) -> str:
    return "tool_use" if one.tool else "max_tokens" if one.cut else "end_turn"
