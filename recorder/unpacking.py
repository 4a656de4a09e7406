"""Content codings undone, with a bound on what comes out: 200 kB of gzip can hold 200 MB. Nothing here raises.

A stream that was cut off, or is damaged half-way, gives what could be unpacked until there.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # the wheel has no types
import zstandard

MOST_UNPACKED = 32 * 2**20
_MOST_CODINGS = 4
_SLICE = 64
_ZSTD_SLICE = 256  # 64 blocks at most, of 128 kB each
_GZIP_START = b"\x1f\x8b"
_ZSTD_START = b"\x28\xb5\x2f\xfd"
_LARGEST_WINDOW = 2**27
_BROKEN = (zlib.error, brotli.error, zstandard.ZstdError)


class _Unpacker(Protocol):
    """One coding of one body, fed in slices."""

    done: bool

    def feed(self, data: bytes, most: int) -> bytes:
        """Return at most `most` bytes of what `data` unpacks to; what would be more is dropped."""


class _Gzip:
    """gzip, one member after another."""

    def __init__(self) -> None:
        self.done = False
        self._member = zlib.decompressobj(31)

    def feed(self, data: bytes, most: int) -> bytes:
        out: list[bytes] = []
        while data and most > 0:
            if self.done:
                self._member, self.done = zlib.decompressobj(31), False
            out.append(self._member.decompress(data, most))
            most -= len(out[-1])
            self.done = self._member.eof
            data = self._member.unused_data if self.done else b""
            if self.done and not data.startswith(_GZIP_START):  # padding, which gzip allows
                return b"".join(out)
        self.done = self.done and not data
        return b"".join(out)


class _Deflate:
    """deflate: with the zlib header, as the standard says, or raw, as some servers do."""

    def __init__(self, wbits: int) -> None:
        self.done = False
        self._inner = zlib.decompressobj(wbits)

    def feed(self, data: bytes, most: int) -> bytes:
        out = self._inner.decompress(data, most)
        self.done = self._inner.eof
        return out


class _Brotli:
    """br."""

    def __init__(self) -> None:
        self.done = False
        self._inner = brotli.Decompressor()

    def feed(self, data: bytes, most: int) -> bytes:
        out: list[bytes] = []
        while most > 0:
            out.append(self._inner.process(data, output_buffer_limit=most)[:most])
            most -= len(out[-1])
            data = b""
            if self._inner.can_accept_more_data():
                break
        self.done = self._inner.is_finished()
        return b"".join(out)


class _Zstd:
    """zstd, one frame after another. It is fed in small pieces, since the library bounds its input only."""

    def __init__(self) -> None:
        self.done = False
        self._frame = self._fresh()

    def feed(self, data: bytes, most: int) -> bytes:
        """Return at most `most` bytes of what `data` unpacks to."""
        out: list[bytes] = []
        for at in range(0, len(data), _ZSTD_SLICE):
            piece = data[at : at + _ZSTD_SLICE]
            while piece and most > 0:
                if self.done:
                    self._frame, self.done = self._fresh(), False
                out.append(self._frame.decompress(piece)[:most])
                most -= len(out[-1])
                self.done = self._frame.eof
                piece = self._frame.unused_data if self.done else b""
        self.done = self.done and most > 0
        return b"".join(out)

    @staticmethod
    def _fresh() -> "zstandard.ZstdDecompressionObj":
        return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()


_CODINGS: dict[str, tuple[Callable[[], _Unpacker], ...]] = {
    "gzip": (_Gzip,),
    "x-gzip": (_Gzip,),
    "deflate": (lambda: _Deflate(15), lambda: _Deflate(-15)),
    "br": (_Brotli,),
    "zstd": (_Zstd,),
}


def decoded(body: bytes, content_encoding: str | None, most: int = MOST_UNPACKED) -> tuple[bytes, bool]:
    """Return `body` without its content codings, and whether less came out than went in.

    Several codings ("gzip, br") are undone in reverse order. A coding that is not known leaves the bytes as they are. With no
    coding named (the headers of a call that was interrupted may be unknown), gzip and zstd are known by their first bytes.
    """
    cut = False
    for coding in _codings(body, content_encoding):
        body, short = _unpacked(body, coding, most)
        cut = cut or short
    return (body[:most], True) if len(body) > most else (body, cut)


def _codings(body: bytes, content_encoding: str | None) -> list[str]:
    """Return the codings to undo, the outermost first."""
    if content_encoding is None:
        return ["gzip"] if body.startswith(_GZIP_START) else ["zstd"] if body.startswith(_ZSTD_START) else []
    names = [name.strip().lower() for name in content_encoding.split(",")]
    return [name for name in reversed(names) if name and name != "identity"][:_MOST_CODINGS]


def _unpacked(body: bytes, coding: str, most: int) -> tuple[bytes, bool]:
    """Return what `body` unpacks to, and whether that is not all of it."""
    if not body:
        return body, False
    best = b""
    for unpacker in _CODINGS.get(coding, ()):
        try:
            inner = unpacker()
            out = inner.feed(body, most)
        except _BROKEN:
            out = b"".join(_until_broken(unpacker(), body, most))
        else:
            return out, not inner.done
        best = max(best, out, key=len)
    return (best, True) if best else (body, coding in _CODINGS)


def _until_broken(inner: _Unpacker, body: bytes, most: int) -> Iterator[bytes]:
    """Yield what comes out of a damaged body before the damage, to within a slice."""
    try:
        for at in range(0, len(body), _SLICE):
            piece = inner.feed(body[at : at + _SLICE], most)
            yield piece
            most -= len(piece)
            if most <= 0:
                return
    except _BROKEN:
        return
