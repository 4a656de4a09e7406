"""A journal's records as bytes.

    marker (8)  crc32 of what follows (4)  kind, life, part, call id, three lengths (40)  meta  request  response

The marker is random and belongs to the segment (it is in the file's name), so that no body can look like a record when a reader searches
for the next one behind a damaged place. `life` tells the writers of one folder apart: the number of the first segment that a writer
made. `part` numbers the pieces of one call's bodies: a missing one is noticed, and one that was written twice counts once.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import msgspec

from domain.exchange import Closing, Opening
from storage.journal.frame import Frame

HEAD = struct.Struct("<8sI")
FIELDS = struct.Struct("<B3xII16sIII")
SMALLEST = HEAD.size + FIELDS.size
_WHOLE_HEAD = struct.Struct(HEAD.format + FIELDS.format.lstrip("<"))
NO_CALL = bytes(16)
JOIN_BYTES = 64 * 1024

_encoder = msgspec.msgpack.Encoder()
_openings = msgspec.msgpack.Decoder(Opening)
_both = msgspec.msgpack.Decoder(tuple[Opening, Closing])


class Kind(IntEnum):
    """What a record says. `CARRIED` and `SUPERSEDES` are written by the reader, see `carry`."""

    BOOT = 1
    OPENED = 2
    PROGRESS = 3
    CLOSED = 4
    CARRIED = 5
    SUPERSEDES = 6


class Payload(NamedTuple):
    """A record without its head: the same in every segment that it may be written to. A tuple, because every call makes two."""

    crc: int
    pieces: Sequence[bytes]
    size: int


def payload_of(  # noqa: PLR0913 - one argument for each field of the format
    kind: int,
    life: int,
    part: int,
    call: bytes,
    meta: bytes,
    *,
    request: Sequence[bytes] = (),
    response: Sequence[bytes] = (),
) -> Payload:
    """Return a record ready to be written. Large bodies are not copied."""
    request_bytes = sum(map(len, request))
    response_bytes = sum(map(len, response))
    fields = FIELDS.pack(kind, life, part, call, len(meta), request_bytes, response_bytes)
    size = len(fields) + len(meta) + request_bytes + response_bytes
    if size <= JOIN_BYTES:
        joined = b"".join((fields, meta, *request, *response))
        return Payload(zlib.crc32(joined), (joined,), size)
    crc = zlib.crc32(meta, zlib.crc32(fields))
    for piece in request:
        crc = zlib.crc32(piece, crc)
    for piece in response:
        crc = zlib.crc32(piece, crc)
    return Payload(crc, (fields, meta, *request, *response), size)


def opened_payload(opening: Opening, life: int) -> Payload:
    """Return the record of a call that begins."""
    return payload_of(Kind.OPENED, life, 0, bytes.fromhex(opening.id), _encoder.encode(opening))


def closed_payload(  # noqa: PLR0913 - as `payload_of`
    opening: Opening,
    closing: Closing,
    life: int,
    part: int,
    *,
    request: Sequence[bytes],
    response: Sequence[bytes],
) -> Payload:
    """Return the record of a call's end. It can be read without any other record of the call."""
    return payload_of(
        Kind.CLOSED,
        life,
        part,
        bytes.fromhex(opening.id),
        _encoder.encode((opening, closing)),
        request=request,
        response=response,
    )


def without_bodies(closing: Closing) -> Closing:
    """Return `closing` of a record that is kept without its bodies."""
    return replace(
        closing,
        request_cut=closing.request_cut or closing.request_bytes > 0,
        response_cut=closing.response_cut or closing.response_bytes > 0,
    )


def encoded_opening(opening: Opening | None) -> bytes:
    """Return the meta of a carried record; empty where the opening was lost."""
    return b"" if opening is None else _encoder.encode(opening)


def decoded_opening(meta: memoryview) -> Opening | None:
    """Return the opening in `meta`, or None if it is not one this version can read."""
    try:
        return _openings.decode(meta)
    except msgspec.DecodeError:
        return None


def decoded_closed(meta: memoryview) -> tuple[Opening, Closing] | None:
    """Return what a closed record says, or None if this version cannot read it."""
    try:
        return _both.decode(meta)
    except msgspec.DecodeError:
        return None


def size_in(head: bytes | memoryview, marker: bytes) -> int | None:
    """Return the whole size of the record that begins with `head` (`SMALLEST` bytes), or None if none begins here."""
    if len(head) < SMALLEST:
        return None
    found, _, _, _, _, _, meta, request, response = _WHOLE_HEAD.unpack_from(head)
    return SMALLEST + int(meta) + int(request) + int(response) if found == marker else None


def frame_in(data: memoryview, marker: bytes) -> Frame | None:
    """Return the record that `data` begins with, or None if there is no whole one, or it is damaged."""
    if len(data) < SMALLEST:
        return None
    found, crc, kind, life, part, call, meta, request, response = _WHOLE_HEAD.unpack_from(data)
    meta_end = SMALLEST + meta
    request_end = meta_end + request
    end = request_end + response
    if found != marker or end > len(data) or zlib.crc32(data[HEAD.size : end]) != crc:
        return None
    return Frame(kind, life, part, call, data[SMALLEST:meta_end], data[meta_end:request_end], data[request_end:end], end)
