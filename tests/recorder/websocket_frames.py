"""WebSocket bytes for tests, written by the websockets library."""

from collections.abc import Sequence

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode


def written(
    texts: Sequence[bytes], *, mask: bool, extension: PerMessageDeflate | None = None, fragment: int | None = None
) -> bytes:
    """Return `texts` as text messages; `fragment` is the size of the pieces that each is sent in."""
    raw = b""
    for text in texts:
        for frame in _fragments(text, fragment):
            raw += frame.serialize(mask=mask, extensions=None if extension is None else [extension])
    return raw


def _fragments(text: bytes, size: int | None) -> list[Frame]:
    if size is None or len(text) <= size:
        return [Frame(Opcode.TEXT, text)]
    starts = range(0, len(text), size)
    return [Frame(Opcode.CONT if at else Opcode.TEXT, text[at : at + size], fin=at + size >= len(text)) for at in starts]
