"""`/v1/responses` of the simulated upstream: create, whole, streamed or in the background."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from gateway.sim.dice import Dice
from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, Json, json_answer, stream_answer
from gateway.sim.memory import Kept, Memory
from gateway.sim.reading import Setting, document, model_of, needed, objects, text_of, whole_number
from gateway.sim.response_events import response_events
from gateway.sim.script import Reply, Tool, Turn, reply
from gateway.sim.words import pieces

_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


@dataclass(frozen=True, slots=True)
class _Input:
    items: tuple[Json, ...]
    earlier: tuple[str, ...]


def create(asked: Asked, setting: Setting, memory: Memory) -> Answer:
    """Answer one request; keep the response unless the app said `store: false`."""
    body = document(asked)
    found = _input(body, memory)
    turn = _turn(body, found, setting.digest(asked))
    one = reply(turn)
    response = _response(body, turn, one, setting)
    background = body.get("background") is True
    ready_at = setting.now + turn.model.takes(one.tokens) if background else setting.now
    if background or body.get("store") is not False:
        memory.keep(Kept(response, (*turn.texts, one.text), found.items, ready_at))
    if body.get("stream") is True:
        return stream_answer(response_events(response, one, turn.model.gap), delay=turn.model.ttft)
    if background:
        return json_answer(unfinished(response, "queued"))
    return json_answer(response, delay=turn.model.takes(one.tokens))


def unfinished(response: Json, status: str) -> Json:
    """Return a response as it is before its end: without output and usage."""
    return response | {"status": status, "output": [], "usage": None, "incomplete_details": None, "completed_at": None}


def _input(body: Json, memory: Memory) -> _Input:
    given = needed(body, "input", (str, list))
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else objects(given)
    previous = body.get("previous_response_id")
    if previous is None:
        return _Input(tuple(items), ())
    kept = memory.find(str(previous))
    if kept is None:
        message = f"Previous response with id '{previous}' not found."
        raise Refused(400, message, param="previous_response_id", code="previous_response_not_found")
    return _Input(tuple(items), kept.texts)


def _turn(body: Json, found: _Input, digest: bytes) -> Turn:
    texts = tuple(_item_text(item) for item in found.items)
    said = [text for text, item in zip(texts, found.items, strict=True) if item.get("role") == "user"]
    last = found.items[-1] if found.items else {}
    start = (text_of(body["instructions"]),) if body.get("instructions") else ()
    return Turn(
        model=model_of(body),
        digest=digest,
        texts=start + found.earlier + texts,
        said=said[-1] if said else "",
        result=texts[-1] if last.get("type") == "function_call_output" else None,
        tools=tuple(_tools(body)),
        choice=_tool_choice(body.get("tool_choice")),
        schema=_schema(body.get("text")),
        limit=whole_number(body, "max_output_tokens"),
    )


def _item_text(item: Json) -> str:
    for field in ("content", "output", "arguments"):
        if item.get(field):
            return text_of(item[field])
    return ""


def _tools(body: Json) -> Iterator[Tool]:
    for tool in objects(body.get("tools")):
        if tool.get("type") == "function" and isinstance(tool.get("name"), str):
            yield Tool(tool["name"], tool.get("parameters") or {})


def _tool_choice(found: Any) -> str:
    if isinstance(found, dict):
        return str(found.get("name", "auto"))
    return found if isinstance(found, str) else "auto"


def _schema(found: Any) -> Json | None:
    wanted = found.get("format") if isinstance(found, dict) else None
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return None
    schema = wanted.get("schema")
    return schema if isinstance(schema, dict) else {"type": "object", "properties": {"answer": {"type": "string"}}}


def _response(body: Json, turn: Turn, one: Reply, setting: Setting) -> Json:
    echoed = {name: body.get(name, usual) if body.get(name) is not None else usual for name, usual in _ECHOED.items()}
    response = {
        "id": f"resp_{Dice(turn.digest).hexadecimal(48)}",
        "object": "response",
        "created_at": int(setting.now),
        "status": "incomplete" if one.cut else "completed",
        "completed_at": None if one.cut else int(setting.now + turn.model.takes(one.tokens)),
        "background": body.get("background") is True,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if one.cut else None,
        "model": turn.model.name,
        "output": [_item(turn, one)],
        "usage": _usage(turn.input_tokens, one.tokens),
    }
    return response | echoed | {"service_tier": "default"}


def _item(turn: Turn, one: Reply) -> Json:
    mark = Dice(turn.digest + b"item")
    if one.tool:
        call: Json = {"id": f"fc_{mark.hexadecimal(48)}", "type": "function_call", "status": "completed"}
        return call | {"call_id": f"call_{mark.mark()}", "name": one.tool, "arguments": one.text}
    part = {"type": "output_text", "text": one.text, "annotations": [], "logprobs": []}
    status = "incomplete" if one.cut else "completed"
    return {"id": f"msg_{mark.hexadecimal(48)}", "type": "message", "role": "assistant", "status": status, "content": [part]}


def _usage(asked: int, answered: int) -> Json:
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }


def retrieve(response_id: str, asked: Asked, setting: Setting, memory: Memory) -> Answer:
    """Answer with a kept response; in progress until its background work is done. As a stream, it waits for the end of that."""
    kept = _kept(response_id, memory)
    left = max(0.0, kept.ready_at - setting.now)
    if asked.query.get("stream") == "true" and kept.response["output"]:
        after = int(asked.query.get("starting_after", "-1"))
        events = response_events(kept.response, _said_again(kept.response), 0.0)
        return stream_answer(islice(events, after + 1, None), delay=left)
    return json_answer(unfinished(kept.response, "in_progress") if left else kept.response)


def _said_again(response: Json) -> Reply:
    item = response["output"][0]
    text = item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
    return Reply(tuple(pieces(text)), tool=item.get("name"))


def cancel(response_id: str, setting: Setting, memory: Memory) -> Answer:
    """Stop background work that is not done."""
    kept = _kept(response_id, memory)
    if not kept.response["background"]:
        raise Refused(400, "Cannot cancel a synchronous response.")
    if setting.now < kept.ready_at:
        kept = replace(kept, response=unfinished(kept.response, "cancelled"), ready_at=setting.now)
        memory.keep(kept)
    return json_answer(kept.response)


def delete(response_id: str, memory: Memory) -> Answer:
    """Forget a response."""
    _kept(response_id, memory)
    memory.forget(response_id)
    return json_answer({"id": response_id, "object": "response", "deleted": True})


def input_items(response_id: str, memory: Memory) -> Answer:
    """List what a response was asked with, the last first."""
    items = [_listed(response_id, place, item) for place, item in enumerate(_kept(response_id, memory).items)][::-1]
    ends = {"first_id": items[0]["id"] if items else None, "last_id": items[-1]["id"] if items else None}
    return json_answer({"object": "list", "data": items, **ends, "has_more": False})


def _listed(response_id: str, place: int, item: Json) -> Json:
    content = item.get("content")
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    return {"type": "message", "id": f"msg_{response_id[5:21]}{place:04x}", "status": "completed"} | item | {"content": parts}


def _kept(response_id: str, memory: Memory) -> Kept:
    kept = memory.find(response_id)
    if kept is None:
        raise Refused(404, f"Response with id '{response_id}' not found.")
    return kept
