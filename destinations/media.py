"""Pictures, sound and files in messages, as parts of the GenAI conventions: `blob` (held), `uri` (elsewhere), `file` (at the provider).

What the recorder did not hold is a part of type `binary` that says how large it was. Source: ../shared/reference/destinations.md section 3.5.
"""

from collections.abc import Callable, Mapping
from typing import Any

Part = dict[str, Any]
_KINDS = ("image", "video", "audio")
_OF_NAMES = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "video": "video",
    "file": "document",
    "input_file": "document",
    "document": "document",
}
# Where a block has what it is about, when that is an object or a text of its own.
_INNER = ("image_url", "input_audio", "audio", "audio_url", "video_url", "file", "source", "image", "document", "video")


def media_part(block: Mapping[str, Any]) -> Part | None:
    """Return the part that a block of a known type is (`{"type": "image_url", …}`); None for another type."""
    modality = _OF_NAMES.get(block.get("type") or "") if isinstance(block.get("type"), str) else None
    if modality is None:
        return None
    inner = next((block[name] for name in _INNER if isinstance(block.get(name), dict | str)), block)
    return part_of(inner, modality)


def part_of(inner: Any, modality: str = "document") -> Part:
    """Return the part of what a block holds: a URL, base64 with its media type, a file's id, or a description of what was not kept."""
    if isinstance(inner, str):
        return of_url(inner, modality)
    if not isinstance(inner, dict):
        return {"type": "binary", "modality": modality}
    for name, made in _FOUND.items():
        value = inner.get(name)
        if isinstance(value, str) and value:
            return made(value, inner, modality)
        if isinstance(value, dict):
            return _described(value, inner, modality)
    return _described(inner, inner, modality)


def of_url(url: str, modality: str) -> Part:
    """Return the part of a URL: what a data URL holds is held."""
    if not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "uri": url}
    head, _, content = url.partition(",")
    mime = head.removeprefix("data:").partition(";")[0]
    return _with_mime({"type": "blob", "modality": _modality(mime, modality), "content": content}, mime)


def _blob(content: str, inner: Mapping[str, Any], modality: str) -> Part:
    if content.startswith(("data:", "http://", "https://")):
        return of_url(content, modality)
    mime = _mime(inner, modality)
    part = _with_mime({"type": "blob", "modality": _modality(mime, modality), "content": content}, mime)
    transcript = inner.get("transcript")
    return part | ({"transcript": transcript} if isinstance(transcript, str) else {})


def _uri(uri: str, inner: Mapping[str, Any], modality: str) -> Part:
    mime = _mime(inner, modality)
    return _with_mime(of_url(uri, _modality(mime, modality)), mime)


def _file(file_id: str, inner: Mapping[str, Any], modality: str) -> Part:
    mime = _mime(inner, modality)
    return _with_mime({"type": "file", "modality": _modality(mime, modality), "file_id": file_id}, mime)


def _text(text: str, _inner: Mapping[str, Any], _modality: str) -> Part:
    return {"type": "text", "content": text}


def _described(value: Mapping[str, Any], inner: Mapping[str, Any], modality: str) -> Part:
    """Return the part of binary content that the recorder described instead of keeping it."""
    told = value.get("content_type") or value.get("mime_type")
    mime = told if isinstance(told, str) else _mime(inner, modality)
    part: Part = _with_mime({"type": "binary", "modality": _modality(mime, modality)}, mime)
    size, transcript = value.get("bytes"), inner.get("transcript")
    part |= {"bytes": size} if type(size) is int else {}
    return part | ({"transcript": transcript} if isinstance(transcript, str) else {})


_FOUND: Mapping[str, Callable[[str, Mapping[str, Any], str], Part]] = {
    "data": _blob,
    "file_data": _blob,
    "b64_json": _blob,
    "bytesBase64Encoded": _blob,
    "bytes": _blob,
    "url": _uri,
    "image_url": _uri,
    "file_url": _uri,
    "fileUri": _uri,
    "file_uri": _uri,
    "uri": _uri,
    "file_id": _file,
    "text": _text,
}


def _mime(inner: Mapping[str, Any], modality: str) -> str:
    for name in ("mimeType", "mime_type", "media_type"):
        if isinstance(inner.get(name), str):
            return str(inner[name])
    form = inner.get("format")
    return f"{modality}/{form}" if isinstance(form, str) and modality in _KINDS else ""


def _modality(mime: str, otherwise: str) -> str:
    kind = mime.partition("/")[0]
    return kind if kind in _KINDS else otherwise


def _with_mime(part: Part, mime: str) -> Part:
    if mime:
        part["mime_type"] = mime
    return part
