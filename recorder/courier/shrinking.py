"""Shrinking: a call that is too large for a destination even alone loses media first, then the rest of long texts, then its content."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from domain.calls import ToolCall
from domain.destinations import Parcel
from domain.spans import Content

LEVELS = ("media", "texts", "content")
LONGEST_TEXT = 2000
_DEEPEST = 100
# What stands before a run is looked at, so that a run is tried from its start only: that keeps it linear.
_MEDIA = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{1024,}={0,2}")
_MEDIA_BYTES = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{1024,}={0,2}")


def shrunk(parcel: Parcel) -> Parcel | None:
    """Return `parcel` with the next thing taken out of it, marked where it was; None if there is nothing left to take out.

    Nothing that was given is changed.
    """
    place = 0 if parcel.shortened is None else LEVELS.index(parcel.shortened) + 1
    if place == len(LEVELS):
        return None
    level = LEVELS[place]
    content = None if parcel.content is None else _STEPS[level](parcel.content)
    span = parcel.span
    if level != "media":
        tools = tuple(ToolCall(tool.id, tool.name, _cut(tool.arguments)) for tool in span.tool_calls)
        error = None if span.error is None else replace(span.error, message=_cut(span.error.message))
        span = replace(span, tool_calls=tools, error=error)
    if level == "content":
        span = replace(span, content="none", tool_calls=tuple(ToolCall(tool.id, tool.name, "") for tool in span.tool_calls))
    note = f"shortened for a destination: {level}"
    return replace(parcel, span=replace(span, notes=(*span.notes, note)), content=content, shortened=level)


def _without_media(content: Content) -> Content:
    return replace(
        content,
        request=_MEDIA_BYTES.sub(_media_marker, content.request),
        response=_MEDIA_BYTES.sub(_media_marker, content.response),
        input=_each_text(content.input, _without_media_text),
        output=_each_text(content.output, _without_media_text),
        input_is_body=False,
        output_is_body=False,
    )


def _with_short_texts(content: Content) -> Content:
    """Return it with long texts cut. The bodies as they passed cannot be cut and stay what they are, so they go."""
    return replace(
        content,
        request=b"",
        response=b"",
        input=_each_text(content.input, _cut),
        output=_each_text(content.output, _cut),
        marks=b"",
        input_is_body=False,
        output_is_body=False,
    )


def _nothing(_content: Content) -> None:
    return None


_STEPS: dict[str, Callable[[Content], Content | None]] = {
    "media": _without_media,
    "texts": _with_short_texts,
    "content": _nothing,
}


def _each_text(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    if isinstance(value, str):
        return change(value)
    if depth > _DEEPEST:
        return "[too deep]" if isinstance(value, dict | list | tuple) else value
    if isinstance(value, dict):
        return {name: _each_text(member, change, depth + 1) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(member, change, depth + 1) for member in value]
    return value


def _without_media_text(text: str) -> str:
    return _MEDIA.sub(lambda found: f"[media of {len(found[0])} characters left out]", text)


def _media_marker(found: re.Match[bytes]) -> bytes:
    return b"[media of %d characters left out]" % len(found[0])


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… [{len(text) - LONGEST_TEXT} more characters left out]"
