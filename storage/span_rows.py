"""A span as a row of `calls`, and back.

`detail` holds the whole span by position: the fields of `Span`, `Usage` and `Labels` in the order they are declared. So those three only
ever grow at their end; a field that an old row does not have yet gets its default.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from domain.calls import Usage
from domain.exchange import Labels
from domain.spans import Span
from storage.packing import CannotPack, can_pack, packed, unpacked

COLUMNS = (
    "id",
    "started_at",
    "project",
    "key",
    "key_name",
    "operation",
    "upstream",
    "model",
    "served_model",
    "outcome",
    "status",
    "session",
    "customer",
    "end_user",
    "section",
    "latency_ms",
    "cost",
    "cost_status",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "detail",
)
# PostgreSQL indexes no text beyond 2,704 bytes, and nobody reads a list by one that long.
LONGEST_TEXT = 200
LARGEST = 2**63 - 1

_SPAN = tuple(field.name for field in fields(Span))
_USAGE = tuple(field.name for field in fields(Usage))
_LABELS = tuple(field.name for field in fields(Labels))
_USAGE_AT = _SPAN.index("usage")
_LABELS_AT = _SPAN.index("labels")
_span_values = attrgetter(*_SPAN)
_usage_values = attrgetter(*_USAGE)
_label_values = attrgetter(*_LABELS)


def row_of(span: Span) -> tuple[Any, ...]:
    """Return the values of `COLUMNS` for `span`."""
    usage = span.usage or Usage()
    labels = span.labels
    return (
        span.id,
        number(span.started_at) or 0,
        word(span.project),
        word(span.key),
        word(span.key_name),
        word(span.operation),
        word(span.upstream),
        word(span.model or ""),
        word(span.served_model or span.model or ""),
        span.outcome,
        span.status,
        label(labels.session),
        label(labels.customer),
        label(labels.user),
        label(labels.section),
        span.latency_ms,
        number(span.cost),
        span.cost_status,
        number(usage.input_tokens),
        number(usage.cache_read_tokens),
        number(usage.cache_write_tokens),
        number(usage.output_tokens),
        number(usage.reasoning_tokens),
        detail_of(span),
    )


def tags_of(span: Span) -> Iterator[tuple[str, str]]:
    """Return the tags of `span` as they stand in `call_tags`."""
    return ((word(name), word(value)) for name, value in span.labels.tags.items())


def word(text: str) -> str:
    """Return `text` as it stands in a column, and as lists must ask for it.

    Databases refuse NUL and lone surrogates in text, and indexes refuse long values; the exact text is in `detail`.
    """
    if len(text) <= LONGEST_TEXT and text.isascii() and "\0" not in text:
        return text
    plain = text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if plain == text and len(text) <= LONGEST_TEXT:
        return text
    mark = blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{plain[:LONGEST_TEXT]}…{mark}"


def label(text: str | None) -> str | None:
    """Return a label as it stands in its column; None where there is none."""
    return None if text is None else word(text)


def number(value: int | None) -> int | None:
    """Return `value`, or None (unknown) if it is too large for a column; the exact value is in `detail`."""
    return value if value is None or -LARGEST <= value <= LARGEST else None


def detail_of(span: Span) -> bytes:
    """Return the whole of `span` as bytes. What cannot be stored at all is left out of it, with a note."""
    try:
        return packed(_values(span))
    except CannotPack:
        return packed(_values(_storable(span)))


def _values(span: Span) -> list[Any]:
    values = list(_span_values(span))
    values[_LABELS_AT] = _label_values(span.labels)
    if span.usage is not None:
        values[_USAGE_AT] = _usage_values(span.usage)
    return values


def _storable(span: Span) -> Span:
    """Return `span` without the parts that come from outside as any JSON and are nested too deeply to be written."""
    usage = span.usage
    if usage is not None and not can_pack(usage.raw):
        usage = replace(usage, raw=None, flags=(*usage.flags, "raw_not_storable"))
    lines = span.cost_lines if can_pack(span.cost_lines) else ()
    return replace(span, usage=usage, cost_lines=lines, notes=(*span.notes, "not_storable"))


def span_of(detail: bytes) -> Span:
    """Return the span that `detail_of` was given.

    Raises:
        ValueError: these are not bytes that `detail_of` made.
    """
    values = dict(zip(_SPAN, unpacked(detail), strict=False))
    values["labels"] = dict(zip(_LABELS, values["labels"], strict=False))
    if values["usage"] is not None:
        values["usage"] = dict(zip(_USAGE, values["usage"], strict=False))
    return msgspec.convert(values, Span)
