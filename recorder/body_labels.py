"""Labels that apps put into the request's body: read, and left alone."""

from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST = 256
_MOST = 40

# Body fields and the label each one is. Where two fields give the same label, the first in this table counts.
_FIELDS = (
    ("safety_identifier", "user"),
    ("user", "user"),
    ("session_id", "session"),
    ("litellm_session_id", "session"),
    ("litellm_trace_id", "trace"),
    ("prompt_cache_key", "tag.prompt_cache_key"),
)
# The same for entries of `metadata`, after what Anthropic, LiteLLM and Langfuse call them.
_METADATA = {
    "user_id": "user",
    "user": "user",
    "session_id": "session",
    "langfuse_user_id": "user",
    "langfuse_session_id": "session",
}
_SOURCES = frozenset({"faregate", "metadata", "litellm_metadata", "trace", *(field for field, _ in _FIELDS)})
_OWN = ("session", "run", "section", "customer", "user", "env", "release", "prompt")


def labels_of(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels in a request's JSON object, by name: `user`, `session`, `tag.NAME`, ….

    Our own object `faregate` comes first, then fields that say what they are, then `metadata` and `trace`. Long values are cut.
    """
    labels: dict[str, str] = {}
    if _SOURCES.isdisjoint(body):
        return labels
    for name, value in _named(body):
        if name not in labels and len(labels) < _MOST:
            text = _text(value)
            if text:
                labels[name] = text
    return labels


def _named(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the labels, those that count more first."""
    own = body.get("faregate")
    if isinstance(own, Mapping):
        yield from ((name, own.get(name)) for name in _OWN)
        yield from _tags(own.get("tags"))
    for field, name in _FIELDS:
        if field in body:
            yield name, body[field]
    for field in ("metadata", "litellm_metadata"):
        if field in body:
            yield from _of_metadata(body[field])
    trace = body.get("trace")
    if isinstance(trace, Mapping):
        yield "trace", trace.get("trace_id")
        yield from ((f"tag.trace.{name}", value) for name, value in trace.items() if name != "trace_id")


def _of_metadata(metadata: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(metadata, Mapping):
        return
    for name, value in metadata.items():
        if name == "tags":
            yield from _tags(value)
        else:
            yield _METADATA.get(name, f"tag.{name[:64]}"), value


def _tags(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield tags given as an object, or as a list of words of which some are `name:value`."""
    if isinstance(value, Mapping):
        yield from ((f"tag.{name[:64]}", item) for name, item in value.items())
    elif isinstance(value, list):
        for item in value[:_MOST]:
            if isinstance(item, str):
                name, colon, rest = item.partition(":")
                yield f"tag.{name[:64]}", rest if colon else "true"


def _text(value: Any) -> str | None:
    """Return a plain value as text, at most `_LONGEST` characters of it."""
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:_LONGEST] if isinstance(value, int | float) else None
