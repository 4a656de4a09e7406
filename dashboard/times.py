"""Times and durations as people write them: RFC 3339, or relative to now (`24h`)."""

import re
from datetime import UTC, datetime

NANOSECONDS = 10**9
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
LONGEST = 100 * 365 * 86_400


def seconds_of(text: str) -> int:
    """Return a duration such as `90s`, `24h` or `30d` in seconds.

    Raises:
        ValueError: it is not one.

    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or int(found[1]) * _UNITS[found[2]] > LONGEST:
        raise ValueError(f"`{text[:40]}` is not a duration; write one such as `90s`, `24h` or `30d`.")
    return int(found[1]) * _UNITS[found[2]]


def instant_of(text: str, now: float) -> int:
    """Return a time as Unix nanoseconds: RFC 3339 (UTC where no zone is named), or so long ago (`24h`), or `now`.

    Raises:
        ValueError: it is neither.

    """
    text = text.strip()
    if text == "now":
        return int(now * NANOSECONDS)
    if _DURATION.fullmatch(text):
        return max(int((now - seconds_of(text)) * NANOSECONDS), 0)
    try:
        # A `+` in a query string that was not encoded arrives as a space.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        # Nothing was recorded before 1970, and databases take no number that large.
        return max(int(at.timestamp()) * NANOSECONDS + at.microsecond * 1000, 0)
    except (ValueError, OverflowError):
        raise ValueError(f"`{text[:40]}` is not a time; write 2026-01-31T12:00:00Z, or 24h for 24 hours ago.") from None
