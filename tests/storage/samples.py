"""Calls as the recorder hands them to the store; only what matters to a test is spelled out there."""

import json
import uuid

from domain.calls import Usage
from domain.exchange import Attempt, Labels
from domain.ids import span_id_for
from domain.spans import Content, Span

SECOND = 10**9
BEGIN = 1_760_000_000 * SECOND


def a_span(number: int = 0, *, labels: Labels | None = None, **values) -> Span:
    """Return a call that began `number` seconds after the first."""
    at = values.pop("started_at", BEGIN + number * SECOND)
    call_id = values.pop("id", None) or uuid.uuid4().hex
    defaults = {
        "trace_id": call_id,
        "span_id": span_id_for(call_id),
        "parent_span_id": None,
        "project": "default",
        "key": "k1",
        "key_name": "ci",
        "operation": "chat",
        "method": "POST",
        "path": "/v1/chat/completions",
        "upstream": "openai",
        "model": "gpt-4o-mini",
        "served_model": "gpt-4o-mini-2024-07-18",
        "stream": False,
        "outcome": "ok",
        "status": 200,
        "error": None,
        "latency_ms": 1234.5,
        "time_to_first_chunk_ms": 410.25,
        "chunk_gap_mean_ms": None,
        "chunk_gap_max_ms": None,
        "overhead_ms": 0.4,
        "usage": Usage(input_tokens=1200, cache_read_tokens=1024, output_tokens=80, raw={"prompt_tokens": 1200}),
        "cost": 333_000_000,
        "cost_status": "exact",
        "price_ref": "genai-prices 0.0.40",
        "attempts": (Attempt("openai", "1", at, 200, 405_000),),
        "tool_calls": (),
        "finish_reasons": ("stop",),
        "request_bytes": 812,
        "response_bytes": 1530,
        "content": "full",
    }
    return Span(id=call_id, started_at=at, labels=labels or Labels(), **{**defaults, **values})


def a_content(text: str = "Say hello.", answer: str = "Hello!") -> Content:
    """Return the bodies of a plain call, `output` and `input` being their JSON."""
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "temperature": 0.5}
    answered = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}]}
    return Content(
        request_headers=(("Host", "api.openai.com"), ("content-type", "application/json"), ("authorization", "***")),
        response_headers=(("Content-Type", "application/json"), ("set-cookie", "a=1"), ("set-cookie", "b=2")),
        request=json.dumps(asked).encode(),
        response=json.dumps(answered, indent=2).encode(),
        input=asked,
        output=answered,
        marks=b"\x10\x27\x00\x00\x00\x01\x00\x00",
    )
