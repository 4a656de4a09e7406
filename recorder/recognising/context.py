"""What stands in front of a number, where words may say what it is."""

import re

# As `recorder.redaction` writes them: a mask that says "phone" announces no telephone number.
_MASKS = re.compile(r"\[[a-z][a-z0-9_]{1,31}(?::[0-9a-f]{12})?\]")
_LONGEST_MASK = 48


def in_front(text: str, begin: int, near: int) -> str:
    """Return at most `near` letters before `begin`, without masks."""
    if text.find("[", max(begin - near - _LONGEST_MASK, 0), begin) < 0:
        return text[max(begin - near, 0) : begin]
    return _MASKS.sub("", text[max(begin - near - _LONGEST_MASK, 0) : begin])[-near:]
