"""Values at paths of a provider's usage object: none is believed before it was looked at."""

from typing import Any

ANOMALOUS = "anomalous"
TOTAL_MISMATCH = "total_mismatch"
_LARGEST = 2**53


class Numbers:
    """Reads counts, times and words from one JSON object by their paths, and remembers whether a number was impossible.

    A count that is not there is None. So is one that is negative, has a fraction, is no number, or is beyond all measure; then
    `impossible` is set.
    """

    def __init__(self, source: Any) -> None:
        self.source: dict[str, Any] = source if isinstance(source, dict) else {}
        self.impossible = False

    def whole(self, *path: str) -> int | None:
        """Return the count at `path`."""
        return self.checked(self.at(*path))

    def checked(self, value: Any) -> int | None:
        """Return `value` as a count."""
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():  # some serializers write 12.0
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
            self.impossible = True
            return None
        return value

    def seconds(self, *path: str) -> float | None:
        """Return the length of time at `path`, in seconds."""
        value = self.at(*path)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
            self.impossible = True
            return None
        return float(value)

    def word(self, *path: str) -> str | None:
        """Return the string at `path`, if there is one with something in it."""
        value = self.at(*path)
        return value if isinstance(value, str) and value else None

    def at(self, *path: str) -> Any:
        """Return whatever stands at `path`, None where the path ends early."""
        value: Any = self.source
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def added(*counts: int | None) -> int | None:
    """Return the sum of the counts that are known, None if none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def more_than(part: int | None, whole: int | None) -> bool:
    """Tell whether a part is larger than its whole, which cannot be."""
    return part is not None and whole is not None and part > whole
