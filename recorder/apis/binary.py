"""Binary content inside JSON: base64 is described in its place, so that a picture is not kept as text."""

from itertools import repeat
from typing import Any

from recorder.apis.reading import described

_SHORTEST = 256
_NUMBERS = frozenset({bool, int, float})
_BASE64_NAMES = frozenset({"b64_json", "bytesBase64Encoded", "data"})
_AUDIO_FORMATS = ("wav", "mp3", "flac", "opus", "pcm16", "aac", "pcm")


def base64_description(text: Any, media_type: str = "") -> dict[str, Any]:
    """Return the description of what the base64 text `text` holds, without decoding it."""
    return described(b"", media_type, size=base64_size(text))


def base64_size(text: Any) -> int:
    """Return how many bytes the base64 text `text` stands for."""
    if not isinstance(text, str):
        return 0
    return max(0, len(text) * 3 // 4 - text[-2:].count("="))


def without_binary(value: Any, media_type: str = "") -> Any:
    """Return the JSON value `value` with base64 content described, wherever the known APIs have it.

    Those are data URLs, Anthropic's `{"type": "base64"}`, Gemini's `inlineData`, OpenAI's `b64_json` and `input_audio`. What is shorter
    than a picture can be stays as it is. `media_type` is that of pictures for which nothing nearer says one.
    """
    return _described(value, media_type) if _may_hold_binary(value) else value


def _may_hold_binary(value: Any) -> bool:
    """Tell whether there is a text in `value` that must be looked at: in nearly all calls there is none, and looking is cheaper than rebuilding."""
    if isinstance(value, str):
        return value.startswith("data:")
    containers = [value]
    for container in containers:  # it grows on the way
        items = (
            container.items()
            if isinstance(container, dict)
            else zip(repeat(""), container)
            if isinstance(container, list)
            else ()
        )
        for name, item in items:
            if isinstance(item, str):
                if len(item) >= _SHORTEST and (name in _BASE64_NAMES or item.startswith("data:")):
                    return True
            elif isinstance(item, dict | list):
                containers.append(item)
    return False


def _described(value: Any, media_type: str) -> Any:
    """Return `value` with base64 content described."""
    if isinstance(value, str):
        return _without_data_url(value)
    if isinstance(value, list):
        return [_described(item, media_type) for item in value]
    if isinstance(value, dict):
        return _object_without_binary(value, media_type)
    return value


def _object_without_binary(value: dict[str, Any], media_type: str) -> dict[str, Any]:
    if all(map(_is_small, value.values())):
        return value
    named = _media_type(value)
    return {
        name: base64_description(item, named or media_type)
        if _is_base64(name, item, named)
        else _described(item, named or media_type)
        for name, item in value.items()
    }


def _is_small(value: Any) -> bool:
    """Tell whether a value surely holds nothing binary."""
    return len(value) < _SHORTEST if isinstance(value, str) else value is None or type(value) in _NUMBERS


def _is_base64(name: str, value: Any, media_type: str) -> bool:
    if not isinstance(value, str) or len(value) < _SHORTEST:
        return False
    return name in _BASE64_NAMES and (name != "data" or bool(media_type))


def _media_type(value: dict[str, Any]) -> str:
    """Return the media type that an object names for the base64 text in it, empty if it names none."""
    for name in ("mimeType", "mime_type", "media_type"):
        if isinstance(value.get(name), str):
            return str(value[name])
    if isinstance(value.get("format"), str) and value["format"] in _AUDIO_FORMATS:
        return f"audio/{value['format']}"
    return f"image/{value['output_format']}" if isinstance(value.get("output_format"), str) else ""


def _without_data_url(text: str) -> Any:
    if len(text) < _SHORTEST or not text.startswith("data:"):
        return text
    head, comma, _ = text[:_SHORTEST].partition(",")
    if not comma or not head.endswith(";base64"):
        return text
    return base64_description(text[len(head) + 1 :], head.removeprefix("data:").removesuffix(";base64"))
