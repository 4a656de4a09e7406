"""Spans for tests of the dashboard."""

from dataclasses import replace

from domain.exchange import Labels
from domain.ids import new_id
from domain.spans import Content, Span

AT = 1_767_225_600_000_000_000


def span(index=0, **changes):
    at = AT + index * 1_000_000_000
    made = Span(
        id=new_id(at),
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_span_id=None,
        project="default",
        key="k1",
        key_name="ci",
        operation="chat",
        method="POST",
        path="/v1/chat/completions",
        upstream="openai",
        model="gpt-4o",
        served_model=None,
        stream=False,
        outcome="ok",
        status=200,
        error=None,
        started_at=at,
        latency_ms=10.0 + index,
        time_to_first_chunk_ms=None,
        chunk_gap_mean_ms=None,
        chunk_gap_max_ms=None,
        overhead_ms=None,
        usage=None,
        cost=None,
        cost_status="unknown",
        price_ref=None,
        labels=Labels(),
        attempts=(),
        tool_calls=(),
        finish_reasons=(),
        request_bytes=2,
        response_bytes=2,
        content="full",
    )
    return replace(made, **changes)


def content(**changes):
    made = Content(
        request_headers=(("Content-Type", "application/json"),),
        response_headers=(("Content-Type", "application/json"),),
        request=b'{"a":1}',
        response=b'{"b":2}',
        input={"a": 1},
        output={"b": 2},
    )
    return replace(made, **changes)
