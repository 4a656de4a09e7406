"""Values as bytes: msgpack where it can hold them, JSON for the few that it cannot.

What apps and providers send is any JSON: integers of a thousand bits, halves of surrogate pairs, text with NUL in it. All of it comes
back as it went in. The first byte says which of the two follows.
"""

import json
from typing import Any

import msgspec

_MSGPACK = b"m"
_JSON = b"j"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

# What an encoder raises for a value that it cannot hold: too large, too deep, not text, or not JSON at all.
CannotPack = (OverflowError, RecursionError, TypeError, ValueError)


def packed(value: Any) -> bytes:
    """Return `value`, made of what JSON has and bytes, as bytes.

    Raises:
        CannotPack: one of these, if neither encoding can hold it.
    """
    try:
        return _MSGPACK + _encode(value)
    except (OverflowError, UnicodeEncodeError):
        return _JSON + json.dumps(msgspec.to_builtins(value, builtin_types=(bytes,)), ensure_ascii=True).encode()


def unpacked(data: bytes) -> Any:
    """Return the value that `packed` was given; tuples come back as lists.

    Raises:
        ValueError: these are not bytes that `packed` made.
    """
    if data[:1] == _MSGPACK:
        return _decode(memoryview(data)[1:])
    if data[:1] == _JSON:
        return json.loads(data[1:])
    raise ValueError("a stored value has an unknown form; was it written by a newer version?")


def can_pack(value: Any) -> bool:
    """Return whether `value` can be stored."""
    try:
        packed(value)
    except CannotPack:
        return False
    return True
