r"""Patterns of `matches`: the part of RE2 that costs little.

The engine behind CEL runs in linear time, but it compiles a pattern each time it is used, with the classes of Unicode: `\w{50}` costs 13 ms.
So `\w`, `\d`, `\s` and `\b` are those of ASCII here, as RE2 has them, and the size of a pattern is bounded.
"""

import re

MOST_REPETITIONS = 50
MOST_UNITS = 400
_ASCII = {"w": "0-9A-Za-z_", "d": "0-9", "s": r"\t\n\x0b\x0c\r "}
_PLAIN_ESCAPES = frozenset(r"nrtfvaAzx0123456789")
_GROUP = re.compile(r"\(\?(?:[imsU]+[:)]|:|P?<[A-Za-z_]\w*>)")
_COUNT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
# How much more a part costs to compile than one letter. Measured: 1 us for a letter, 4 us for what takes in all of Unicode.
_WIDE, _ANY_CASE = 4, 3


def checked_pattern(pattern: str) -> str:
    """Return a pattern as the engine is to get it.

    Raises:
        ValueError: it cannot be used, or would cost too much.

    """
    counts = [int(count) for found in _COUNT.finditer(pattern) for count in found.groups() if count]
    if any(count > MOST_REPETITIONS for count in counts):
        raise ValueError(f"A pattern may repeat something at most {MOST_REPETITIONS} times (`{{n}}`).")
    translated, units = _Reader(pattern).read()
    if units > MOST_UNITS:
        raise ValueError("The pattern is too large: repetitions in each other multiply. Use fewer of them, or shorter ones.")
    return translated


class _Reader:
    """Goes through a pattern once: writes it anew, and adds up what it costs."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._letter = _ANY_CASE if re.search(r"\(\?[a-zA-Z]*i", pattern) else 1
        self._sizes = [0]
        self._last = 0
        self._written: list[str] = []

    def read(self) -> tuple[str, int]:
        place = 0
        while place < len(self._pattern):
            place = self._part(place)
        return "".join(self._written), sum(self._sizes)

    def _part(self, place: int) -> int:
        sign = self._pattern[place]
        if sign == "\\":
            self._written.append(self._escape(place))
            self._add(_WIDE if self._pattern[place + 1].isupper() else self._letter)
            return place + 2
        if sign == "[":
            return self._class(place)
        count = _COUNT.match(self._pattern, place) if sign == "{" else None
        text = count[0] if count else self._opening(place) if sign == "(" else sign
        self._written.append(text)
        if count:
            self._add(self._last * (max(int(count[2] or count[1]), 1) - 1), again=True)
        elif sign == "(":
            self._sizes += [] if text.endswith(")") else [0]
        elif sign == ")" and len(self._sizes) > 1:
            self._add(self._sizes.pop())
        elif sign not in "*+?|^$":
            self._add(_WIDE if sign == "." or not sign.isascii() else self._letter)
        return place + len(text)

    def _add(self, units: int, *, again: bool = False) -> None:
        self._sizes[-1] += units
        self._last = self._last + units if again else units

    def _opening(self, place: int) -> str:
        if self._pattern[place + 1 : place + 2] != "?":
            return "("
        found = _GROUP.match(self._pattern, place)
        if found is None:
            raise ValueError(_wrong(f"`{self._pattern[place : place + 4]}` is not supported"))
        return found[0]

    def _escape(self, place: int) -> str:
        if place + 1 >= len(self._pattern):
            raise ValueError(_wrong("it ends in a backslash"))
        sign = self._pattern[place + 1]
        if sign.lower() in _ASCII:
            return f"[{'^' if sign.isupper() else ''}{_ASCII[sign.lower()]}]"
        if sign == "b":
            return r"(?-u:\b)"
        if sign.isalnum() and sign not in _PLAIN_ESCAPES:
            raise ValueError(_wrong(f"`\\{sign}` is not supported"))
        return f"\\{sign}"

    def _class(self, place: int) -> int:
        """Write the class that begins at `place`, and return the place behind it."""
        start, end, depth = place, place, 0
        written = []
        while end < len(self._pattern):
            sign = self._pattern[end]
            if sign == "\\":
                written.append(self._escape(end).replace(r"(?-u:\b)", r"\x08"))
                end += 2
                continue
            first = end == start + 1 or (end == start + 2 and self._pattern[start + 1] == "^")
            depth += (sign == "[") - (sign == "]" and not (first and depth == 1))
            written.append(sign)
            end += 1
            if depth == 0:
                break
        inner = self._pattern[start:end]
        self._written += written
        self._add(_WIDE if "^" in inner or not inner.isascii() or re.search(r"\\[A-Z]", inner) else self._letter)
        return end


def _wrong(why: str) -> str:
    return f"The pattern of `matches` is not a regular expression that can be used (RE2 syntax): {why}."
