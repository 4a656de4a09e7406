"""The `[destinations.NAME]` tables: each has a `type`, and the settings of that kind.

Kinds are read as they are used: their modules are light, and what they need to send (an HTTP client, protobuf) is imported when they are built.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from destinations import KINDS, config_class, kinds
from destinations.base import DestinationConfig

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


def read_destination(value: Any) -> DestinationConfig:
    """Return the settings of one destination, by its `type`.

    Raises:
        ValueError: it has none, or one that there is not.
        ValidationError: a setting of it is wrong, or there is none of that name; the message names the nearest.

    """
    if isinstance(value, DestinationConfig):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("this is a table: write its settings under it")  # noqa: TRY004 - what pydantic collects
    kind = value.get("type")
    if not isinstance(kind, str):
        raise ValueError(f'say what it is: type = "otlp", or one of {", ".join(kinds())}')  # noqa: TRY004 - as above
    found = config_class(kind)
    try:
        return found.model_validate(dict(value))
    except ValidationError as error:
        raise _with_hints(error, found) from None


def _with_hints(error: ValidationError, kind: type[DestinationConfig]) -> ValidationError:
    """Return the errors with the nearest setting named where there is none of a name: only the kind knows what there is."""
    details = error.errors(include_url=False, include_input=False)
    return ValidationError.from_exception_data(
        error.title,
        [InitErrorDetails(type=_told(one, kind), loc=one["loc"], input=None) for one in details],
        hide_input=True,
    )


def _told(detail: Any, kind: type[DestinationConfig]) -> PydanticCustomError:
    text = _unknown(detail["loc"], kind) if detail["type"] == "extra_forbidden" else None
    text = text or _PLAIN.get(detail["type"]) or str(detail.get("ctx", {}).get("error", "")) or detail["msg"]
    text = text.removeprefix("Value error, ").removeprefix("Input should be ")
    return PydanticCustomError("destination", "{told}", {"told": text, "error": text})


_PLAIN = {"missing": "it must be set", "string_type": "write a text", "bool_parsing": "write true or false"}


def _unknown(location: tuple[int | str, ...], kind: type[DestinationConfig]) -> str:
    near = get_close_matches(str(location[-1]), kind.model_fields, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kind.model_fields)}"
    return f"there is no such setting; {hint}"


# For editors. What a kind adds is only known once it is imported, and that is for those who use it.
_SCHEMA = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"type": "string", "examples": list(KINDS)}},
    "additionalProperties": True,
}
AnyDestination = Annotated[
    DestinationConfig,
    BeforeValidator(read_destination),
    PlainSerializer(lambda value: value.model_dump(mode="json")),
    WithJsonSchema(_SCHEMA),
]
DestinationsField = dict[Annotated[str, Field(pattern=NAME)], AnyDestination]
