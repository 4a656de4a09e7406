"""Calls as a Parquet file: a column for each thing that people ask for, the bodies as JSON text. Needs the extra `parquet`."""

from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from destinations.jsontext import json_bytes, plain
from destinations.lines import full_line
from domain.destinations import Parcel
from domain.spans import PICO_PER_USD

_TEXT = (
    "id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "project",
    "key",
    "operation",
    "method",
    "path",
    "upstream",
    "model",
    "served_model",
    "outcome",
    "cost_status",
    "price_ref",
    "response_id",
    "mirror_of",
    "content",
)
_NUMBERS = ("latency_ms", "time_to_first_chunk_ms", "chunk_gap_mean_ms", "chunk_gap_max_ms", "overhead_ms")
_COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_LABELS = ("session", "run", "section", "customer", "user", "env", "release", "prompt")
_PLAIN = ("stream", "status", "finish_reasons", "notes", "request_bytes", "response_bytes")
_TOO_MANY = 2**63
_JSON = ("request", "response", "attributes", "attempts", "rules", "tool_calls", "cost_lines", "params")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        ("started_at", pa.timestamp("ns", tz="UTC")),
        ("stream", pa.bool_()),
        ("status", pa.int32()),
        *((f"error_{name}", pa.string()) for name in ("type", "code", "message")),
        *((name, pa.float64()) for name in _NUMBERS),
        *((name, pa.int64()) for name in _COUNTS),
        ("usage_source", pa.string()),
        ("cost_usd", pa.decimal128(38, 12)),
        *((f"label_{name}", pa.string()) for name in _LABELS),
        ("tags", pa.map_(pa.string(), pa.string())),
        ("finish_reasons", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),
        ("request_bytes", pa.int64()),
        ("response_bytes", pa.int64()),
        *((name, pa.string()) for name in _JSON),
    ]
)


def table_bytes(parcels: Sequence[Parcel]) -> bytes:
    """Return a Parquet file of these calls, compressed by zstd. Costs are exact decimals."""
    rows = [_row(parcel) for parcel in parcels]
    out = BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), out, compression="zstd")
    return out.getvalue()


def _row(parcel: Parcel) -> dict[str, Any]:
    bodies, span = full_line(parcel), parcel.span
    line = plain(bodies | dict.fromkeys(_JSON))
    error, usage = line["error"] or {}, line["usage"] or {}
    return {
        **{name: line[name] for name in (*_TEXT, *_NUMBERS, *_PLAIN)},
        "started_at": span.started_at,
        **{f"error_{name}": error.get(name) for name in ("type", "code", "message")},
        **{name: _count(usage.get(name)) for name in _COUNTS},
        "usage_source": usage.get("source"),
        "cost_usd": None if span.cost is None else Decimal(span.cost) / PICO_PER_USD,
        **{f"label_{name}": line["labels"][name] for name in _LABELS},
        "tags": list(line["labels"]["tags"].items()),
        **{name: None if bodies[name] is None else json_bytes(bodies[name]).decode() for name in _JSON},
    }


def _count(value: int | None) -> int | None:
    """Return a number of tokens; None for one that no column can hold, and that nobody ever used."""
    return value if value is not None and abs(value) < _TOO_MANY else None
