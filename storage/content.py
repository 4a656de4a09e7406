"""The bodies of a call as they are stored: one zstd frame, so that request, answer and headers share what they have in common.

`Content.input` and `Content.output` usually are the JSON of the request and of the answer, as it passed or within gzip. They are stored
only where they are not.
"""

import zlib
from typing import Any

import msgspec
import zstandard

from domain.spans import Content
from storage.dictionary import FIRST
from storage.packing import CannotPack, packed, unpacked

LEVEL = 1
# A small content is mostly what the dictionary has: this takes half the time and a thirtieth more room.
FAST_LEVEL, _SMALL = -1, 4096
LARGEST_PLAIN = 64 * 1024 * 1024
# Which dictionary a content was packed with.
_FIRST = b"1"
_FROM_BODY = b"="
_GZIP = b"\x1f\x8b"
_as_value = msgspec.json.Decoder().decode
_as_bytes = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


class ContentPacker:
    """Packs and unpacks contents. It reuses its buffers, so each thread needs its own."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=FIRST)
        self._fast = zstandard.ZstdCompressor(level=FAST_LEVEL, dict_data=FIRST)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=FIRST)

    def packed(self, content: Content) -> bytes:
        """Return `content` as bytes."""
        parts = (
            _packed_headers(content),
            content.request,
            content.response,
            content.marks,
            _packed_value(content.input, content.request, is_body=content.input_is_body),
            _packed_value(content.output, content.response, is_body=content.output_is_body),
        )
        data = _as_bytes(parts)
        return _FIRST + (self._fast if len(data) < _SMALL else self._compressor).compress(data)

    def unpacked(self, data: bytes) -> Content:
        """Return the content that `packed` was given.

        Raises:
            ValueError: these are not bytes that `packed` made.
        """
        if data[:1] != _FIRST:
            raise ValueError("a stored content has an unknown form; was it written by a newer version?")
        try:
            headers, request, response, marks, given, answered = msgspec.msgpack.decode(
                self._decompressor.decompress(memoryview(data)[1:])
            )
        except zstandard.ZstdError as error:
            raise ValueError("a stored content cannot be decompressed") from error
        request_headers, response_headers = unpacked(headers)
        return Content(
            request_headers=_pairs(request_headers),
            response_headers=_pairs(response_headers),
            request=request,
            response=response,
            input=_unpacked_value(given, request),
            output=_unpacked_value(answered, response),
            marks=marks,
        )


def _packed_headers(content: Content) -> bytes:
    return packed((content.request_headers, content.response_headers))


def _pairs(headers: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers)


def _packed_value(value: Any, body: bytes, *, is_body: bool) -> bytes:
    """Return `value` packed, or a mark that it is the JSON of `body`, or nothing where it is None or cannot be written at all."""
    if value is None:
        return b""
    if is_body or _is_json_of(value, body):
        return _FROM_BODY
    try:
        return packed(value)
    except CannotPack:
        # Nested too deeply for any encoder. The body that it was read from is kept.
        return b""


def _is_json_of(value: Any, body: bytes) -> bool:
    """Return whether `body` is JSON for `value` itself, however it is written: 1, 1.0 and true are three things."""
    try:
        text = _json(value)
        return bool(text == body or _json(_as_value(_plain(body))) == text)
    except CannotPack:
        return False


def _plain(body: bytes) -> bytes:
    """Return what is in a gzip body, another body as it is.

    Raises:
        ValueError: it is damaged, or larger than anything that was made of it here.
    """
    if not body.startswith(_GZIP):
        return body
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, LARGEST_PLAIN)
    except zlib.error as error:
        raise ValueError("a body is not the gzip that it begins as") from error
    if not unpacker.eof:
        raise ValueError("a body within gzip is cut, or too large")
    return plain


def _unpacked_value(data: bytes, body: bytes) -> Any:
    if not data:
        return None
    return _as_value(_plain(body)) if data == _FROM_BODY else unpacked(data)
