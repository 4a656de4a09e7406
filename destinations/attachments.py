"""Pictures, sound and files of a call, as they passed: taken out of the recorded bodies, for platforms that keep them beside a call.

What a body means (`Content.input`, `Content.output`) says of such things only what they are and how large. Bodies come from apps and providers, so nothing is
taken for granted of them, and what is found is bounded.
"""

import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from domain.destinations import Parcel
from domain.exchange import Headers

MOST = 20
MOST_BYTES = 8 * 1024 * 1024
OTHER = "application/octet-stream"
# Shorter ones are no pictures. What stands before a run is looked at, so that a run is tried from its start only: that keeps it linear.
_SHORTEST = 1_024
_BASE64 = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{1024}")
_NAMES = frozenset({"data", "b64_json", "bytesBase64Encoded", "file_data", "bytes"})
_MEDIA_NAMES = ("mimeType", "mime_type", "media_type")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_BOUNDARY = re.compile(r"boundary=\"?([A-Za-z0-9'()+_,./:=? -]{1,70})")
_URL_SAFE = str.maketrans("-_", "+/")
_FORMATS = {
    **{name: f"audio/{name}" for name in ("wav", "mp3", "flac", "opus", "aac", "pcm", "pcm16", "ogg")},
    **{name: f"image/{name}" for name in ("png", "jpeg", "gif", "webp")},
    **{name: f"video/{name}" for name in ("mp4", "webm", "mkv")},
    "pdf": "application/pdf",
}
_FIRST_BYTES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "audio/wav",
    b"ID3": "audio/mpeg",
    b"%PDF": "application/pdf",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
}
_WEBP = slice(8, 12)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One picture, sound or file. `name` holds no dot, and is its own within the call."""

    name: str
    media_type: str
    data: bytes


def attachments_of(parcel: Parcel) -> list[Attachment]:
    """Return what a call had in it of pictures, sound and files, those that were asked with first: at most 20, of 8 MiB together.

    None where there is no content, and where anything was taken out of it so that it fits.
    """
    content = parcel.content
    if content is None or parcel.shortened is not None:
        return []
    found: list[Attachment] = []
    left = MOST_BYTES
    bodies = (("request", content.request_headers, content.request), ("response", content.response_headers, content.response))
    for side, headers, body in bodies:
        for number, (told, data) in enumerate(_files_in(body, headers), 1):
            if len(data) > left or len(found) == MOST:
                continue
            left -= len(data)
            media_type = _known(told, data)
            found.append(Attachment(f"{side}-{number}-{media_type.partition('/')[0]}", media_type, data))
    return found


def _files_in(body: bytes, headers: Headers) -> Iterator[tuple[str, bytes]]:
    """Yield media type and bytes of each file in a body: itself, a part of a form, or base64 in JSON."""
    told = next((value for name, value in headers if name.lower() == "content-type"), "")
    kind = told.partition(";")[0].strip().lower()
    if kind.startswith(("audio/", "image/", "video/")) and body:
        yield kind, body
    elif kind == "multipart/form-data":
        yield from _files_of_form(body, told)
    elif _BASE64.search(body) and body.lstrip()[:1] in {b"{", b"["}:
        yield from _files_of_json(body)


def _files_of_form(body: bytes, content_type: str) -> Iterator[tuple[str, bytes]]:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return
    # The part behind the last boundary is none, nor is one that was cut off.
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].strip().encode())[1:-1]:
        head, blank, data = part.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        if blank and data and any("filename" in line for line in lines):
            yield next((line.partition(":")[2].strip() for line in lines if line.startswith("content-type:")), ""), data


def _files_of_json(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    waiting: list[tuple[Any, str]] = [(value, "")]
    while waiting:
        value, media_type = waiting.pop()
        if isinstance(value, dict):
            media_type = _named_in(value) or media_type
            yield from _read(value.items(), media_type)
        elif isinstance(value, list):
            yield from _read((("", item) for item in value), media_type)
        inner = value.values() if isinstance(value, dict) else value
        waiting.extend((one, media_type) for one in reversed([one for one in inner if isinstance(one, dict | list)]))


def _read(items: Any, media_type: str) -> Iterator[tuple[str, bytes]]:
    for name, item in items:
        if not isinstance(item, str) or len(item) < _SHORTEST:
            continue
        if item.startswith("data:"):
            head, _, text = item.partition(",")
            told, _, coding = head.removeprefix("data:").partition(";")
            data = _decoded(text) if coding.endswith("base64") else None
        else:
            told, data = media_type, _decoded(item) if name in _NAMES else None
        if data:
            yield told, data


def _named_in(value: dict[str, Any]) -> str:
    """Return the media type that an object names for what is in it."""
    told: Sequence[Any] = [value.get(name) for name in _MEDIA_NAMES]
    named = next((one for one in told if isinstance(one, str)), "")
    if named:
        return named
    form = value.get("format", value.get("output_format"))
    return _FORMATS.get(form, "") if isinstance(form, str) else ""


def _decoded(text: str) -> bytes | None:
    """Return what a text in base64 stands for, None if it is none."""
    try:
        return binascii.a2b_base64(text.translate(_URL_SAFE) + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def _known(media_type: str, data: bytes) -> str:
    """Return a media type that can stand in a header: what was told, or else what the data begins like."""
    told = media_type.partition(";")[0].strip().lower()
    if _MEDIA_TYPE.fullmatch(told) and told != OTHER:
        return told
    if data[_WEBP] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _FIRST_BYTES.items() if data.startswith(start)), OTHER)
