"""`POST /v1/chat/completions` of the simulated upstream."""

from collections.abc import Iterator
from typing import Any

from gateway.sim.dice import Dice
from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, Event, Json, encoded, json_answer, stream_answer, unnamed_event
from gateway.sim.reading import Setting, document, model_of, needed, objects, text_of, whole_number
from gateway.sim.script import Reply, Tool, Turn, reply

_MOST_CHOICES = 128


def chat(asked: Asked, setting: Setting) -> Answer:
    """Answer one chat, whole or as a stream."""
    body = document(asked)
    turn = turn_of(body, setting.digest(asked))
    replies = [reply(turn, index) for index in range(whole_number(body, "n", most=_MOST_CHOICES) or 1)]
    head = _head(turn, setting)
    usage = usage_of(turn.input_tokens, sum(one.tokens for one in replies))
    if body.get("stream") is True:
        events = _events(head, replies, turn, usage if _asks_usage(body) else None)
        return stream_answer(events, delay=turn.model.ttft)
    whole = head | {
        "object": "chat.completion",
        "choices": [_choice(index, one, turn) for index, one in enumerate(replies)],
        "usage": usage,
    }
    return json_answer(whole, delay=turn.model.takes(max(one.tokens for one in replies)))


def turn_of(body: Json, digest: bytes) -> Turn:
    """Return what the model was asked."""
    model = model_of(body)
    messages = objects(needed(body, "messages", list))
    if not messages:
        raise Refused(
            400, "Invalid 'messages': empty array. Expected at least one message.", param="messages", code="empty_array"
        )
    texts = tuple(text_of(message.get("content")) for message in messages)
    said = [text for text, message in zip(texts, messages, strict=True) if message.get("role") == "user"]
    return Turn(
        model=model,
        digest=digest,
        texts=texts,
        said=said[-1] if said else "",
        result=texts[-1] if messages[-1].get("role") in ("tool", "function") else None,
        tools=tuple(_tools(body)),
        choice=_tool_choice(body.get("tool_choice")),
        schema=_schema(body.get("response_format")),
        limit=whole_number(body, "max_completion_tokens", "max_tokens"),
    )


def usage_of(asked: int, answered: int) -> Json:
    """Return usage as the chat and completions APIs report it."""
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _tools(body: Json) -> Iterator[Tool]:
    for tool in objects(body.get("tools")):
        function = tool.get(str(tool.get("type")), {})
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield Tool(function["name"], function.get("parameters") or {})


def _tool_choice(found: Any) -> str:
    if isinstance(found, dict):
        return str(found.get("function", {}).get("name", "auto"))
    return found if isinstance(found, str) else "auto"


def _schema(found: Any) -> Json | None:
    """Return the schema that the answer must fit."""
    if not isinstance(found, dict) or found.get("type") in (None, "text"):
        return None
    if found["type"] == "json_schema":
        schema = found.get("json_schema", {}).get("schema")
        return schema if isinstance(schema, dict) else {"type": "object"}
    return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def _asks_usage(body: Json) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _head(turn: Turn, setting: Setting) -> Json:
    return {
        "id": f"chatcmpl-{Dice(turn.digest).mark(29)}",
        "created": int(setting.now),
        "model": turn.model.name,
        "service_tier": "default",
        "system_fingerprint": f"fp_{setting.seed:010x}",
    }


def _choice(index: int, one: Reply, turn: Turn) -> Json:
    message: Json = {"role": "assistant", "content": None if one.tool else one.text, "refusal": None, "annotations": []}
    if one.tool:
        message["tool_calls"] = [{"id": _call_id(turn, index), **_function(one.tool, one.text)}]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(one)}


def _events(head: Json, replies: list[Reply], turn: Turn, usage: Json | None) -> Iterator[Event]:
    """Yield the chunks: usage, if it was asked for, in a last one without choices, and null in all before it."""
    head = head | {"object": "chat.completion.chunk"}
    extra = {"usage": None} if usage is not None else {}
    for index, one in enumerate(replies):
        for delta, finish in _deltas(index, one, turn):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield unnamed_event(head | {"choices": [choice]} | extra, 0.0 if finish or "role" in delta else turn.model.gap)
    if usage is not None:
        yield unnamed_event(head | {"choices": [], "usage": usage})
    yield Event(b"data: [DONE]\n\n")


def _deltas(index: int, one: Reply, turn: Turn) -> Iterator[tuple[Json, str | None]]:
    first: Json = {"role": "assistant", "content": None if one.tool else "", "refusal": None}
    if one.tool:
        first["tool_calls"] = [{"index": 0, "id": _call_id(turn, index), **_function(one.tool, "")}]
    yield first, None
    for piece in one.pieces:
        yield ({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} if one.tool else {"content": piece}), None
    yield {}, _finish(one)


def _function(name: str, arguments: str) -> Json:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def _call_id(turn: Turn, index: int) -> str:
    return f"call_{Dice(turn.digest + encoded(index)).mark()}"


def _finish(one: Reply) -> str:
    return "tool_calls" if one.tool else "length" if one.cut else "stop"
