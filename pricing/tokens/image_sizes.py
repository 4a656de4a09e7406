"""The width and height of a picture, from the first bytes of its file: PNG, JPEG, GIF and WebP.

Source: the formats' specifications; read 2026-11-21.
"""

import base64
import struct

HEAD_CHARACTERS = 65_536  # of base64; a JPEG's size stands behind whatever its camera wrote
_LARGEST = 100_000

Size = tuple[int, int]

# The frame headers of JPEG: all of 0xC0 to 0xCF but tables (C4), extensions (C8) and arithmetic coding (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKER = 0xFF
_MOST_SEGMENTS = 1_000
_WEBP_HEAD = 30


def size_of_base64(text: str) -> Size | None:
    """Return the size in pixels of the picture that base64 or a data URL holds, None if it cannot be read."""
    start = text.find(",") + 1 if text.startswith("data:") else 0
    head = text[start : start + HEAD_CHARACTERS]
    try:
        return size_of(base64.b64decode(head[: len(head) // 4 * 4]))
    except ValueError:
        return None


def size_of(head: bytes) -> Size | None:
    """Return the size in pixels of the picture that begins with `head`, None if it is none of the four."""
    try:
        found = _size(head)
    except (struct.error, IndexError):
        return None
    return found if found and all(0 < side <= _LARGEST for side in found) else None


def _size(head: bytes) -> Size | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _pair(struct.unpack_from(">II", head, 16))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _pair(struct.unpack_from("<HH", head, 6))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    return _jpeg(head) if head.startswith(b"\xff\xd8") else None


def _jpeg(head: bytes) -> Size | None:
    at = 2
    for _ in range(_MOST_SEGMENTS):
        if head[at] != _MARKER:
            return None
        kind, length = struct.unpack_from(">BH", head, at + 1)
        if kind in _FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 2 + length
    return None


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(head) >= _WEBP_HEAD:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _pair(sides: tuple[int, ...]) -> Size:
    return sides[0], sides[1]
