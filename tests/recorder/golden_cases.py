"""Golden cases: a request, an answer as it stands on the wire, and what the call must be. One JSON file each, in `golden/<api>/`."""

import dataclasses
import json
from pathlib import Path

from domain.calls import Usage
from domain.exchange import Exchange
from tests.recorder.exchanges import closing, opening

FOLDER = Path(__file__).parent / "golden"
APIS = ("chat", "completions", "embeddings", "generic", "moderations", "responses")
PATHS = sorted(path for api in APIS for path in (FOLDER / api).glob("*.json"))


def exchange_of(case):
    """Return the exchange that a case describes."""
    body, media_type = _answer(case)
    request = b"" if case.get("request") is None else json.dumps(case["request"]).encode()
    return Exchange(
        opening(
            path=case.get("path", "/v1/chat/completions"),
            method=case.get("method", "POST"),
            dialect=case.get("dialect", "openai"),
            **case.get("opening", {}),
        ),
        closing(
            ending=case.get("ending", "complete"),
            status=case.get("status", 200),
            response_headers=(("Content-Type", media_type),),
        ),
        request,
        body,
    )


def _answer(case):
    if "sse" in case:
        return b"".join(_event(item) for item in case["sse"]), "text/event-stream; charset=utf-8"
    if "raw" in case:
        return case["raw"].encode(), case.get("content_type", "text/event-stream")
    if "text" in case:
        return case["text"].encode(), case.get("content_type", "application/json")
    return json.dumps(case["response"]).encode(), "application/json"


def _event(item):
    if isinstance(item, str):
        return f"data: {item}\n\n".encode()
    if isinstance(item, list):
        return f"event: {item[0]}\ndata: {json.dumps(item[1])}\n\n".encode()
    if set(item) == {"comment"}:
        return f": {item['comment']}\n\n".encode()
    return f"data: {json.dumps(item)}\n\n".encode()


def found(call, path):
    """Return what stands at a dotted path of a call, as JSON would have it."""
    value = call
    for name in path.split("."):
        if dataclasses.is_dataclass(value):
            value = getattr(value, name)
        else:
            value = value[int(name)] if isinstance(value, list | tuple) else value[name]
    return plain(value)


def plain(value):
    if isinstance(value, Usage):
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name not in {"raw", "source"}}
        return {
            name: plain(item)
            for name, item in given.items()
            if item not in (None, (), {}, False) or (item == 0 and item is not False)
        }
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)


def exchange(request=b"", response=b"", path="/v1/chat/completions", method="POST", closed=True, **changes):
    end = closing(**({"response_headers": JSON} | changes)) if closed else None
    return Exchange(opening(path=path, method=method), end, request, response)


def chunk(delta, finish=None, **top):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **top}


def sse(*chunks):
    return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in chunks) + b"data: [DONE]\n\n"
