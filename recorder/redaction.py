"""Redaction: personal data and secrets are masked before anything is stored; what was masked is counted by kind.

Names and addresses of people need a model to find, and are not promised.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from recorder.recognisers import RECOGNISERS, SECRET_NAMES, luhn

WINDOW = 1 << 20
SEAM = 4096
DEEPEST = 200
CARD_DIGITS = range(13, 20)


def redact_text(text: str, counts: Counter[str]) -> str:
    """Return `text` with what was recognised masked as `[kind]`, and count it.

    A long text is taken in windows of 1 MB, cut at white space where there is any near the end.
    """
    if len(text) <= WINDOW:
        return _redact_window(text, counts)
    parts = []
    place = 0
    while place < len(text):
        end = _window_end(text, place)
        parts.append(_redact_window(text[place:end], counts))
        place = end
    return "".join(parts)


def redact_value(value: Any, counts: Counter[str], depth: int = 0) -> Any:
    """Return a JSON value with its texts redacted, and what stands under a secret's name masked whole."""
    if isinstance(value, str):
        return redact_text(value, counts)
    if depth > DEEPEST:
        return "[too deep]" if isinstance(value, dict | list) else value
    if isinstance(value, dict):
        return {name: _redact_member(name, member, counts, depth) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(member, counts, depth + 1) for member in value]
    if isinstance(value, int) and not isinstance(value, bool) and _is_card_number(value):
        counts["card"] += 1
        return "[card]"
    return value


def summary(counts: Counter[str]) -> str:
    """Return a note on what was masked, without any of it."""
    return "redacted: " + (", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing found")


def _redact_member(name: str, member: Any, counts: Counter[str], depth: int) -> Any:
    if isinstance(member, str) and member and name.lower().replace("-", "_") in SECRET_NAMES:
        counts["secret"] += 1
        return "[secret]"
    return redact_value(member, counts, depth + 1)


def _is_card_number(value: int) -> bool:
    digits = str(value) if 0 < value < 10**20 else ""
    return len(digits) in CARD_DIGITS and digits[0] in "3456" and luhn(digits)


def _window_end(text: str, place: int) -> int:
    end = min(place + WINDOW, len(text))
    if end == len(text):
        return end
    seam = max(text.rfind(" ", end - SEAM, end), text.rfind("\n", end - SEAM, end))
    return seam + 1 if seam > 0 else end


def _redact_window(text: str, counts: Counter[str]) -> str:
    for recogniser in RECOGNISERS:
        if recogniser.clue.search(text):
            text = _mask(text, recogniser.kind, recogniser.find, counts)
    return text


def _mask(text: str, kind: str, find: Callable[[str], Any], counts: Counter[str]) -> str:
    parts: list[str] = []
    place = 0
    for begin, end in sorted(find(text)):
        if begin < place or text[begin] == "[":
            continue
        parts += [text[place:begin], f"[{kind}]"]
        place = end
        counts[kind] += 1
    return "".join([*parts, text[place:]]) if parts else text
