"""A span as one JSON value: what a webhook carries, and one line of an object. It is the public JSON of a call, and its bodies beside it."""

from typing import Any

from domain.destinations import Parcel
from domain.spans import as_json, rfc3339

_THIN = (
    "id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "project",
    "key",
    "operation",
    "upstream",
    "model",
    "served_model",
    "stream",
    "outcome",
    "status",
    "started_at",
    "latency_ms",
    "time_to_first_chunk_ms",
    "cost_usd",
    "cost_status",
    "finish_reasons",
    "labels",
)
_COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "source")


def full_line(parcel: Parcel) -> dict[str, Any]:
    """Return everything that may be sent of a call: its public JSON, `request` and `response` (None without content), and `attributes` of rules.

    `deliveries` is left out: where a call is still to be sent is no part of what is sent.
    """
    line = as_json(parcel.span)
    del line["deliveries"]
    content = parcel.content
    line["request"] = None if content is None else content.input
    line["response"] = None if content is None else content.output
    line["attributes"] = dict(parcel.extra)
    line["shortened"] = parcel.shortened
    return line


def thin_line(parcel: Parcel) -> dict[str, Any]:
    """Return what identifies a call, what it used and cost, and the path in Faregate's API where the rest is. No body, no text of an error."""
    whole = as_json(parcel.span)
    line = {name: whole[name] for name in _THIN}
    error, usage = whole["error"], whole["usage"]
    line["error"] = None if error is None else {"type": error["type"], "code": error["code"]}
    line["usage"] = None if usage is None else {name: usage[name] for name in _COUNTS}
    line["attributes"] = dict(parcel.extra)
    line["link"] = f"/api/v1/calls/{parcel.span.id}"
    return line


def ended_at(parcel: Parcel) -> int:
    """Return when a call ended, in Unix nanoseconds: the time of the event that tells of it."""
    return parcel.span.started_at + round((parcel.span.latency_ms or 0) * 1_000_000)


def ended_text(parcel: Parcel) -> str:
    """Return when a call ended, as RFC 3339."""
    return rfc3339(ended_at(parcel))
