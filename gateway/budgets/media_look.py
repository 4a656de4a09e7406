"""Pictures, sounds and files in a request, wherever they stand in it: how large they are, and which are not in it at all."""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pricing.tokens.image_sizes import size_of_base64
from pricing.tokens.images import Picture

# Where messages stand. What stands elsewhere (the schema of a tool, say) is text to the model, whatever it looks like.
_MESSAGES = frozenset(
    {
        "messages",
        "input",
        "contents",
        "content",
        "system",
        "systemInstruction",
        "system_instruction",
        "prompt",
        "image",
        "images",
        "requests",
    }
)
# What the model called a tool with is text as well.
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
# No part of any dialect that is not text has none of these at the start of a name or a type. A false alarm costs only time.
SIGNS = (b"image", b"input_[aifv]", b"file", b"audio", b"video", b"document", b"inline", b"item_ref", b"container_u", b"url")
_SIGNS = re.compile(b'"(?:%b)' % b"|".join(SIGNS))
_STORED_KEYS = frozenset(
    {"file_id", "file_url", "document_url", "video_url", "audio_url", "fileUri", "file_uri", "fileData", "file_data"}
)
_STORED_TYPES = frozenset({"item_reference", "container_upload", "input_file", "document", "file", "video", "input_video"})
_BASE64 = (3, 4)
A_FILE = "a file in it may be as long as the model can read"


@dataclass(slots=True)
class Media:
    """What is not text. `media_bytes` is how much of the body it takes, `open_input` why the input may be as long as the model's context."""

    pictures: list[Picture] = field(default_factory=list)
    audio_bytes: int = 0
    media_bytes: int = 0
    open_input: str | None = None


def may_have_media(body: bytes) -> bool:
    """Return whether there may be anything but text in a body: a quick look that errs on the safe side."""
    return _SIGNS.search(body) is not None or has_escapes(body)


def has_escapes(body: bytes) -> bool:
    """Return whether letters of a name in it may be written as escapes, so that looking for the name does not find it."""
    return b"\\" in body and b"\\u00" in body


def media_in(body: bytes) -> Media:
    """Return what of a JSON body is not text."""
    found = Media()
    top = msgspec.json.decode(body)
    waiting: list[Any] = [value for name, value in top.items() if name in _MESSAGES]
    if isinstance(top.get("images"), list):
        waiting.append({"images": top["images"]})
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not _taken(value, found):
                waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def _taken(part: dict[str, Any], found: Media) -> bool:
    """Note an object that is a picture, a sound or a file; return whether there is nothing more to look for in it."""
    kind = part.get("type")
    if kind in _CALLS or "functionCall" in part or "function_call" in part:
        return True
    answer = part.get("functionResponse", part.get("function_response"))
    if isinstance(answer, dict):
        _take_answer(answer, found)
        return True
    if isinstance(part.get("images"), list):
        for picture in part["images"]:
            _take_picture(picture, None, found)
        return False
    return _is_picture(part, kind, found) or _is_other(part, kind, found)


def _is_picture(part: dict[str, Any], kind: Any, found: Media) -> bool:
    if "image_url" in part:
        _take_url(part["image_url"], part.get("detail"), found)
    elif kind == "image" and "source" in part:
        _take_source(part["source"], found)
    elif kind in {"image", "input_image"}:
        _take_picture(part.get("data"), part.get("detail"), found)
    else:
        return False
    return True


def _is_other(part: dict[str, Any], kind: Any, found: Media) -> bool:
    inline = part.get("inlineData", part.get("inline_data"))
    if isinstance(part.get("input_audio"), dict):
        _take_audio(part["input_audio"].get("data"), found)
    elif isinstance(inline, dict):
        _take_inline(inline, found)
    elif (isinstance(kind, str) and kind in _STORED_TYPES and not _is_text(part)) or not _STORED_KEYS.isdisjoint(part):
        found.open_input = found.open_input or A_FILE
    else:
        return False
    return True


def _take_answer(answer: dict[str, Any], found: Media) -> None:
    """Note what a tool of the app answered beside text."""
    parts = answer.get("parts")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            _taken(part, found)


def _is_text(part: dict[str, Any]) -> bool:
    """Return whether a document is given as plain text."""
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") == "text"


def _take_url(value: Any, detail: Any, found: Media) -> None:
    if isinstance(value, dict):
        detail = value.get("detail", detail)
        value = value.get("url")
    _take_picture(value if isinstance(value, str) and value.startswith("data:") else None, detail, found)


def _take_source(source: Any, found: Media) -> None:
    data = source.get("data") if isinstance(source, dict) and source.get("type") == "base64" else None
    _take_picture(data, None, found)


def _take_inline(inline: dict[str, Any], found: Media) -> None:
    kind = str(inline.get("mimeType", inline.get("mime_type", "")))
    if kind.startswith("image/"):
        _take_picture(inline.get("data"), None, found)
    elif kind.startswith("audio/"):
        _take_audio(inline.get("data"), found)
    elif not kind.startswith("text/"):
        found.open_input = found.open_input or A_FILE


def _take_picture(data: Any, detail: Any, found: Media) -> None:
    text = data if isinstance(data, str) else None
    found.pictures.append(Picture(None if text is None else size_of_base64(text), detail if isinstance(detail, str) else None))
    found.media_bytes += len(text or "")


def _take_audio(data: Any, found: Media) -> None:
    if isinstance(data, str):
        found.audio_bytes += len(data) * _BASE64[0] // _BASE64[1] + 1
        found.media_bytes += len(data)
