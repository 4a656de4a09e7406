"""The attributes of one OTLP span, written in place: five times as fast as making messages of their own (../shared/reference/destinations.md 3.3)."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from destinations.jsontext import clean, json_bytes
from destinations.messages import Messages, messages_of
from domain.destinations import Parcel

LARGEST_INT = 2**63 - 1


class Attributes:
    """Takes attributes by name and writes them. The first of a name counts; None writes nothing; no value makes it raise.

    `add` appends an empty OTLP `KeyValue`. What mappers ask of the parcel in common is worked out once: `messages`, `texts`.
    """

    def __init__(self, add: Callable[[], Any], parcel: Parcel) -> None:
        self._add = add
        self._parcel = parcel
        self._names: set[str] = set()

    @cached_property
    def messages(self) -> Messages:
        """What was asked and answered."""
        return messages_of(self._parcel.content)

    def leave_out(self, *names: str) -> None:
        """Write none of these, whoever asks for it: a platform would take them for something else."""
        self._names.update(names)

    def text(self, name: str, value: str | None) -> None:
        """Write a text; an empty one is one."""
        if value is None or name in self._names:
            return
        target = self._value(name)
        try:
            target.string_value = value if "\0" not in value else clean(value)
        except UnicodeEncodeError:
            target.string_value = clean(value)

    def whole(self, name: str, value: int | None) -> None:
        """Write a whole number of at most 64 bits; a larger one is left out."""
        if value is not None and name not in self._names and -LARGEST_INT <= value <= LARGEST_INT:
            self._value(name).int_value = value

    def real(self, name: str, value: float | None) -> None:
        """Write a number; what is not finite is left out."""
        if value is not None and name not in self._names and math.isfinite(value):
            self._value(name).double_value = value

    def flag(self, name: str, value: bool | None) -> None:
        """Write true or false."""
        if value is not None and name not in self._names:
            self._value(name).bool_value = value

    def texts(self, name: str, values: Collection[str]) -> None:
        """Write a list of texts; an empty one is left out."""
        if values and name not in self._names:
            add = self._value(name).array_value.values.add
            for value in values:
                add().string_value = clean(value)

    def json(self, name: str, value: Any) -> None:
        """Write a value as JSON in a text; an empty one is left out."""
        if (value or value == 0) and name not in self._names:
            self._value(name).string_value = json_bytes(value)  # a string field takes UTF-8 as it is

    def any(self, name: str, value: Any) -> None:
        """Write a value as what it is: text, number, flag, list of texts; else as JSON."""
        if isinstance(value, str):
            self.text(name, value)
        elif isinstance(value, bool):
            self.flag(name, value)
        elif isinstance(value, int):
            self.whole(name, value)
        elif isinstance(value, float):
            self.real(name, value)
        elif isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
            self.texts(name, value)
        else:
            self.json(name, value)

    def _value(self, name: str) -> Any:
        """Return the empty `AnyValue` of a new attribute."""
        self._names.add(name)
        attribute = self._add()
        try:
            attribute.key = name
        except UnicodeEncodeError:
            attribute.key = clean(name)
        return attribute.value


# Writes what one dialect has to say of a parcel.
Mapper = Callable[[Parcel, Attributes], None]


def flags_of(tags: Mapping[str, str]) -> list[str]:
    """Return the tags that are only names (`x-faregate-tags: beta`), which platforms show as tags; the others are metadata."""
    return [name for name, value in tags.items() if value == "true"]
