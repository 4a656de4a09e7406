"""Bodies as they passed, made readable: headers found, JSON parsed with patience, forms listed. Nothing here raises."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from domain.exchange import Headers
from recorder.unpacking import MOST_UNPACKED, decoded

__all__ = ["MOST_UNPACKED", "content_type", "decoded", "exact_json_of", "header", "json_of", "multipart_fields", "read_json"]

DEEPEST_JSON = 128
_LARGE = 2**20
_MOST_VALUES = 2_000_000  # a few hundred megabytes once they are objects
_LONGEST_NUMBER = 4_000
_MOST_PARTS = 64
_LONGEST_FIELD = 2**16
_LONGEST_PART_HEAD = 2**13

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_PART_NAME = re.compile(rb'[;\s]name=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_PART_FILE = re.compile(rb'[;\s]filename\*?=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.IGNORECASE)


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header `name` (lower case), in whatever casing it came."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None


def content_type(headers: Headers) -> str:
    """Return the media type in lower case and without parameters, or an empty string."""
    value = header(headers, "content-type")
    return "" if value is None else value.partition(";")[0].strip().lower()


# JSON


_plain = msgspec.json.Decoder()


def json_of(body: bytes) -> Any | None:
    """Return the JSON value in `body`, or None if there is none that can be kept; see `read_json`."""
    return read_json(body)[0]


def read_json(body: bytes) -> tuple[Any | None, bool]:
    """Return the JSON value in `body`, or None if there is none that can be kept, and whether a strict parser reads the same.

    NaN, infinities and numbers beyond all use become None, bytes that are not UTF-8 and lone surrogates are replaced, so that
    what is returned can be stored as JSON again. What is nested deeper than `DEEPEST_JSON` is refused: a database or a later
    reader would fail on it. So are millions of tiny values, which take far more memory than their text.
    """
    if len(body) > _LARGE and sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        return None, False
    strict = True
    try:
        value = _plain.decode(body)
    except (msgspec.MsgspecError, ValueError):
        value, strict = _patient(body), False
    except RecursionError:
        return None, False
    if body.count(b"[") + body.count(b"{") > DEEPEST_JSON and _deeper_than(value, DEEPEST_JSON):
        return None, False
    return value, strict


def exact_json_of(body: bytes) -> Any | None:
    """Return the JSON value in `body`, which `json_of` could read, with its fractions as the text they were, or None.

    For money: a float would be a rounded figure.
    """
    try:
        return json.loads(body, parse_float=str, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _patient(body: bytes) -> Any | None:
    """Parse what a strict parser refuses."""
    text = body.decode("utf-8-sig", "replace")
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_fraction, parse_int=_integer)
        if "\\u" in text:  # a lone surrogate cannot be stored
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _fraction(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _integer(text: str) -> int | None:
    return int(text) if len(text) < _LONGEST_NUMBER else None


def _deeper_than(value: Any, most: int) -> bool:
    """Tell whether containers are nested more than `most` deep, level by level instead of by recursion."""
    level = [value]
    for _ in range(most):
        level = [item for outer in level for item in _items(outer) if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# multipart forms


def multipart_fields(body: bytes, content_type: str) -> dict[str, str]:
    """Return the small text fields of a multipart form, and `<filename>` for each file in it.

    `content_type` is the whole header, with its boundary. A form that was cut off gives the parts that began. Of fields with
    the same name (`timestamp_granularities[]`) the last counts.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        return {}
    boundary = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    fields: dict[str, str] = {}
    start = body.find(boundary)
    for _ in range(_MOST_PARTS):
        if start < 0 or body.startswith(b"--", start + len(boundary)):
            break
        end = body.find(boundary, start + len(boundary))
        _note_part(fields, body, start + len(boundary), len(body) if end < 0 else end)
        start = end
    return fields


def _note_part(fields: dict[str, str], body: bytes, start: int, end: int) -> None:
    """Add the part of the form at `body[start:end]`, which begins behind its boundary."""
    head_end = body.find(b"\r\n\r\n", start, min(end, start + _LONGEST_PART_HEAD))
    if head_end < 0:
        return
    head = body[start:head_end]
    name = _PART_NAME.search(head)
    if name is None:
        return
    file = _PART_FILE.search(head)
    if file is not None:
        value = b"<" + (file[1] or file[2] or b"file") + b">"
    else:
        value = body[head_end + 4 : min(end, head_end + 4 + _LONGEST_FIELD)].removesuffix(b"\r\n")
    fields[(name[1] or name[2] or b"").decode("utf-8", "replace")] = value.decode("utf-8", "replace")
