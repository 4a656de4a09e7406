"""Fields that rules add to what a destination gets: what an expression made, if it is small and plain enough."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

LONGEST_TEXT, MOST_MEMBERS, LONGEST_KEY = 1_024, 64, 128
_LARGEST = 2**63


class NoExtra(ValueError):
    """A value cannot be a field; the message says why."""


def extra_of(value: Any) -> Any:
    """Return a value as a field of JSON: a text, a number, true or false, a list of these, or a map of these by texts.

    A long text, list or map is cut. A time becomes a text, a duration seconds.

    Raises:
        NoExtra: it is none of these.

    """
    if isinstance(value, list):
        return [_scalar(one) for one in value[:MOST_MEMBERS]]
    if isinstance(value, Mapping):
        return {_key(key): _scalar(value[key]) for key in list(value)[:MOST_MEMBERS]}
    return _scalar(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NoExtra("the names in a map must be texts")
    return key[:LONGEST_KEY]


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
        return value
    if isinstance(value, float) and -_LARGEST < value < _LARGEST:  # neither infinite nor nan
        return value
    raise NoExtra("it is not known" if value is None else f"a field cannot be {type(value).__name__}")
