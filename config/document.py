"""A settings file as TOML: what it says, and on which line it says it."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config.errors import SettingsError

_LARGEST = 1_048_576


def read_document(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Return what the file at `path` says, and the line of each setting by its path (`server.port`).

    Raises:
        SettingsError: it cannot be read, or is not TOML.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise SettingsError([f"{path}: this is larger than a settings file can be"])
        text = path.read_text("utf-8")
        return tomllib.loads(text), lines_in(text)
    except OSError as error:
        raise SettingsError([f"{path}: it cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: it is not UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: this is not TOML: {error}"]) from error


def lines_in(text: str) -> dict[str, int]:
    """Return the line on which each setting and table of a TOML document begins. The first of several wins.

    The tables of a list have their place in it as a name: `budgets.0.scope`.
    """
    found: dict[str, int] = {}
    table: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    listed: dict[tuple[str, ...], int] = {}
    for number, statement in _statements(text):
        names = _names(statement)
        if statement.lstrip().startswith("["):
            table = names[0] if names else ()
            names = [()]
            place = ()
            if statement.lstrip().startswith("[["):
                listed[table] = listed.get(table, -1) + 1
                place = (str(listed[table]),)
        for name in names:
            for path in ((*table, *name), (*table, *place, *name)):
                for length in range(1, len(path) + 1):
                    found.setdefault(".".join(path[:length]), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with its line: lines are put together until they are TOML."""
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        end = start + 1
        while end < len(lines) and not _is_toml("\n".join(lines[start:end])):
            end += 1
        statement = "\n".join(lines[start:end])
        if statement.strip() and not statement.lstrip().startswith("#"):
            yield start + 1, statement
        start = end


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _names(statement: str) -> list[tuple[str, ...]]:
    """Return the paths that one statement sets: one for a header, one for each value."""
    try:
        return list(_leaves(tomllib.loads(statement)))
    except tomllib.TOMLDecodeError:  # pragma: no cover - the whole document was TOML
        return []


def _leaves(value: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(value, list) and len(value) == 1 and value[0] == {}:
        value = {}  # the header of one table of a list
    if not isinstance(value, Mapping) or not value:
        yield ()
        return
    for name, inner in value.items():
        for rest in _leaves(inner):
            yield (name, *rest)
