"""WebSocket messages out of the raw bytes of one direction. Bytes may end anywhere; nothing here raises.

Source: RFC 6455 (frames, fragments, masks) and RFC 7692 (permessage-deflate).
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
_CONTINUATION = 0x0
_FIRST_CONTROL = 0x8
_WIDTHS = {126: 2, 127: 8}  # these lengths say that the true one stands in the next bytes
_MOST_UNPACKED = 64 * 2**20
_TAIL = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class Deflate:
    """What was agreed about compressed messages. `fresh`: each message is compressed without looking back at earlier ones."""

    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its opcode, its payload (fragments joined, unmasked, unpacked), and whether it is all there."""

    opcode: int
    payload: bytes
    whole: bool = True


def deflate_of(extensions: str | None, *, server: bool) -> Deflate | None:
    """Return how one side's messages may be compressed, by the `sec-websocket-extensions` of the 101 answer; None if not at all."""
    for offer in (extensions or "").split(","):
        name, *parameters = (word.strip().lower() for word in offer.split(";"))
        if name == "permessage-deflate":
            side = "server" if server else "client"
            return Deflate(fresh=f"{side}_no_context_takeover" in parameters)
    return None


def messages(raw: bytes, deflate: Deflate | None = None) -> Iterator[Message]:
    """Yield the messages in `raw`, the bytes of one direction from the first frame on.

    A message that was cut off is yielded with what came of it, as are close frames; pings and pongs are passed over.
    """
    inflater = _Inflater(deflate)
    pending: list[bytes] = []
    opcode, packed = TEXT, False
    for frame in _frames(raw):
        if frame.opcode >= _FIRST_CONTROL:
            if frame.opcode == CLOSE:
                yield Message(CLOSE, frame.payload, frame.whole)
            continue
        if frame.opcode != _CONTINUATION:
            opcode, packed, pending = frame.opcode, frame.packed, []
        pending.append(frame.payload)
        if frame.last and frame.whole:
            yield Message(opcode, *inflater.unpacked(b"".join(pending), packed=packed))
            pending = []
    if pending:
        payload, _ = inflater.unpacked(b"".join(pending), packed=packed)
        yield Message(opcode, payload, whole=False)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame, unmasked. `packed` is the bit that says that the message is compressed."""

    opcode: int
    payload: bytes
    last: bool
    packed: bool
    whole: bool


def _frames(raw: bytes) -> Iterator[_Frame]:
    at = 0
    while at + 2 <= len(raw):
        first, second = raw[at], raw[at + 1]
        size = second & 0x7F
        head = at + 2
        if size in _WIDTHS:
            width = _WIDTHS[size]
            size = int.from_bytes(raw[head : head + width], "big")
            head += width
        mask = raw[head : head + 4] if second & 0x80 else b""
        head += len(mask)
        if head > len(raw):
            return
        payload = raw[head : head + size]
        yield _Frame(
            opcode=first & 0x0F,
            payload=_unmasked(payload, mask) if mask else payload,
            last=bool(first & 0x80),
            packed=bool(first & 0x40),
            whole=len(payload) == size,
        )
        at = head + size


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """Return `payload` without its mask: one exclusive-or of large integers, since a loop over bytes would be slow."""
    size = len(payload)
    key = (mask.ljust(4, b"\x00") * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class _Inflater:
    """Unpacks the compressed messages of one direction, in order, up to a bound on all of them together."""

    def __init__(self, deflate: Deflate | None) -> None:
        self._deflate = deflate
        self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = _MOST_UNPACKED

    def unpacked(self, payload: bytes, *, packed: bool) -> tuple[bytes, bool]:
        """Return the plain payload, and whether all of it could be unpacked."""
        if not packed or self._deflate is None:
            return payload, True
        if self._left <= 0:
            return b"", False
        if self._deflate.fresh:
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            plain = self._inner.decompress(payload + _TAIL, self._left)
        except zlib.error:
            return b"", False
        self._left -= len(plain)
        return plain, not self._inner.unconsumed_tail
