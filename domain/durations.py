"""Durations as people write them, in seconds: `"10s"`, `"1h30m"`, `"30d"`, or a plain number."""

import re
from typing import Any

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_LONGEST = 100 * 366 * 86_400.0


def seconds_of(value: Any) -> float:
    """Return what `value` says, in seconds.

    Raises:
        ValueError: it is not a duration, or one of more than a hundred years.
    """
    seconds = _seconds(value)
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"a duration is between 0 and a hundred years, not {value!r}")
    return seconds


def duration_text(seconds: float) -> str:
    """Return seconds as people write them, in the largest unit that they are a whole number of: 604800 is `1w`."""
    whole = (unit for unit in ("w", "d", "h", "m") if seconds and seconds % UNITS[unit] == 0)
    unit = next(whole, "s")
    return f"{seconds / UNITS[unit]:g}{unit}"


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'write a duration such as "10s", "5m", "1h30m" or "30d", not {value!r}')
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
