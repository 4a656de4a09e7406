"""Durations as people write them: `"10s"`, `"1h30m"`, `"30d"`, or a plain number of seconds."""

import re
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_LONGEST = 100 * 366 * 86_400.0
_PATTERN = r"^((\d+(\.\d+)?)(ms|s|m|h|d|w))+$"


class Duration(float):
    """Seconds, which remember how they were written."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, seconds: float, written: str | None = None) -> Self:
        """Keep `seconds`; `written` is the text that they came from."""
        self = super().__new__(cls, seconds)
        self.written = written if written is not None else f"{seconds:g}s"
        return self

    def __reduce__(self) -> tuple[type["Duration"], tuple[float, str]]:
        return Duration, (float(self), self.written)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read anything that `duration` reads; write the text."""
        del source, handler
        writing = core_schema.plain_serializer_function_ser_schema(lambda value: value.written)
        return core_schema.no_info_plain_validator_function(duration, serialization=writing)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Tell editors what can be written."""
        del schema, handler
        return {"anyOf": [{"type": "string", "pattern": _PATTERN}, {"type": "number", "minimum": 0}]}


def duration(value: Any) -> Duration:
    """Return what `value` says, in seconds.

    Raises:
        ValueError: it is not a duration, or one of more than a hundred years.
    """
    if isinstance(value, Duration):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _checked(Duration(value), value)
    text = str(value).strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _checked(Duration(float(text)), value)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'write a duration such as "10s", "5m", "1h30m" or "30d", not {value!r}')
    return _checked(Duration(sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text)), text), value)


def _checked(found: Duration, value: Any) -> Duration:
    if not 0 <= found <= _LONGEST:
        raise ValueError(f"a duration is between 0 and a hundred years, not {value!r}")
    return found
