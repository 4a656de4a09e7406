"""What is kept of an answer whose content may not be kept: what it cost, and nothing that it says.

`record.content = "none"` means that no prompt and no answer ever reaches the disk, the journal included. But a call without its usage has no price,
and a budget would stay at its hold. So the few fields that say how much was used are picked out here, before anything is written.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

LARGEST_LINE = 1024 * 1024
DEEPEST = 3
_AS_THEY_ARE = frozenset({"usage", "usageMetadata"})
_NAMES = frozenset(
    {"id", "object", "type", "model", "modelVersion", "service_tier", "serviceTier", "status", "stop_reason", "responseId"}
)
_WITHIN = frozenset({"response", "message", "x_groq", "delta"})
_COUNTED = frozenset({"output", "data"})
_MARK = b'"usage'
_LONGEST_NAME = 200


def bare_answer(body: bytes) -> bytes:
    """Return the bare form of a JSON answer, empty where it is none: names of models and ids, usage, how many items of which type."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""
    return msgspec.json.encode(_bare(value, 0)) if isinstance(value, dict) else b""


class BareBody:
    """Keeps an answer in memory until it is whole, and then its bare form."""

    def __init__(self, most: int) -> None:
        """Keep at most so many bytes; a longer answer has no bare form."""
        self._left = most
        self._pieces: list[bytes] = []

    def came(self, piece: bytes) -> bytes:
        """Return nothing yet."""
        self._left -= len(piece)
        if self._left >= 0:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
        return b""

    def rest(self) -> bytes:
        """Return what is kept."""
        pieces, self._pieces = self._pieces, []
        return bare_answer(b"".join(pieces))


class BareEvents:
    """Picks the events that tell usage out of a stream as it comes, each in its bare form; everything else is forgotten at once."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._line = b""
        self._too_long = False

    def came(self, piece: bytes) -> bytes:
        """Return what is kept of the lines that `piece` completes."""
        *whole, rest = (self._line + piece).split(b"\n")
        kept = b"".join(map(self._kept, whole))
        self._too_long = len(rest) > LARGEST_LINE or (self._too_long and not whole)
        self._line = b"" if self._too_long else rest
        return kept

    def rest(self) -> bytes:
        """Return what is kept of a last line that was never ended."""
        line, self._line = self._line, b""
        return self._kept(line)

    def _kept(self, line: bytes) -> bytes:
        if self._too_long:
            self._too_long = False
            return b""
        if not line.startswith(b"data:") or _MARK not in line:
            return b""
        bare = bare_answer(line[5:].strip())
        return b"data: %b\n\n" % bare if bare else b""


def _bare(value: dict[str, Any], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, member in value.items():
        if name in _AS_THEY_ARE and isinstance(member, dict):
            kept[name] = _numbers(member, depth)
        elif name in _NAMES and isinstance(member, str) and len(member) <= _LONGEST_NAME:
            kept[name] = member
        elif name in _WITHIN and isinstance(member, dict) and depth < DEEPEST:
            kept[name] = _bare(member, depth + 1)
        elif name in _COUNTED and isinstance(member, list):
            kept[name] = _types(member)
    return kept


def _types(items: Sequence[Any]) -> list[dict[str, str]]:
    """Return how many items there are, and of which types: some are charged each."""
    return [
        {"type": item["type"][:_LONGEST_NAME]} if isinstance(item, dict) and isinstance(item.get("type"), str) else {}
        for item in items
    ]


def _numbers(value: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return a usage object without texts that are longer than a name."""
    kept: dict[str, Any] = {}
    for name, member in value.items():
        if isinstance(member, dict):
            if depth < DEEPEST:
                kept[name] = _numbers(member, depth + 1)
        elif isinstance(member, list):
            kept[name] = [_numbers(each, depth + 1) for each in member if isinstance(each, dict) and depth < DEEPEST]
        elif not isinstance(member, str) or len(member) <= _LONGEST_NAME:
            kept[name] = member
    return kept
