"""Labels: what an app says about a call, from every place where apps say it.

Precedence: our header, our field in the body, the path, W3C baggage, other gateways' headers, the key's own tags. (The body's standard
fields, `user` and its kin, come later: the office reads them.)
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from domain.exchange import Labels

LONGEST = 256
MOST_TAGS = 32
NAMES = ("session", "run", "section", "customer", "user", "env", "release", "prompt")
NO_LABELS = Labels()

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HELICONE_PROPERTY = "helicone-property-"


def labels_of(
    found: Mapping[bytes, bytes], *, path: Iterable[tuple[str, str]] = (), body: Any = None, tags: Mapping[str, str] | None = None
) -> Labels:
    """Return the labels of a call.

    Args:
        found: the request's headers that may carry labels, by lower-case name.
        path: the pairs of the path labels, decoded.
        body: the value of our own field in the body, whatever it is.
        tags: the key's own tags.

    """
    if not path and body is None and not tags and not any(name in _SOURCES or name.startswith(_PREFIXES) for name in found):
        return NO_LABELS
    gathered = _Gathered()
    headers = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in found.items()}
    gathered.add(_ours(headers))
    if isinstance(body, dict):
        gathered.add(_from_body(body))
    gathered.add(path)
    gathered.add(_baggage(headers.get("baggage", "")))
    gathered.add(_aliases(headers))
    gathered.add((f"tag.{name}", value) for name, value in (tags or {}).items())
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    return gathered.labels(trace)


class _Gathered:
    """Labels as they are gathered; the first value of each name stays."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._shortened: list[str] = []

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        for name, value in pairs:
            if name in NAMES:
                self._put(self._values, name, name, value)
            elif name.startswith("tag.") and len(name) > len("tag."):
                self._put_tag(name, value)

    def _put_tag(self, name: str, value: str) -> None:
        tag = _CONTROL.sub("", name.removeprefix("tag."))
        if len(tag) > LONGEST:
            self._shortened.append("tags")
            tag = tag[:LONGEST]
        if not tag:
            return
        if tag not in self._tags and len(self._tags) >= MOST_TAGS:
            self._shortened.append("tags")
        else:
            self._put(self._tags, tag, name, value)

    def _put(self, where: dict[str, str], key: str, name: str, value: str) -> None:
        value = _CONTROL.sub("", value)
        if not value or key in where:
            return
        if len(value) > LONGEST:
            self._shortened.append(name)
        where[key] = value[:LONGEST]

    def labels(self, trace: re.Match[str] | None) -> Labels:
        usable = trace is not None and set(trace[1]) != {"0"} and set(trace[2]) != {"0"}
        return Labels(
            **self._values,
            tags=self._tags,
            trace_id=trace[1] if usable and trace else None,
            parent_span_id=trace[2] if usable and trace else None,
            shortened=tuple(dict.fromkeys(self._shortened)),
        )


def _json_text(value: Any) -> str | None:
    """Return a JSON value as a label, or None where it is none: a list, an object or null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _ours(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name in NAMES:
        value = headers.get(f"x-faregate-{name}")
        if value is not None:
            yield name, unquote(value)
    yield from _tags_in(headers.get("x-faregate-tags", ""))


def _tags_in(text: str) -> Iterable[tuple[str, str]]:
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        if name:
            yield f"tag.{unquote(name.strip())}", unquote(value.strip()) if separator else "true"


def _from_body(body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in body.items():
        if name == "tags" and isinstance(value, dict):
            yield from ((f"tag.{tag}", text) for tag, text in _texts(value))
        elif name == "tags" and isinstance(value, str):
            yield from _tags_in(value)
        elif (text := _json_text(value)) is not None:
            yield name, text


def _texts(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        text = _json_text(value)
        if text is not None:
            yield name, text


def _baggage(text: str) -> Iterable[tuple[str, str]]:
    for part in text.split(","):
        name, _, value = part.partition(";")[0].partition("=")
        name, value = name.strip(), unquote(value.strip())
        if name == "session.id":
            yield "session", value
        elif name == "user.id":
            yield "user", value
        elif name.startswith("faregate."):
            yield name.removeprefix("faregate."), value


def _aliases(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, value in headers.items():
        if name.startswith(_HELICONE_PROPERTY):
            yield f"tag.{name.removeprefix(_HELICONE_PROPERTY)}", unquote(value)
        elif name in _ALIASES:
            yield from _ALIASES[name](value)


def _as(name: str) -> Callable[[str], Iterable[tuple[str, str]]]:
    return lambda value: ((name, unquote(value)),)


def _json_tags(value: str) -> Iterable[tuple[str, str]]:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return
    if not isinstance(found, dict):
        return
    for name, text in _texts(found):
        yield ("user" if name == "_user" else f"tag.{name}"), text


def _plain_tags(value: str) -> Iterable[tuple[str, str]]:
    return ((f"tag.{tag.strip()}", "true") for tag in value.split(",") if tag.strip())


# Source: ../shared/reference/experience.md section 4, "Header conventions of peers".
_ALIASES: dict[str, Callable[[str], Iterable[tuple[str, str]]]] = {
    "helicone-session-id": _as("session"),
    "helicone-session-path": _as("section"),
    "helicone-user-id": _as("user"),
    "helicone-prompt-id": _as("prompt"),
    "x-portkey-metadata": _json_tags,
    "x-portkey-trace-id": _as("run"),
    "x-litellm-tags": _plain_tags,
    "x-litellm-customer-id": _as("customer"),
    "x-litellm-end-user-id": _as("user"),
    "x-litellm-trace-id": _as("run"),
    "x-litellm-spend-logs-metadata": _json_tags,
    "cf-aig-metadata": _json_tags,
    "x-session-id": _as("session"),
    "x-title": _as("tag.app"),
    "x-openrouter-title": _as("tag.app"),
    "http-referer": _as("tag.referer"),
}
_SOURCES = frozenset({b"traceparent", b"baggage", *(name.encode() for name in _ALIASES)})
_PREFIXES = (b"x-faregate-", _HELICONE_PROPERTY.encode())
