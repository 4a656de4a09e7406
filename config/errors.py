"""What is wrong with settings, in short lines: where, what, and what would be right."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from config.settings import Settings

_PLAIN = {
    "missing": "it must be set",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write a text",
    "model_type": "this is a table: write its settings under it",
    "dict_type": "this is a table: write its settings under it",
    "tuple_type": 'write a list, such as ["a", "b"]',
    "string_pattern_mismatch": "a name is of lower-case letters, digits, - and _ (keys: letters, digits and . _ @ : -), up to 63 of them",
}


class SettingsError(ValueError):
    """Settings cannot be used. `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the lines; they are the message too."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def lines_of(error: ValidationError, places: Mapping[str, str], *, apart: Collection[str] = ()) -> Iterator[str]:
    """Yield a line for each error; `places` says where each setting stands, and of those that are `apart` nothing more is to be said."""
    for detail in error.errors(include_url=False, include_input=False):
        location = [str(part) for part in detail["loc"] if part != "[key]"]
        path = ".".join(location)
        if any(path == name or path.startswith(f"{name}.") for name in apart):
            continue
        for message in _messages(detail, location):
            yield f"{where(places, path or message.partition(':')[0])}{message}"


def where(places: Mapping[str, str], path: str) -> str:
    """Return where a setting, or the table that it should be in, stands: `faregate.toml:12: `; empty if nowhere."""
    while path:
        if path in places:
            return f"{places[path]}: "
        path = path.rpartition(".")[0]
    return ""


def nearest(path: list[str]) -> str | None:
    """Return the known setting that is nearest to an unknown one."""
    # The right name in the wrong table.
    everywhere = [f"{section}.{name}" for section in Settings.model_fields for name in _fields_at([section])]
    found = [full for full in everywhere if full.rpartition(".")[2] == path[-1]]
    near = get_close_matches(path[-1], _fields_at(path[:-1]), n=1, cutoff=0.5)
    return found[0] if found else ".".join([*path[:-1], near[0]]) if near else None


def _messages(detail: ErrorDetails, location: list[str]) -> Iterator[str]:
    path = ".".join(location)
    if detail["type"] == "extra_forbidden":
        near = nearest(location)
        known = ", ".join(_fields_at(location[:-1]))
        yield f"there is no setting {path}; " + (f"did you mean {near}?" if near else f"there are {known or 'none here'}")
        return
    text = _PLAIN.get(detail["type"]) or str(detail.get("ctx", {}).get("error", "")) or _sentence(detail["msg"])
    for line in text.splitlines():
        yield f"{path}: {line}" if path else line


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ").strip()


def _fields_at(path: list[str]) -> list[str]:
    """Return the names of the settings in the table at `path`; none where names are free."""
    model: Any = Settings
    for part in path:
        known = _named_fields(model)
        if part in known:
            model = known[part].annotation
        elif get_origin(model) is dict:
            model = get_args(model)[1]
        elif get_origin(model) in (list, tuple):
            model = get_args(model)[0]
        else:
            return []
    return list(_named_fields(model))


def _named_fields(model: Any) -> dict[str, FieldInfo]:
    """Return the settings of a table, or of a table that may be left out, by the names that the file has."""
    if isinstance(model, UnionType):
        model = next((one for one in get_args(model) if isinstance(one, type) and issubclass(one, BaseModel)), None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}
