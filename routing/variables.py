"""The variables of rules, searches and alerts: flat, typed, and the same in all places.

Those of routes, which are asked before a call is sent, are in `routing.routes`; where both have a name, it means the same.

A value that is not known is null. Null may be compared by `==` and `!=`; anything else asked of it (`cost_usd > 0.05` where the cost
is unknown) cannot be evaluated, and so does not match. A tag that is not there cannot be evaluated at all; `has(tags.team)` asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from domain.calls import Outcome
from domain.events import Event, Severity
from domain.spans import PICO_PER_USD, CostStatus, Span

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: its CEL type, what it means, how it is read from a span, and a value to check expressions with. `values`: all that it can be, if few."""

    type: str
    meaning: str
    read: Callable[[Span], Any]
    sample: Any
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventVariable:
    """One variable of an event: as `Variable`."""

    type: str
    meaning: str
    read: Callable[[Event], Any]
    sample: Any
    values: tuple[str, ...] = ()


def _started(span: Span) -> datetime:
    return EPOCH + timedelta(microseconds=span.started_at // 1000)


def _text(meaning: str, read: Callable[[Span], str | None], sample: str = "text") -> Variable:
    return Variable("string", meaning, read, sample)


def _one_of(meaning: str, read: Callable[[Span], str | None], values: tuple[str, ...]) -> Variable:
    return Variable("string", f"{meaning}: {', '.join(values[:-1])} or {values[-1]}", read, values[0], values)


def _count(meaning: str, read: Callable[[Span], int | None]) -> Variable:
    return Variable("int", meaning, read, 1)


def _amount(meaning: str, read: Callable[[Span], float | None]) -> Variable:
    return Variable("double", meaning, read, 1.5)


def _usage(name: str) -> Callable[[Span], int | None]:
    def read(span: Span) -> int | None:
        return None if span.usage is None else getattr(span.usage, name)

    return read


VARIABLES: dict[str, Variable] = {
    "id": _text("the call's id", lambda span: span.id),
    "trace_id": _text("the trace it belongs to", lambda span: span.trace_id),
    "model": _text("the model that was asked for", lambda span: span.model, "gpt-4o"),
    "served_model": _text("the model that answered", lambda span: span.served_model, "gpt-4o-2024-08-06"),
    "upstream": _text("the upstream that answered", lambda span: span.upstream, "openai"),
    "operation": _text("chat, responses, embeddings, …", lambda span: span.operation, "chat"),
    "outcome": _one_of("how the call ended", lambda span: span.outcome, get_args(Outcome)),
    "status": _count("the status of the answer", lambda span: span.status),
    "stream": Variable("bool", "whether the answer was streamed", lambda span: span.stream, sample=True),
    "method": _text("the request's method", lambda span: span.method, "POST"),
    "path": _text("the request's path and query", lambda span: span.path, "/v1/chat/completions"),
    "key": _text("the name of the key", lambda span: span.key_name, "ci"),
    "project": _text("the project of the key", lambda span: span.project, "default"),
    "session": _text("label", lambda span: span.labels.session),
    "run": _text("label", lambda span: span.labels.run),
    "section": _text("label: a path such as `agent:researcher/tool:search`", lambda span: span.labels.section),
    "customer": _text("label", lambda span: span.labels.customer),
    "user": _text("label", lambda span: span.labels.user),
    "env": _text("label", lambda span: span.labels.env),
    "release": _text("label", lambda span: span.labels.release),
    "prompt": _text("label: the name of a prompt", lambda span: span.labels.prompt),
    "tags": Variable("map(string, string)", "label: `tags.team`", lambda span: dict(span.labels.tags), {}),
    "started_at": Variable("timestamp", "when the call came in", _started, EPOCH),
    "latency_ms": _amount("from the call's coming in to its end", lambda span: span.latency_ms),
    "ttft_ms": _amount("until the first chunk of the answer", lambda span: span.time_to_first_chunk_ms),
    "overhead_ms": _amount("of that, spent by the gate itself", lambda span: span.overhead_ms),
    "input_tokens": _count("tokens of input, cached ones included", _usage("input_tokens")),
    "cache_read_tokens": _count("tokens of input read from a cache", _usage("cache_read_tokens")),
    "cache_write_tokens": _count("tokens of input written to a cache", _usage("cache_write_tokens")),
    "output_tokens": _count("tokens of output, reasoning included", _usage("output_tokens")),
    "reasoning_tokens": _count("tokens of output spent on reasoning", _usage("reasoning_tokens")),
    "cost_usd": _amount("what the call cost", lambda span: None if span.cost is None else span.cost / PICO_PER_USD),
    "cost_status": _one_of("how the cost is known", lambda span: span.cost_status, get_args(CostStatus)),
    "error_type": _text("the provider's type of error", lambda span: None if span.error is None else span.error.type),
    "error_code": _text("the provider's code of error", lambda span: None if span.error is None else span.error.code),
    "attempts": _count("how many times an upstream was tried", lambda span: len(span.attempts)),
    "request_bytes": _count("size of the request's body", lambda span: span.request_bytes),
    "response_bytes": _count("size of the answer's body", lambda span: span.response_bytes),
    "finish_reason": _text(
        "why the model stopped, in the provider's own word",
        lambda span: span.finish_reasons[0] if span.finish_reasons else None,
        "stop",
    ),
    "tool_calls": _count("how many tools the model asked for", lambda span: len(span.tool_calls)),
    "mirror_of": _text("the id of the call that this one is a copy of", lambda span: span.mirror_of),
}
EVENT_VARIABLES: dict[str, EventVariable] = {
    "type": EventVariable(
        "string", "what happened, a dotted name such as `budget.warning`", lambda event: event.type, "budget.warning"
    ),
    "severity": EventVariable("string", "info, warning or error", lambda event: event.severity, "info", get_args(Severity)),
    "subject": EventVariable(
        "string", "what it is about: the name of a budget or a destination", lambda event: event.subject, "text"
    ),
    "message": EventVariable("string", "one sentence for people", lambda event: event.message, "text"),
}
