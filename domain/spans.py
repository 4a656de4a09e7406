"""A finished call, fit to leave the process: what is stored, shown and sent.

`Span` and `Content` are values, but not frozen, for the reason that `domain.calls` gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from domain.calls import CallError, Outcome, ToolCall, Usage
from domain.decisions import Decision
from domain.exchange import Attempt, Labels

CostStatus = Literal["exact", "reported", "estimated", "free", "unknown", "none"]
ContentState = Literal["full", "redacted", "none", "cut"]
PICO_PER_USD = 10**12


@dataclass(slots=True)
class Content:
    """The bodies of a call, apart from the columns that lists need.

    `request` and `response` are the recorded bytes as they passed, unless redacted. `input` and `output` are the JSON values of
    `Call`. Headers are without credentials. `marks` is as in `Closing`. `input_is_body` and `output_is_body` are as in `Call`: they spare the
    store finding out, and are no part of the content.
    """

    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()
    request: bytes = b""
    response: bytes = b""
    input: Any = None
    output: Any = None
    marks: bytes = b""
    input_is_body: bool = field(default=False, repr=False, compare=False)
    output_is_body: bool = field(default=False, repr=False, compare=False)


@dataclass(slots=True)
class Span:
    """One finished call: priced, labelled, redacted. Times: Unix nanoseconds and milliseconds. Money: pico-USD, None is unknown.

    `decisions` are those of routes and rules. `mirror_of` is the id of the call that this one is a copy of. `params` are the few small settings of
    the request that platforms show (`temperature`, `max_tokens`, …; see `recorder.parameters`), by the names of the OpenTelemetry GenAI conventions.
    """

    id: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    project: str
    key: str
    key_name: str
    operation: str
    method: str
    path: str
    upstream: str
    model: str | None
    served_model: str | None
    stream: bool
    outcome: Outcome
    status: int | None
    error: CallError | None
    started_at: int
    latency_ms: float | None
    time_to_first_chunk_ms: float | None
    chunk_gap_mean_ms: float | None
    chunk_gap_max_ms: float | None
    overhead_ms: float | None
    usage: Usage | None
    cost: int | None
    cost_status: CostStatus
    price_ref: str | None
    labels: Labels
    attempts: tuple[Attempt, ...]
    tool_calls: tuple[ToolCall, ...]
    finish_reasons: tuple[str, ...]
    request_bytes: int
    response_bytes: int
    content: ContentState
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cost_lines: tuple[Mapping[str, Any], ...] = field(default=())
    response_id: str | None = None
    decisions: tuple[Decision, ...] = ()
    mirror_of: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


def as_json(span: Span) -> dict[str, Any]:
    """Return `span` as the public JSON of one call: nulls kept, money as decimal strings, times as RFC 3339 in UTC."""
    return {
        "id": span.id,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "project": span.project,
        "key": span.key_name,
        "operation": span.operation,
        "method": span.method,
        "path": span.path,
        "upstream": span.upstream,
        "model": span.model,
        "served_model": span.served_model,
        "stream": span.stream,
        "outcome": span.outcome,
        "status": span.status,
        "error": None if span.error is None else _error_json(span.error),
        "started_at": rfc3339(span.started_at),
        "latency_ms": span.latency_ms,
        "time_to_first_chunk_ms": span.time_to_first_chunk_ms,
        "chunk_gap_mean_ms": span.chunk_gap_mean_ms,
        "chunk_gap_max_ms": span.chunk_gap_max_ms,
        "overhead_ms": span.overhead_ms,
        "usage": None if span.usage is None else _usage_json(span.usage),
        "cost_usd": None if span.cost is None else usd(span.cost),
        "cost_status": span.cost_status,
        "price_ref": span.price_ref,
        "cost_lines": list(span.cost_lines),
        "labels": _labels_json(span.labels),
        "attempts": [_attempt_json(attempt) for attempt in span.attempts],
        "rules": [{"kind": one.kind, "rule": one.rule, "matched": one.matched, "why": one.why} for one in span.decisions],
        "deliveries": [],
        "tool_calls": [{"id": tool.id, "name": tool.name, "arguments": tool.arguments} for tool in span.tool_calls],
        "finish_reasons": list(span.finish_reasons),
        "response_id": span.response_id,
        "params": dict(span.params),
        "mirror_of": span.mirror_of,
        "changes": list(span.changes),
        "notes": list(span.notes),
        "request_bytes": span.request_bytes,
        "response_bytes": span.response_bytes,
        "content": span.content,
    }


def _error_json(error: CallError) -> dict[str, Any]:
    return {"type": error.type, "code": error.code, "message": error.message}


def _labels_json(labels: Labels) -> dict[str, Any]:
    return {
        "session": labels.session,
        "run": labels.run,
        "section": labels.section,
        "customer": labels.customer,
        "user": labels.user,
        "env": labels.env,
        "release": labels.release,
        "prompt": labels.prompt,
        "tags": dict(labels.tags),
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "upstream": attempt.upstream,
        "credential": attempt.credential,
        "status": attempt.status,
        "started_at": rfc3339(attempt.at),
        "first_byte_ms": None if attempt.first_byte_us is None else attempt.first_byte_us / 1000,
        "error": attempt.error,
        "model": attempt.model,
    }


def _usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "source": usage.source,
        "flags": list(usage.flags),
        "raw": usage.raw,
    }


def usd(pico: int) -> str:
    """Return an amount in pico-USD as a decimal string in US dollars, without trailing zeros: 333000000 is "0.000333"."""
    return format((Decimal(pico) / PICO_PER_USD).normalize(), "f")


def rfc3339(at: int) -> str:
    """Return Unix nanoseconds as RFC 3339 in UTC, to the microsecond."""
    seconds, nanoseconds = divmod(at, 10**9)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{nanoseconds // 1000:06d}Z"
