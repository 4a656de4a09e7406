"""JSON as a text, of values that come from outside: it is always valid UTF-8 without NUL, which no database of a platform bears."""

import json
import math
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_DEEPEST = 64
_REPLACED = "\ufffd"


def clean(text: str) -> str:
    """Return `text` without NUL, and with lone surrogates replaced; nearly always as it is."""
    if "\0" in text:
        text = text.replace("\0", _REPLACED)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "replace").decode()
    return text


def json_text(value: Any) -> str:
    """Return `value` as compact JSON. What has no place in JSON is replaced: `NaN` by null, what is nested too deeply by its mark."""
    return json_bytes(value).decode()


def json_bytes(value: Any) -> bytes:
    """Return `value` as compact JSON in UTF-8, as `json_text` does."""
    try:
        text = _encode(value)
    except (UnicodeEncodeError, ValueError, TypeError, OverflowError, RecursionError):
        return _spelled(value)
    return text if b"\\u0000" not in text else _spelled(value)


def _spelled(value: Any) -> bytes:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` of plain JSON values only, each text clean, nested at most 64 deep."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {clean(str(name)): plain(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner, depth + 1) for inner in value]
    return clean(value if isinstance(value, str) else str(value))
