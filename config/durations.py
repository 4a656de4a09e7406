"""Durations in settings, as people write them: `"10s"`, `"1h30m"`, `"30d"`, or a plain number of seconds."""

from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from domain.durations import UNITS, seconds_of

__all__ = ["UNITS", "Duration", "duration"]

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
    seconds = seconds_of(value)
    written = str(value).strip() if isinstance(value, str) else ""
    return Duration(seconds, written if written.endswith(tuple(UNITS)) else None)
