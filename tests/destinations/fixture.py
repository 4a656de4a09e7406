"""One call for all destinations: the record of ../shared/reference/destinations.md section 2, and its variants."""

import json
from dataclasses import replace
from typing import Any

from domain.calls import CallError, ToolCall, Usage
from domain.destinations import Parcel
from domain.exchange import Attempt, Labels
from domain.spans import Content, Span

CALL_ID = "01a1fb6b6ecb7081b4643563a4558808"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
STARTED_AT = 1_795_215_600_000_000_000  # 2026-11-20T23:00:00Z
ENDED_AT = STARTED_AT + 1_234_000_000
BATCH = "5f0c" * 8
IMAGE_URL = "https://example.com/p.png"
QUESTION = "Weather in Paris?"
REASONING = "User wants weather"

REQUEST: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You are terse."},
        {
            "role": "user",
            "content": [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": IMAGE_URL}}],
        },
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather in a city",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ],
    "temperature": 0.2,
    "max_tokens": 256,
}
RAW_USAGE: dict[str, Any] = {
    "prompt_tokens": 1200,
    "completion_tokens": 80,
    "total_tokens": 1280,
    "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 32},
}
RESPONSE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1795215600,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": REASONING,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": RAW_USAGE,
}


def fixture_span() -> Span:
    """Return the call: with an image in, a tool call out, cached and reasoning tokens, and what each of them cost."""
    return Span(
        id=CALL_ID,
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=None,
        project="search",
        key="key_7",
        key_name="team-search",
        operation="chat",
        method="POST",
        path="/v1/chat/completions",
        upstream="openai",
        model="gpt-4o-mini",
        served_model="gpt-4o-mini-2024-07-18",
        stream=False,
        outcome="ok",
        status=200,
        error=None,
        started_at=STARTED_AT,
        latency_ms=1234.0,
        time_to_first_chunk_ms=410.0,
        chunk_gap_mean_ms=None,
        chunk_gap_max_ms=None,
        overhead_ms=0.7,
        usage=Usage(
            input_tokens=1200,
            cache_read_tokens=1024,
            cache_write_tokens=16,
            output_tokens=80,
            reasoning_tokens=32,
            raw=RAW_USAGE,
        ),
        cost=333_000_000,
        cost_status="exact",
        price_ref="genai-prices/openai/gpt-4o-mini",
        labels=Labels(
            session="sess-1",
            section="agent:researcher",
            customer="cust-1",
            user="user-1",
            env="prod",
            release="2026.11",
            prompt="weather@3",
            tags={"prod": "true", "gw": "true", "team": "search"},
        ),
        attempts=(Attempt("openai", "1", STARTED_AT, 200, 410_000, sent=True),),
        tool_calls=(ToolCall("call_1", "get_weather", '{"city":"Paris"}'),),
        finish_reasons=("tool_calls",),
        request_bytes=len(json.dumps(REQUEST)),
        response_bytes=len(json.dumps(RESPONSE)),
        content="full",
        cost_lines=(
            {"unit": "input", "quantity": 160, "usd_per_million": "0.15", "cost_usd": "0.000024", "model": "gpt-4o-mini"},
            {"unit": "cache_read", "quantity": 1024, "usd_per_million": "0.075", "cost_usd": "0.0000768", "model": "gpt-4o-mini"},
            {"unit": "cache_write", "quantity": 16, "usd_per_million": "0.6375", "cost_usd": "0.0000102", "model": "gpt-4o-mini"},
            {"unit": "output", "quantity": 48, "usd_per_million": "2.775", "cost_usd": "0.0001332", "model": "gpt-4o-mini"},
            {"unit": "reasoning", "quantity": 32, "usd_per_million": "2.775", "cost_usd": "0.0000888", "model": "gpt-4o-mini"},
        ),
        response_id="chatcmpl-1",
        params={"temperature": 0.2, "max_tokens": 256},
    )


def fixture_content() -> Content:
    """Return the bodies of the call."""
    return Content(
        request_headers=(("content-type", "application/json"), ("authorization", "***")),
        response_headers=(("content-type", "application/json"),),
        request=json.dumps(REQUEST).encode(),
        response=json.dumps(RESPONSE).encode(),
        input=json.loads(json.dumps(REQUEST)),
        output=json.loads(json.dumps(RESPONSE)),
    )


def parcel(span: Span | None = None, content: Content | None = None) -> Parcel:
    """Return a parcel: of the call where nothing is said. A span without a content gets none."""
    server = ("api.openai.com", 443)
    return Parcel(fixture_span(), fixture_content(), server=server) if span is None else Parcel(span, content, server=server)


