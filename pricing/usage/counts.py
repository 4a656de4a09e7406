"""Counts out of a provider's usage object: none is believed before it was looked at."""

from collections.abc import Mapping
from typing import Any

_MOST = 2**53


class Counts:
    """Reads counts, and remembers whether one of them was impossible.

    A count that is negative, beyond all measure, or no integer (12.0 is one: some serializers write that) is None, and
    `anomalous` is set.
    """

    __slots__ = ("anomalous",)

    def __init__(self) -> None:
        self.anomalous = False

    def first(self, source: Mapping[str, Any], *names: str) -> int | None:
        """Return the first count among the fields `names` that the provider gave."""
        for name in names:
            value = source.get(name)
            if value is not None:
                return value if type(value) is int and 0 <= value <= _MOST else self.count(value)
        return None

    def count(self, value: Any) -> int | None:
        """Return `value`, which is not None, as a count."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value <= _MOST:
            return value
        self.anomalous = True
        return None
