"""The page of settings, from the one document that `config/` reads them into."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.durations import Duration
from config.settings import Settings

_START = """# Configuration

Settings come from `faregate.toml`, from environment variables, and from flags; each wins over the one before it. Without any of
them everything has a default, upstreams come from the keys found in the environment, and `sim` is always there.

In the environment a setting is named `FAREGATE_` and its place in the file, in capitals, with two underscores between the parts:
`server.port` is `FAREGATE_SERVER__PORT`. `"${NAME}"` in the file stands for the environment variable `NAME`: that is the place for
secrets. A field that does not exist is an error, and the message names the nearest one that does. A duration is written as `"10s"`,
`"1h30m"` or `"30d"`.

`faregate config show --origin` says what is in force, and where each value came from; `faregate config check` reads a file without
starting anything; `faregate config schema` prints a JSON schema for editors.
"""
_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Duration: "duration",
    date: "date",
    datetime: "time",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file: its heading as TOML writes it, its model, and what it is for."""

    heading: str
    model: type[BaseModel]
    purpose: str


def settings_page() -> str:
    """Return the whole page."""
    return _START + "".join(_section(table) for table in tables(Settings))


def tables(model: type[BaseModel], place: str = "") -> Iterator[Table]:
    """Yield each table below `model`, in the order of the fields."""
    for name, field in model.model_fields.items():
        inner, shape = _inner(field.annotation)
        if inner is None:
            continue
        path = f"{place}{field.alias or name}" + (".NAME" if shape == "dict" else "")
        heading = f"[[{path}]]" if shape == "list" else f"[{path}]"
        yield Table(heading, inner, field.description or (inner.__doc__ or "").strip())
        yield from tables(inner, f"{path}.")


def fields(table: Table) -> list[tuple[str, FieldInfo]]:
    """Return the plain settings of a table, without those that are tables of their own."""
    return [
        (field.alias or name, field) for name, field in table.model.model_fields.items() if _inner(field.annotation)[0] is None
    ]


def _section(table: Table) -> str:
    rows = "".join(_row(name, field) for name, field in fields(table))
    if not rows:
        return f"\n## `{table.heading}`\n\n{table.purpose}\n"
    return f"\n## `{table.heading}`\n\n{table.purpose}\n\n| setting | is | default | means |\n| --- | --- | --- | --- |\n{rows}"


def _row(name: str, field: FieldInfo) -> str:
    cells = (f"`{name}`", _kind(field.annotation), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None:
        return "none"
    return f"`{_written(value)}`"


def _written(value: Any) -> str:  # noqa: PLR0911 - one case for each type
    """Return a value as the file would have it."""
    match value:
        case bool():
            return str(value).lower()
        case Enum():
            return _written(value.value)
        case SecretStr() | SecretBytes():
            return '"…"'
        case str() | PurePath():
            return f'"{value}"'
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(_written(one) for one in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{key} = {_written(one)}" for key, one in value.items()) + " }" if value else "{ }"
    return str(value)


def _kind(annotation: Any) -> str:  # noqa: PLR0911 - one case for each type
    """Return what a value is, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in inner if one is not type(None)))
    if origin in (list, tuple, set, frozenset):
        return f"list of {_kind(inner[0])}" if inner else "list"
    if origin is dict:
        return f"table of {_kind(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        return "secret"
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    return _WORDS.get(annotation, "text")


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model that a field holds, and how: alone, in a list, or by name."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, "one"
    if origin is Annotated:
        return _inner(arguments[0])
    if origin in (Union, types.UnionType):
        found = [one for one in map(_inner, arguments) if one[0] is not None]
        return found[0] if found else (None, "")
    if origin in (list, tuple) and arguments:
        return _inner(arguments[0])[0], "list"
    if origin is dict:
        return _inner(arguments[1])[0], "dict"
    return None, ""