def error_variant() -> Parcel:
    """Return the call as it was refused: status 429, no usage, no cost."""
    body = {"error": {"message": "429 rate limited", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
    span = replace(
        fixture_span(),
        served_model=None,
        outcome="error",
        status=429,
        error=CallError("rate_limit_error", "rate_limit_exceeded", "429 rate limited"),
        latency_ms=500.0,
        time_to_first_chunk_ms=None,
        usage=None,
        cost=None,
        cost_status="none",
        price_ref=None,
        cost_lines=(),
        tool_calls=(),
        finish_reasons=(),
        response_id=None,
    )
    content = replace(fixture_content(), response=json.dumps(body).encode(), output=body)
    return parcel(span, content)


def streamed_variant() -> Parcel:
    """Return the call as it was streamed."""
    span = replace(fixture_span(), stream=True, chunk_gap_mean_ms=20.0, chunk_gap_max_ms=90.0)
    request = {**REQUEST, "stream": True}
    content = replace(
        fixture_content(), request=json.dumps(request).encode(), input=request, response=b"data: {}\n\ndata: [DONE]\n\n"
    )
    return parcel(span, content)


def bare_variant() -> Parcel:
    """Return a call of which hardly anything is known: its gate was killed before it was answered."""
    span = replace(
        fixture_span(),
        model=None,
        served_model=None,
        operation="unknown",
        outcome="interrupted",
        status=None,
        latency_ms=None,
        time_to_first_chunk_ms=None,
        overhead_ms=None,
        usage=None,
        cost=None,
        cost_status="unknown",
        price_ref=None,
        labels=Labels(),
        attempts=(),
        tool_calls=(),
        finish_reasons=(),
        request_bytes=0,
        response_bytes=0,
        content="none",
        cost_lines=(),
        response_id=None,
        params={},
    )
    return Parcel(span, None)


def many(count: int) -> list[Parcel]:
    """Return `count` parcels that differ in their ids and times only."""
    return [
        parcel(
            replace(
                fixture_span(),
                id=f"{int(CALL_ID, 16) + number:032x}",
                span_id=f"{int(SPAN_ID, 16) + number:016x}",
                trace_id=f"{int(TRACE_ID, 16) + number:032x}",
                started_at=STARTED_AT + number * 1_000_000,
            ),
            fixture_content(),
        )
        for number in range(count)
    ]


def hostile() -> list[Parcel]:
    """Return calls whose contents are anything that JSON, an app or a provider can come up with."""
    values: list[Any] = [
        *(None, True, -1, 1e308, 2**70, "", "\0", "\ud800 lone", [], {}, [[[]]], "x" * 100_000),
        {"messages": None},
        {"messages": "text"},
        {"messages": {"role": "user"}},
        {"messages": [None, 1, "text", [], {}, {"role": 7}, {"role": "user", "content": {"a": [1]}}]},
        {"messages": [{"role": "user", "content": [None, 3, "t", [], {"type": None}, {"type": "image_url", "image_url": 4}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 9}}, {"type": "input_audio"}]}]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [None, 1, {}, {"function": "x"}, {"function": {"arguments": {"a": 1}}}]}
            ]
        },
        {"messages": [{"role": "tool", "tool_call_id": {"x": 1}, "content": 3}], "tools": [None, 1, {}, {"function": 3}]},
        {"tools": {"a": 1}, "system": [1, None, {"type": "text"}], "input": [None, 2, {"type": 5}, {"type": "message"}]},
        {"contents": [None, {"parts": None}, {"parts": [None, 1, {"functionCall": 2}, {"inlineData": 3}, {"text": 4}]}]},
        {"choices": [None, 1, {"message": None}, {"message": {"content": 5}}, {"text": 7}], "output": [None, {"content": 4}]},
        {"candidates": [None, {"content": None}, {"content": {"parts": [None]}}], "content": [None, 3, {"type": []}]},
        {"\ud800key": "\udfff", "a\0b": "c\0d", "messages": [{"role": "\ud800", "content": "\udc00\0"}]},
        _deep(200),
    ]
    odd_labels = Labels(
        session="s\0\ud800",
        user="\u202euser\n\r",
        env="x" * 4_000,
        release="\x7f",
        prompt="\ud83d",
        tags={f"tag\0{number}\ud800": "v" * 500 for number in range(64)},
    )
    odd = replace(
        fixture_span(),
        model="m\0\ud800" + "x" * 1_000,
        labels=odd_labels,
        error=CallError("\ud800", None, "bad\0\ud800" * 50),
        outcome="error",
        usage=Usage(input_tokens=2**70, output_tokens=-5, cache_read_tokens=9, raw=_deep(50)),
        cost=2**63 - 1,
        cost_lines=({"unit": "\ud800", "cost_usd": "NaN"}, {"cost_usd": None}, {"unit": "input", "cost_usd": "1e999"}, {}),
        params={"temperature": float("nan"), "max_tokens": 2**80, "stop_sequences": ["\ud800", "\0"], "odd": {"a": 1}},
        finish_reasons=("\ud800", ""),
        tool_calls=(ToolCall(None, None, ""), ToolCall("\0", "\ud800", "{")),
        latency_ms=1e12,
        time_to_first_chunk_ms=-1.0,
        operation="o\ud800",
        upstream="\ud800",
        parent_span_id="00f067aa0ba902b7",
    )
    plain = [
        parcel(fixture_span(), replace(fixture_content(), input=value, output=other, request=b"\xff\0", response=b""))
        for value, other in zip(values, [*values[1:], values[0]], strict=True)
    ]
    return [*plain, *(parcel(replace(odd, operation=one), fixture_content()) for one in ("chat", "o\ud800", "embeddings", ""))]


def _deep(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = {"messages": [value]}
    return value
